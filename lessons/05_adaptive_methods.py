# %% [markdown]
# # 05 · Adaptive methods: a rate for every parameter
#
# **Afterwards you can decide** when Adagrad, RMSprop, Adam or AdamW will help and what each of them repairs; when plain
# descent with standardised data does as well; and when Adam goes to the wrong place.
#
# 20 minutes. Before it: [gradient descent and its limit](01_gradient_descent.ipynb) and
# [momentum in long valleys](04_momentum.ipynb).

# %%
import numpy as np
import sklearn.datasets

import kit
from kit import guide

framework = guide.framework()
framework

# %% [markdown]
# ## The rules
#
# One learning rate for all parameters has to suit the steepest of them. Adaptive methods divide each parameter's step by
# the size that *its own* gradients have had so far. Adagrad takes the root of the sum of their squares:

# %%
guide.formula("adagrad")

# %% [markdown]
# RMSprop takes a running mean instead of the sum, so that what is long past is forgotten:

# %%
guide.formula("rmsprop")

# %% [markdown]
# Adam adds momentum, $m$, and corrects both means for having begun at zero:

# %%
guide.formula("adam")

# %% [markdown]
# ## First experiment: columns in their own units
#
# 569 tumours, 30 measures of each: lengths of around 15, areas of around 700, and ratios of a few hundredths. The task is
# to tell benign from malignant with a linear model. Not standardised, the columns differ in size by a factor of more than
# 100,000.

# %%
raw = kit.Experiment(
    dataset="breast_cancer",
    model="linear",
    optimizer="minibatch",
    backend=framework.name,
    standardise=False,
    budget=kit.Budget(steps=500),
)
grids = {
    "minibatch": kit.log_grid(1e-7, 10, per_decade=2),
    "adagrad": kit.log_grid(1e-4, 1, per_decade=2),
    "rmsprop": kit.log_grid(1e-4, 1, per_decade=2),
    "adam": kit.log_grid(1e-4, 1, per_decade=2),
}
units = guide.predict(
    "Plain mini-batch descent and Adam, each at its best learning rate. Whose training loss is lower on the raw columns?",
    {
        "plain": "Plain descent's, or there is no difference: the best rate was searched for.",
        "adam": "Adam's, and clearly: no single rate suits all columns.",
    },
    default="plain",
)
units

# %% tags=["nbval-ignore-output"]
raw_best, standard_best = {}, {}
for name, rates in grids.items():
    for experiment, best in (
        (raw, raw_best),
        (raw.replace(standardise=True), standard_best),
    ):
        study = experiment.replace(optimizer=name).vary(
            learning_rate=rates, replicate=range(3)
        )
        results = await guide.run(study)
        best[name] = results.best("train_loss").mean("train_loss", log=True).estimate
guide.table(
    [[name, raw_best[name], standard_best[name]] for name in grids],
    ["rule", "raw columns", "standardised"],
    "Training loss after 500 steps, mean of three runs, each rule at its best of many learning rates.",
)

# %%
units.compare("adam" if raw_best["adam"] < 0.5 * raw_best["minibatch"] else "plain")
guide.check(
    "On raw columns every adaptive rule ends lower than plain descent",
    all(
        raw_best[name] < raw_best["minibatch"]
        for name in ("adagrad", "rmsprop", "adam")
    ),
    "Let all eight studies finish.",
)
guide.check(
    "On standardised columns all four end within a factor of 1.5 of each other, and lower than on raw ones",
    max(standard_best.values()) < 1.5 * min(standard_best.values())
    and max(standard_best.values()) < min(raw_best.values()),
    "Let all eight studies finish.",
)

# %% [markdown]
# ### Explain
#
# If a column is $c$ times larger, its gradient is $c$ times larger, and the step that it needs is $c$ times *smaller*.
# Dividing by the root of $v$ takes the first factor out, and what is left of the difference is far smaller. Standardising
# takes it out altogether, for every rule: **first scale the data, then look for an optimizer.** Inside a deep network
# nobody can standardise, and there the adaptive rules do it.
#
# ## Second experiment: turn the problem
#
# Adaptive rules scale each *parameter*. What if the valley does not run along one? The diabetes data again, standardised,
# twice: with their own ten columns, and with ten columns that are their principal axes. That is a rotation of the very
# same points: the same losses, the same curvatures, the same condition number.

# %%
diabetes = sklearn.datasets.load_diabetes(scaled=False)
x = (diabetes.data - diabetes.data.mean(axis=0)) / diabetes.data.std(axis=0)
y = (diabetes.target - diabetes.target.mean()) / diabetes.target.std()
axes = np.linalg.svd(x, full_matrices=False)[2]  # a row for each principal axis
zero = {"weight": np.zeros((1, 10)), "bias": np.zeros(1)}


