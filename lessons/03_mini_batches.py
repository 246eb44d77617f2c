# %% [markdown]
# # 03 · Mini-batches: what a batch buys
#
# **Afterwards you can decide** how large a batch to take: from which size on a larger one no longer saves steps, and up
# to which size it costs no samples; and you can measure both on your problem in seconds.
#
# 20 minutes. Before it: [one sample at a time](02_stochastic_gradient_descent.ipynb).

# %%
from math import inf, log

import kit
from kit import guide
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## The rule
#
# Between all samples and one stand $b$ of them, a mini-batch $B$:
#
# $$ p \leftarrow p - \eta\, g_B, \qquad g_B = \frac{1}{b} \sum_{i \in B} \nabla \ell_i(p), \qquad
#    \operatorname{Cov} g_B = \frac{1}{b} \Sigma . $$
#
# Averaging $b$ samples divides the noise by $b$. Doubling the batch doubles the price of a step. Is it worth it?

# %%
guide.formula("minibatch")

# %% [markdown]
# ## First experiment: the price of a larger batch
#
# The digits again, a network with 32 hidden units, and a goal: a training loss of 0.2. For each batch size we try a whole
# grid of learning rates, and count with the best of them: a batch size must not lose because its rate was wrong. (All
# rates of one batch size train as one program, so this takes seconds; how many of them diverge may differ by one or two
# between frameworks.)

# %%
half = guide.predict(
    "From 16 samples a step to 64, four times as many. How many steps does it now take to reach the goal?",
    {
        "same": "As many as before.",
        "quarter": "About a quarter: four times the samples, four times the progress.",
        "between": "Fewer, but more than a quarter.",
    },
    default="quarter",
)
half

# %% tags=["nbval-ignore-output"]
GOAL = 0.2
network = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    optimizer="minibatch",
    backend=framework.name,
)
rates = kit.log_grid(0.01, 10.0, per_decade=3)
# batch size: (steps at most, steps between two readings)
plans = {
    1: (2000, 25),
    4: (800, 10),
    16: (300, 4),
    64: (120, 1),
    256: (80, 1),
    1024: (80, 1),
}


def steps_to_goal(run):
    """The first step at which the training loss is at the goal; infinity where it never was."""
    curve = run.curve("train_loss")
    return min(curve.index[curve <= GOAL], default=inf)


steps, best_rate = {}, {}
for batch, (most, every) in plans.items():
    here = network.replace(
        batch_size=batch, budget=kit.Budget(steps=most), evaluate_every=every
    )
    found = await guide.run(
        here.vary(learning_rate=rates, replicate=range(3))
    )  # large rates with small batches diverge
    reached = {
        rate: sorted(map(steps_to_goal, found.select(learning_rate=rate)))[1]
        for rate in rates
    }  # the median
    best_rate[batch] = min(reached, key=reached.get)
    steps[batch] = reached[best_rate[batch]]

# %%
share = steps[64] / steps[16]
half.compare("same" if share > 0.85 else "quarter" if share < 0.3 else "between")
guide.show(
    guide.lines(
        {
            "steps to the goal": (list(steps), list(steps.values())),
            "samples to the goal / 100": (
                list(steps),
                [batch * count / 100 for batch, count in steps.items()],
            ),
        },
        x="batch size (samples)",
        y="steps, or hundreds of samples",
        x_scale="log",
        y_scale="log",
        title="Larger batches save steps, until they do not",
        words="Steps and samples to a training loss of 0.2, against the batch size from 1 to 1,024, each at its best learning "
        "rate. The steps fall steeply at first and hardly any more from 256 on. The samples stay nearly level at first "
        "and then rise steeply.",
    )
)
guide.check(
    "From 1 to 16 samples a step the steps fall by more than a factor of five, from 256 to 1,024 by less than 1.5",
    steps[1] / steps[16] > 5 and steps[256] / steps[1024] < 1.5,
    "Let the six studies above run to their end.",
)

# %% [markdown]
# ### Explain
#
# With the gradient $G$ of the full loss, a step of $\eta$ along the batch's gradient $g_B$ changes the loss on average by
#
# $$ \mathbb E\, \Delta L = -\eta\, \|G\|^2 + \tfrac12 \eta^2 \left( G^\top H G + \frac{\operatorname{tr}(H \Sigma)}{b} \right) $$
#
# The best $\eta$ makes it
#
# $$ \Delta L = \frac{\Delta L_\text{max}}{1 + \mathcal B / b}, \qquad
#    \mathcal B = \frac{\operatorname{tr}(H \Sigma)}{G^\top H G} \approx \frac{\operatorname{tr} \Sigma}{\|G\|^2}, $$
#
# the last where $H$ is taken to be alike in all directions: the **gradient noise scale**, the number of samples whose
# mean gradient is as much signal as noise
# ([McCandlish et al. 2018, *An empirical model of large-batch training*](https://arxiv.org/abs/1812.06162)). So the steps
# to a goal, $S$, and the samples, $E = b S$, follow
#
# $$ S = S_\text{min} \left(1 + \frac{\mathcal B}{b}\right), \qquad E = E_\text{min} \left(1 + \frac{b}{\mathcal B}\right),
#    \qquad E_\text{min} = \mathcal B\, S_\text{min} . $$
#
# Far below $\mathcal B$, twice the batch is half the steps: the samples cost nothing extra, and what can be computed side
# by side is time gained. Far above, it is the same steps at twice the price. At $b = \mathcal B$, the *critical batch
# size*, both cost twice their least.
#
# ## Second experiment: measure it beforehand
#
# The curve above took 180 runs. The noise scale can be read off a single one, while it trains.

