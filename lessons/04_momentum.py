# %% [markdown]
# # 04 · Momentum and Nesterov: long valleys
#
# **Afterwards you can decide** whether momentum will make your run shorter and by how much, and how to set it: from the
# condition number, instead of from habit.
#
# 20 minutes. Before it: [gradient descent and its limit](01_gradient_descent.ipynb).

# %%
from math import exp, log, sqrt

import numpy as np

import kit
from kit import guide
from kit.objectives import quadratic
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## Why a valley is slow
#
# The largest curvature $L$ bounds the step: $\eta < 2/L$. The smallest, $m$, says how slowly the flattest direction gets
# on: its distance shrinks by $1 - \eta m$ a step. Their ratio is the **condition number** $\kappa = L/m$. With the best
# $\eta = 2/(L+m)$, gradient descent (GD) shrinks the distance to the lowest point by
#
# $$ \rho_\text{GD} = \frac{\kappa - 1}{\kappa + 1} $$
#
# each step: for large $\kappa$ it takes about $\kappa / 2$ steps to shrink it by the factor $e$. How bad is that for real
# data? Here are the 442 people with diabetes again, standardised, and a line.

# %%
line = kit.Experiment(
    dataset="diabetes",
    model="linear",
    loss="mse",
    optimizer="gd",
    backend=framework.name,
    dtype="float64",
    batch_size=354,  # all of the training samples
)
read = await guide.probe(line, "curvature")
L, m = read["largest_curvature"], read["smallest_curvature"]
kappa = L / m
guide.say(
    f"The curvatures go from m = {number(m)} to L = {number(L)}: the condition number κ is {number(kappa)}."
)

# %% [markdown]
# Some of the blood values nearly follow from others, and along such a combination the loss is nearly flat.
#
# ## The rules
#
# Momentum keeps a running sum $b$ of the gradients, in which what alternates cancels and what persists adds up
# ([Polyak 1964, *Some methods of speeding up the convergence of iteration methods*](https://doi.org/10.1016/0041-5553(64)90137-5)):

# %%
guide.formula("momentum")

# %% [markdown]
# (The rule has an option, a dampening $d$; here and in what follows $d = 0$.) Nesterov's variant looks one step ahead
# ([Sutskever et al. 2013, *On the importance of initialization and momentum in deep learning*](https://proceedings.mlr.press/v28/sutskever13.html)):

# %%
guide.formula("nesterov")

# %% [markdown]
# ## First experiment: how much shorter?
#
# The goal is a loss within one millionth of the way: $L(p) - L(p^*)$ down to $10^{-6}$ of what it was at the start.

# %%
needed = guide.estimate(
    "Gradient descent with its best step needs about 1,900 steps. How many will momentum need?",
    950,
)
needed

# %%
root = sqrt(kappa)
optimizers = {
    "gradient descent": kit.optimizer("gd", learning_rate=2 / (L + m)),
    "momentum": kit.optimizer(
        "momentum",
        learning_rate=4 / (sqrt(L) + sqrt(m)) ** 2,
        momentum=((root - 1) / (root + 1)) ** 2,
    ),
    "Nesterov": kit.optimizer(
        "nesterov", learning_rate=1 / L, momentum=(root - 1) / (root + 1)
    ),
}
runs = {}
for name, optimizer in optimizers.items():
    budget = kit.Budget(steps=4000 if name == "gradient descent" else 600)
    runs[name] = await guide.run(
        line.replace(optimizer=optimizer, budget=budget, evaluate_every=2)
    )

# %%
lowest = min(run.curve("train_loss").min() for run in runs.values())
GOAL, DUST = 1e-6, 1e-12  # shares of the way: the goal, and where rounding takes over


def left_of(run):
    """What is left of the way to the lowest loss, by step: 1 at the start."""
    curve = run.curve("train_loss") - lowest
    return curve / curve.iloc[0]


def steps_to(goal, run):
    left = left_of(run)
    return int(left.index[left <= goal][0])


counts = {name: steps_to(GOAL, run) for name, run in runs.items()}
needed.compare(
    counts["momentum"],
    "it goes with the square root of κ instead of κ itself",
    factor=1.5,
)
guide.show(
    guide.lines(
        {
            name: (left[left > DUST].index, left[left > DUST].to_numpy())
            for name, run in runs.items()
            if len(left := left_of(run))
        },
        x="step",
        y="share of the way to the lowest loss that is left",
        x_scale="linear",
        y_scale="log",
        levels={"the goal": GOAL},
        title="Straight lines on a log axis: each step, the same factor",
        words="What is left of the way to the lowest loss, by step, on a logarithmic axis. Gradient descent falls along a "
        "straight line that reaches a millionth after about 1,900 steps. Momentum and Nesterov fall along much steeper "
        "lines and are there within about 150 steps.",
    )
)