def least_squares(columns):
    """Full-batch training from zero on these columns."""
    return kit.Experiment(
        dataset=(columns, y),
        model="linear",
        loss="mse",
        optimizer="gd",
        backend=framework.name,
        dtype="float64",
        batch_size=len(y),
        validation_fraction=0,
        standardise=False,
        budget=kit.Budget(steps=1500),
        evaluate_every=5,
    ).starting_at(zero)


turned = guide.predict(
    "Steps to come within 1/10,000 of the way to the lowest loss, in the columns and in the axes. For whom do they differ?",
    {
        "none": "For nobody: it is the same problem.",
        "gd": "For gradient descent.",
        "adaptive": "For the adaptive rules.",
    },
    default="none",
)
turned

# %%
lowest = np.mean((x @ np.linalg.lstsq(x, y, rcond=None)[0] - y) ** 2)


def steps_needed(run):
    left = run.curve("train_loss") - lowest
    return min(left.index[left <= 1e-4 * left.iloc[0]], default=np.inf)


plans = {
    "gd": [0.2],
    "adagrad": kit.log_grid(0.02, 2, per_decade=2),
    "adam": kit.log_grid(0.005, 0.5, per_decade=2),
}
needed = {}
for name, rates in plans.items():
    for where, columns in (("columns", x), ("axes", x @ axes.T)):
        found = await guide.run(
            least_squares(columns).replace(optimizer=name).vary(learning_rate=rates)
        )
        needed[name, where] = min(map(steps_needed, found))

# %%
change = {name: needed[name, "columns"] / needed[name, "axes"] for name in plans}
turned.compare(
    "adaptive"
    if change["adagrad"] > 1.5 and change["adam"] > 1.5 and change["gd"] < 1.1
    else "none",
    "gradient descent cannot tell the two apart; the others can",
)
guide.table(
    [[name, str(needed[name, "columns"]), str(needed[name, "axes"])] for name in plans],
    ["rule", "steps in the columns", "steps in the axes"],
    "Steps to 1/10,000 of the way, each rule at its best learning rate.",
)
guide.check(
    "Gradient descent takes the same steps in both; Adagrad is at least ten times quicker along the axes",
    needed["gd", "columns"] == needed["gd", "axes"] and change["adagrad"] > 10,
    "Let all six studies finish.",
)

# %% [markdown]
# ### Explain
#
# Gradient descent commutes with rotations: $g$ turns with the parameters. Dividing each coordinate by its own size does
# not. Along the axes the Hessian is diagonal, each coordinate is a valley of its own, and a rate for each is all that is
# needed. In the columns the flat direction is a *mixture* of parameters, each of which is also part of a steep one, and
# no rate per parameter can tell them apart: there Adagrad is no better than plain descent.
#
# ## Third experiment: the sum and the mean
#
# One sample at a time again, so that the gradients never vanish. The probe `update_ratio` reads how far the parameters
# move between two readings, as a share of their size.

# %%
forgets = guide.predict(
    "Adagrad divides by a sum that only grows, RMSprop by a mean. After 30,000 steps, who is nearer to the lowest loss?",
    {
        "adagrad": "Adagrad: its steps shrink, as a schedule would make them.",
        "rmsprop": "RMSprop: its steps do not shrink, so it gets further.",
    },
    default="rmsprop",
)
forgets

# %%
single = kit.Experiment(
    dataset="diabetes",
    model="linear",
    loss="mse",
    backend=framework.name,
    dtype="float64",
    batch_size=1,
    budget=kit.Budget(steps=30_000),
    evaluate_every=300,
    probes=("update_ratio",),
)
pair = {
    "Adagrad": await guide.run(
        single.replace(optimizer=kit.optimizer("adagrad", learning_rate=0.1))
    ),
    "RMSprop": await guide.run(
        single.replace(optimizer=kit.optimizer("rmsprop", learning_rate=0.01))
    ),
}

# %%
moves = {name: run.curve("update_ratio") for name, run in pair.items()}
ends = {name: run.curve("train_loss").iloc[-20:].mean() for name, run in pair.items()}
forgets.compare("adagrad" if ends["Adagrad"] < ends["RMSprop"] else "rmsprop")
guide.show(
    guide.lines(
        {
            name: (curve.index, curve.rolling(5, min_periods=1).mean().to_numpy())
            for name, curve in moves.items()
        },
        x="step",
        y="movement in 300 steps, as a share of the parameters",
        x_scale="log",
        y_scale="log",
        title="Adagrad comes to rest, RMSprop does not",
        words="How far the parameters move in 300 steps, against the step, on logarithmic axes. Adagrad's movement falls along "
        "a straight line, by more than a factor of five. RMSprop's falls at first and then stays where it is.",
    )
)
early, late = {}, {}
for name, curve in moves.items():
    early[name], late[name] = curve.iloc[3:13].mean(), curve.iloc[-10:].mean()