# %%
guess = guide.predict(
    "How does the gradient noise scale change while the network trains?",
    {
        "falls": "It falls: the network is calmer once it has learnt something.",
        "stays": "It stays: it belongs to the data.",
        "rises": "It rises: the better the network, the smaller the gradient that all samples have in common.",
    },
    default="stays",
)
guess

# %%
watched = network.replace(
    optimizer=kit.optimizer("minibatch", learning_rate=best_rate[64]),
    budget=kit.Budget(steps=60),
    evaluate_every=3,
    probes=("gradient_noise",),
)
run = await guide.run(watched)
scale, loss = run.curve("gradient_noise_scale"), run.curve("train_loss")
guess.compare(
    "rises"
    if scale.iloc[-1] > 2 * scale.iloc[0]
    else "falls"
    if scale.iloc[-1] < scale.iloc[0] / 2
    else "stays"
)

# %%
least = min(steps.values())
# The best S_min and B by least squares on the logarithms, over a grid of both.
fits = {
    (smallest, critical): sum(
        (log(smallest * (1 + critical / b)) - log(s)) ** 2 for b, s in steps.items()
    )
    for smallest in [least * share for share in (0.6, 0.7, 0.8, 0.9, 1.0)]
    for critical in kit.log_grid(5, 1000, per_decade=20)
}
smallest, critical = min(fits, key=fits.get)
on_the_way = scale[: loss[loss > GOAL].index[-1]]
guide.show(
    guide.lines(
        {
            "measured": (list(steps), list(steps.values())),
            "S_min (1 + B/b)": (
                list(steps),
                [smallest * (1 + critical / b) for b in steps],
            ),
        },
        x="batch size b (samples)",
        y="steps to the goal",
        x_scale="log",
        y_scale="log",
        marks={"critical batch size": critical},
        title="Two numbers describe the whole curve",
        words="The steps to the goal against the batch size, as measured and as the formula S_min (1 + B/b) gives them: "
        "the two curves lie close together. The critical batch size is marked between 16 and 256 samples.",
    )
)
guide.check(
    "The formula fits every batch size to within a factor of 1.5, and its critical batch size lies between 16 and 256",
    all(1 / 1.5 < smallest * (1 + critical / b) / s < 1.5 for b, s in steps.items())
    and 16 < critical < 256,
    "Let the studies above run to their end.",
)
guide.check(
    "The noise scale read while training, up to the goal, spans the critical batch size that the 180 runs gave",
    on_the_way.min() / 2 < critical < on_the_way.max() * 2,
    "Let the run with the probe finish.",
)

# %% [markdown]
# **Exercise.** Your noise scale is 1,000 samples, and training with a batch of 250 takes 8,000 steps. How many would it
# take with a batch of 1,000? Put a number in place of the dots.

# %%
guide.answer("four times the batch", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $1 + \mathcal B / b$ is 5 for $b = 250$, and 2 for $b = 1{,}000$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $8{,}000 \cdot 2 / 5 = 3{,}200$ steps. They see 3.2 million samples instead of 2 million: a shorter run, a larger bill.
#
# </details>

# %% [markdown]
# ## Third experiment: the rate goes with the batch
#
# The best learning rate of each batch size was searched for. How did it change?

# %%
guide.show(
    guide.lines(
        {"best learning rate": (list(best_rate), list(best_rate.values()))},
        x="batch size (samples)",
        y="best learning rate",
        x_scale="log",
        y_scale="log",
        title="A larger batch bears a larger rate, up to the limit",
        words="The best learning rate against the batch size: it rises in step with small batches, and hardly any more from "
        "about 256 samples on.",
    )
)
guide.check(
    "From 1 sample to 64 the best rate rises by more than a factor of 5, from 256 to 1,024 by less than 3",
    best_rate[64] / best_rate[1] > 5 and best_rate[1024] / best_rate[256] < 3,
    "Let the studies above run to their end.",
)

# %% [markdown]
# ### Explain
#
# The same calculation gives the best rate, $\eta = \eta_\text{max} / (1 + \mathcal B / b)$: proportional to $b$ far below
# the noise scale (the *linear scaling rule*), and constant above, where curvature alone limits it. So "multiply the rate
# by what the batch grew by" is right for small batches and wrong for large ones.
#
# ## What to decide
#
# - Measure the noise scale at a typical point of the training. Take a batch around it; below it if samples are dear,
#   above it only if nothing else can make the run shorter.
# - It rises as the loss falls: a batch that is too large at the start is right later on.
# - Change the rate with the batch as long as the batch is below the noise scale.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="sales.csv", target="price"`. The cell reads
# the noise scale while a short run trains.

# %%
mine = kit.Experiment(
    dataset="breast_cancer",
    model=kit.model("mlp", hidden=(32,)),
    optimizer=kit.optimizer("minibatch", learning_rate=0.1),
    backend=framework.name,
    batch_size=32,
    budget=kit.Budget(epochs=5),
    probes=("gradient_noise",),
)
result = await guide.run(mine)
read = result.curve("gradient_noise_scale")
guide.say(
    f"The noise scale is {number(read.iloc[0], 1)} samples at the start and {number(read.median(), 1)} in the middle "
    "of the run."
)