# %% [markdown]
# ### Explain
#
# Along an eigenvector of curvature $\lambda$ the distances $e_t$ of momentum follow
#
# $$ e_{t+1} = (1 + \mu - \eta\lambda)\, e_t - \mu\, e_{t-1} , $$
#
# whose solutions grow like the roots of $z^2 - (1 + \mu - \eta\lambda) z + \mu = 0$. As long as
# $(1 - \sqrt\mu)^2 \le \eta\lambda \le (1 + \sqrt\mu)^2$ the roots are complex, and *both have the size* $\sqrt\mu$,
# whatever $\lambda$ is: flat and steep directions shrink alike. To hold all curvatures from $m$ to $L$ in that range,
# both of its ends must be met, and this gives
#
# $$ \sqrt\mu = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1} = \rho_\text{momentum},
#    \qquad \eta = \frac{4}{(\sqrt L + \sqrt m)^2} . $$
#
# For Nesterov's rule with $\eta = 1/L$ and $\mu = (\sqrt\kappa - 1)/(\sqrt\kappa + 1)$ the slowest direction shrinks by
# $\rho_\text{Nesterov} = 1 - 1/\sqrt\kappa$. Measured, as the slope of the lines above (the loss is quadratic in the
# distance, hence half of it):

# %%
theory = {
    "gradient descent": (kappa - 1) / (kappa + 1),
    "momentum": (root - 1) / (root + 1),
    "Nesterov": 1 - 1 / root,
}


def rate_of(run):
    """The factor per step of the distance, from the slope of the loss between a thousandth of the way and the dust."""
    left = left_of(run)
    window = left.loc[: steps_to(DUST, run)]
    window = window[window < 1e-3]
    return exp(np.polyfit(window.index, np.log(window.to_numpy()), 1)[0] / 2)


measured = {name: rate_of(run) for name, run in runs.items()}
guide.table(
    [
        [
            name,
            f"{measured[name]:.3f}",
            f"{theory[name]:.3f}",
            f"{-1 / log(theory[name]):.0f}",
        ]
        for name in runs
    ],
    ["rule", "factor per step, measured", "from κ", "steps for a factor of e"],
    "How much of the distance to the lowest point is left after one step.",
)
guide.check(
    "Every rule's 1 − ρ is measured within 20% of what κ says",
    all(abs((1 - measured[name]) / (1 - theory[name]) - 1) < 0.2 for name in runs),
    "Let the three runs finish.",
)

# %% [markdown]
# **Exercise.** A problem has $\kappa = 10{,}000$, and gradient descent reaches your goal in 50,000 steps. About how many
# will momentum need? Put a number in place of the dots.