guide.check(
    "Adagrad's movement falls to less than a third of what it was, RMSprop's does not",
    late["Adagrad"] < early["Adagrad"] / 3 < early["RMSprop"] / 3 < late["RMSprop"] * 3,
    "Let both runs finish.",
)

# %% [markdown]
# ### Explain
#
# With gradients of a steady size $s$ the sum is $t s^2$, and Adagrad's step $\eta / \sqrt t$: a schedule is built in. On
# a problem that stays the same that is what one wants (the [noise floor](02_stochastic_gradient_descent.ipynb) sinks). In
# a long training, where the gradients of the beginning say nothing about those of the end, it is a brake that nobody
# releases: this is what RMSprop repairs, and it leaves the schedule to you.
#
# **Exercise.** RMSprop with $\rho = 0.99$ begins with $v = 0$. In its first step $v = 0.01\, g^2$, so how long is that
# step, in units of the learning rate? (Adam's correction makes it 1.) Put a number in place of the dots.

# %%
guide.answer("the first step", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\sqrt{0.01\, g^2} = 0.1\, |g|$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $\eta\, g / (0.1\, |g|) = 10\, \eta$ in size. With Adam's $\beta_2 = 0.999$ and without its corrections it would be
# $0.1 / \sqrt{0.001} = 3.2$ times $\eta$.
#
# </details>

# %% [markdown]
# ## Fourth experiment: weight decay
#
# Weight decay pulls weights that nothing needs towards zero. Added to the gradient, as $g + \lambda p$, it is divided by
# the root of $v$ like everything else. AdamW
# ([Loshchilov & Hutter 2019, *Decoupled weight decay regularization*](https://arxiv.org/abs/1711.05101)) shrinks the
# parameter itself instead. (Its first line below is done by the step that all rules share, before `update`: see
# `kit/rules/step.py`.)

# %%
guide.formula("adamw")

# %% [markdown]
# Three of the 64 pixels of the digits are black in every picture, so the weights that lead from them never get a gradient
# from the data. Only weight decay moves them. Here $\lambda = 0.0001$, $\eta = 0.001$ and 500 steps:
# $(1 - \eta\lambda)^{500}$ is $0.99995$.

# %%
decay = guide.predict(
    "What is left of the weights from the black pixels with Adam and λ added to the gradient?",
    {
        "all": "Nearly all of them: λ is tiny.",
        "half": "About half.",
        "none": "Nearly nothing.",
    },
    default="all",
)
decay

# %%
digits = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    backend=framework.name,
    budget=kit.Budget(steps=500),
)
weights = {}
for name, optimizer in {
    "no decay": kit.optimizer("adam", learning_rate=1e-3),
    "added to the gradient": kit.optimizer(
        "adam", learning_rate=1e-3, weight_decay=1e-4
    ),
    "decoupled (AdamW)": kit.optimizer("adamw", learning_rate=1e-3, weight_decay=1e-4),
}.items():
    run = await guide.run(digits.replace(optimizer=optimizer))
    weights[name] = np.abs(run.parameters()["layers.0.weight"])  # (units, pixels)
black = np.ptp(sklearn.datasets.load_digits().data, axis=0) == 0

# %%
left = {
    name: weight[:, black].mean() / weights["no decay"][:, black].mean()
    for name, weight in weights.items()
}
coupled = left["added to the gradient"]
decay.compare("none" if coupled < 0.1 else "half" if coupled < 0.8 else "all")
guide.table(
    [[name, f"{100 * share:.0f}%"] for name, share in left.items()],
    ["weight decay", "left of the weights from black pixels"],
    "The same λ in two places.",
)
guide.check(
    "AdamW leaves more than 99% of them, and Adam with λ in the gradient less than 10%",
    left["decoupled (AdamW)"] > 0.99 and coupled < 0.1,
    "Let the three runs finish.",
)

# %% [markdown]
# ### Explain
#
# For these weights $g = \lambda p$ is all there is, and Adam divides it by its own size: they move by $\eta$ in every
# step, *whatever $\lambda$ is*, until they are gone. Where the data give large gradients the same $\lambda$ is divided by
# those, and does next to nothing. So with Adam, decay in the gradient works hardest where the data say least, and
# $\lambda$ means nothing. Decoupled, it means what it says.
#
# ## Fifth experiment: where Adam fails
#
# Predict a single number $p$ for 1,010 samples. One in 101 of them is $-505$, the others are 5. The mean squared error
# is lowest at the mean, $-0.05$. One sample at a time, as in
# [Reddi, Kale & Kumar 2018, *On the convergence of Adam and beyond*](https://arxiv.org/abs/1904.09237).