# %%
guide.answer("a long valley", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\ln \rho \approx -2/\kappa$ for gradient descent and $-2/\sqrt\kappa$ for momentum.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $\sqrt{10{,}000} = 100$ times fewer in the long run: 500. At the best $\mu$ both roots coincide, and the distance goes
# like $t \rho^t$ and not like $\rho^t$, so it starts later: count on 800 to 1,300.
#
# </details>

# %% [markdown]
# ## See it
#
# The same in two dimensions, where it can be drawn: $f(x, y) = \tfrac12 (x^2 + 25 y^2)$, so $\kappa = 25$.

# %%
bowl = kit.Experiment(
    dataset="none",
    model=kit.model("quadratic", condition=25.0),
    backend=framework.name,
    dtype="float64",
    budget=kit.Budget(steps=25),
    evaluate_every=1,
    probes=("trajectory",),
)
paths = await guide.run(
    bowl.vary(
        optimizer=[
            kit.optimizer("gd", learning_rate=2 / 26),
            kit.optimizer("momentum", learning_rate=4 / 36, momentum=(4 / 6) ** 2),
            kit.optimizer("nesterov", learning_rate=1 / 25, momentum=4 / 6),
        ]
    )
)
figure = paths.plot_trajectories(
    lambda x, y: quadratic(x, y, condition=25.0), minima=((0.0, 0.0),)
)
ends = {
    name: paths.select(optimizer=name).runs[0].final("train_loss")
    for name in ("gd", "momentum", "nesterov")
}
guide.show(
    figure,
    "Three paths from (4, 1) over the contours of the bowl towards its lowest point. After 25 steps f is "
    + ", ".join(f"{number(value, 1)} with {name}" for name, value in ends.items())
    + ".",
)

# %% [markdown]
# Gradient descent jumps from wall to wall for a long time, and creeps along the floor. Momentum swings wider at first, for
# its sum has to forget the first jumps, and then both directions shrink alike. Nesterov's look ahead damps the swinging.
#
# ## Second experiment: more momentum?
#
# The best value here is $\mu = 0.84$. Many people would type 0.99.

# %%
more = guide.predict(
    "Momentum with μ = 0.99, and a learning rate of 1/L. How many steps to the goal, compared with the best μ?",
    {
        "fewer": "Fewer: it is faster downhill.",
        "same": "About as many.",
        "more": "Several times as many.",
    },
    default="fewer",
)
more

# %%
heavy = await guide.run(
    line.replace(
        optimizer=kit.optimizer("momentum", learning_rate=1 / L, momentum=0.99),
        budget=kit.Budget(steps=4000),
        evaluate_every=2,
    )
)
left = left_of(heavy)
settled = int(
    left.index[left > GOAL][-1]
)  # it swings: the last time that it is above the goal
more.compare(
    "more"
    if settled > 2 * counts["momentum"]
    else "fewer"
    if settled < 0.8 * counts["momentum"]
    else "same",
    "no direction can shrink faster than √μ a step, and √0.99 is 0.995",
)
guide.show(
    guide.lines(
        {
            "μ = 0.84 (the best)": (
                left_of(runs["momentum"]).loc[:150].index,
                left_of(runs["momentum"]).loc[:150].to_numpy(),
            ),
            "μ = 0.99": (left.loc[:600].index, left.loc[:600].to_numpy()),
        },
        x="step",
        y="share of the way that is left",
        x_scale="linear",
        y_scale="log",
        title="Too much momentum swings, and shrinks by √μ a step",
        words="What is left of the way, by step. With the best momentum the line falls steeply. With 0.99 it swings up and "
        "down along a much flatter slope.",
    )
)

# %% [markdown]
# ## Third experiment: momentum in noise
#
# So far every step saw all samples. With a small batch the noise, not the valley, sets the pace, and there momentum does
# something else: it sums up $1/(1-\mu)$ gradients, so it *is* a larger learning rate.

# %%
noisy = guide.predict(
    "Digits, 16 samples a step: η = 0.01 with μ = 0.9, against η = 0.1 without momentum. Which ends lower after 600 steps?",
    {
        "momentum": "Momentum, by far.",
        "plain": "Plain steps, by far.",
        "alike": "They end within a few percent of each other.",
    },
    default="momentum",
)
noisy

# %%
digits = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    backend=framework.name,
    batch_size=16,
    budget=kit.Budget(steps=600),
)
pair = await guide.run(
    digits.vary(
        optimizer=[
            kit.optimizer("momentum", learning_rate=0.01, momentum=0.9),
            kit.optimizer("minibatch", learning_rate=0.1),
        ],
        replicate=range(5),
    )
)
with_momentum, without = (
    pair.select(optimizer=name).lanes[0].mean("train_loss", log=True).estimate
    for name in ("momentum", "minibatch")
)
ratio = with_momentum / without
noisy.compare("alike" if 0.85 < ratio < 1.15 else "momentum" if ratio < 1 else "plain")
guide.show(pair.plot_curves("train_loss", facet=None))

# %% [markdown]
# ### Explain
#
# A gradient $g$ enters the sum $b$ once and leaves it slowly: it is applied with $\eta$, $\eta\mu$, $\eta\mu^2$, …, in
# all $\eta / (1 - \mu)$. Where the path bends slowly compared with the $1/(1-\mu)$ steps of that memory, this is the same
# as applying it at once. So when you turn momentum on, divide the learning rate by $1/(1-\mu)$, or you have changed two
# things at once.
#
# ## What to decide
#
# - Smooth loss, slow progress, large $\kappa$, large batch: momentum, $\mu \approx (1 - 2/\sqrt\kappa)^2$; 0.9 suits
#   $\kappa$ near 1,500.
# - A small batch: momentum is a larger learning rate; tune the rate first.
# - The loss swings slowly up and down: too much momentum.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="sales.csv", target="price"`. The cell
# measures the curvatures of a linear model at its start and says what momentum they ask for.

# %%
mine = kit.Experiment(
    dataset="diabetes",
    model="linear",
    backend=framework.name,
    dtype="float64",
    optimizer="gd",
)
mine_read = await guide.probe(mine, "curvature", iterations=200)
my_root = sqrt(
    mine_read["largest_curvature"] / max(mine_read["smallest_curvature"], 1e-12)
)
guide.say(
    f"The condition number is about {number(my_root**2, 2)}: take a momentum of "
    f"{((my_root - 1) / (my_root + 1)) ** 2:.2f} with full batches."
)