# %%
rare = np.where(np.arange(1010) % 101 == 0, -505.0, 5.0)
one_number = kit.Experiment(
    dataset=(np.zeros((1010, 1)), rare),
    model="linear",
    loss="mse",
    backend=framework.name,
    dtype="float64",
    batch_size=1,
    validation_fraction=0,
    standardise=False,
    budget=kit.Budget(steps=20_000),
    evaluate_every=200,
    probes=("trajectory",),
)
wrong = guide.predict(
    "Adam with β₂ = 0.9 remembers about ten squares of gradients. Where does p settle?",
    {
        "mean": "Near the mean, −0.05.",
        "most": "Near 5, where most samples are.",
        "rare": "Near −505.",
    },
    default="mean",
)
wrong

# %%
rules = {
    "SGD": kit.optimizer("sgd", learning_rate=1e-4),
    "Adam, β₂ = 0.9": kit.optimizer("adam", learning_rate=0.01, beta2=0.9),
    "Adam, β₂ = 0.99": kit.optimizer("adam", learning_rate=0.01, beta2=0.99),
    "Adam, β₂ = 0.9999": kit.optimizer("adam", learning_rate=0.01, beta2=0.9999),
    "AMSGrad, β₂ = 0.99": kit.optimizer("amsgrad", learning_rate=0.01, beta2=0.99),
}
paths = {}
for name, optimizer in rules.items():
    run = await guide.run(one_number.replace(optimizer=optimizer))
    paths[name] = run.curve("bias.0")

# %%
settles = {name: path.iloc[len(path) // 2 :].mean() for name, path in paths.items()}
wrong.compare("most" if settles["Adam, β₂ = 0.9"] > 3 else "mean")
guide.show(
    guide.lines(
        {
            name: (path.index, path.rolling(10, min_periods=1).mean().to_numpy())
            for name, path in paths.items()
        },
        x="step",
        y="the number p (mean of 2,000 steps)",
        x_scale="linear",
        y_scale="linear",
        title="With a short memory Adam settles where most samples are",
        words="The number p by step. With SGD, with Adam and a long memory, and with AMSGrad it stays near the mean, −0.05. "
        "With β₂ = 0.99 Adam settles near 2, with β₂ = 0.9 near 5.",
    )
)
guide.check(
    "With β₂ = 0.9 Adam settles above 4, with 0.99 between 1 and 4; the others within 0.5 of the mean",
    settles["Adam, β₂ = 0.9"] > 4
    and 1 < settles["Adam, β₂ = 0.99"] < 4
    and all(
        abs(settles[name] - rare.mean()) < 0.5
        for name in ("SGD", "Adam, β₂ = 0.9999", "AMSGrad, β₂ = 0.99")
    ),
    "Let the five runs finish.",
)

# %% [markdown]
# ### Explain
#
# When the rare sample comes, its huge gradient enters $v$ at once and is divided by its own size: it moves $p$ by a few
# $\eta$, once, and is soon forgotten. The other hundred each move it by about $\eta$. So the steps vote by *number*
# and not by size, and $p$ goes to where most samples are. A memory $1/(1-\beta_2)$ that is much longer than the time
# between rare samples mends it, and so does AMSGrad, whose $v$ never falls. A larger batch does too: then every batch
# holds some.
#
# ## What to decide
#
# - Columns of different sizes: standardise first. Then the choice of the rule matters far less.
# - A deep network, a transformer, rare features: Adam, and AdamW as soon as there is weight decay.
# - Rare samples that matter and small batches: a larger $\beta_2$, AMSGrad, or plain stochastic gradient descent (SGD).
# - Flat directions that mix parameters: [momentum in long valleys](04_momentum.ipynb) helps where adaptive rates do not; Adam has both.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="sales.csv", target="price"`. The cell
# compares plain mini-batches and Adam, each over a grid of learning rates, and says whether a difference is shown.

# %% tags=["nbval-ignore-output"]
mine = kit.Experiment(
    dataset="wine",
    model=kit.model("mlp", hidden=(16,)),
    backend=framework.name,
    batch_size=16,
    budget=kit.Budget(steps=300),
)
both = [
    experiment
    for name, rates in {
        "minibatch": kit.log_grid(1e-3, 1, 2),
        "adam": kit.log_grid(1e-4, 1e-1, 2),
    }.items()
    for experiment in mine.replace(optimizer=name)
    .vary(learning_rate=rates, replicate=range(5))
    .experiments
]
compared = await guide.run(kit.Study(both))
guide.say(compared.sentences()[0])
