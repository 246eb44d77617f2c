# %% [markdown]
# # 02 · Stochastic gradient descent: one sample at a time
#
# **Afterwards you can decide** whether a loss that no longer falls has run out of steps or into noise, and what to do
# about it: a smaller learning rate, a schedule, or an average.
#
# 15 minutes. Before it: [gradient descent and its limit](01_gradient_descent.ipynb). Stochastic gradient descent (SGD)
# is what nearly all training is made of.

# %%
from itertools import pairwise

import numpy as np

import kit
from kit import guide

framework = guide.framework()
framework

# %% [markdown]
# ## The rule
#
# Gradient descent looks at all samples before each step. SGD looks at one, $i$, drawn anew each time:
#
# $$ p \leftarrow p - \eta\, \nabla \ell_i(p), \qquad
#    \mathbb E_i\, \nabla \ell_i(p) = \nabla L(p) . $$
#
# On average it goes where gradient descent goes, at a fraction of the price: with 354 people in the training data, for
# one step of gradient descent you get 354 of SGD.

# %%
guide.formula("sgd")

# %% [markdown]
# ## First experiment: the same number of samples
#
# The data and the model are those of the last notebook: 442 people with diabetes, and a line.

# %%
line = kit.Experiment(
    dataset="diabetes",
    model="linear",
    loss="mse",
    optimizer=kit.optimizer("gd", learning_rate=0.12),
    backend=framework.name,
    dtype="float64",
    budget=kit.Budget(epochs=30),
    evaluate_every=1,
)
who = guide.predict(
    "Each sees every sample 30 times: gradient descent takes 30 steps, SGD 10,620. Whose training loss is lower?",
    {
        "gd": "Gradient descent's: it always goes the right way.",
        "sgd": "Stochastic gradient descent's: it takes 354 times as many steps.",
    },
    default="gd",
)
who

# %%
small = kit.optimizer("sgd", learning_rate=0.001)
descent = await guide.run(line)
stochastic = await guide.run(line.replace(optimizer=small, evaluate_every=118))

# %%
best = await guide.run(
    line.replace(
        optimizer=kit.optimizer("gd", learning_rate=0.23),
        budget=kit.Budget(steps=4000),
        evaluate_every=4000,
    )
)
lowest = best.final(
    "train_loss"
)  # what gradient descent reaches in the end: the lowest there is
excess = {
    "gradient descent": descent.curve("train_loss", against="samples") - lowest,
    "SGD, η = 0.001": stochastic.curve("train_loss", against="samples") - lowest,
}
who.compare(
    "sgd"
    if excess["SGD, η = 0.001"].iloc[-1] < excess["gradient descent"].iloc[-1]
    else "gd",
    "measured in samples, a step of SGD costs next to nothing",
)
guide.show(
    guide.lines(
        {
            name: (curve.index[1:], curve.to_numpy()[1:])
            for name, curve in excess.items()
        },
        x="samples seen",
        y="training loss above the lowest",
        x_scale="log",
        y_scale="log",
        title="For the same samples, SGD gets lower",
        digits=1,
    )
)

# %% [markdown]
# ## Second experiment: the noise floor
#
# A single sample's gradient is right on average only. Even at the lowest point of $L$ the gradients of single samples
# are not zero: they cancel. So what happens there with a constant learning rate?

# %%
floor = guide.predict(
    "SGD runs four times longer, with a constant learning rate η. Where does the training loss end?",
    {
        "lowest": "At the lowest point, if one waits long enough.",
        "same": "Above it, by an amount that does not depend on η.",
        "rate": "Above it, by an amount that grows with η.",
    },
    default="lowest",
)
floor

# %%
rates = [0.002, 0.004, 0.008, 0.016]
sgd = line.replace(optimizer="sgd", budget=kit.Budget(steps=40_000), evaluate_every=200)
noisy = await guide.run(sgd.vary(learning_rate=rates))
levels = {}
for rate, run in zip(rates, noisy, strict=True):
    curve = run.curve("train_loss")
    levels[rate] = curve.iloc[len(curve) // 4 :].mean() - lowest

# %%
grows = all(levels[high] > 1.5 * levels[low] for low, high in pairwise(rates))
floor.compare(
    "rate" if grows else "same",
    "with every doubling of η the loss stays further above the lowest",
)
guide.show(
    guide.lines(
        {
            f"η = {rate:g}": (smooth.index[1:], smooth.to_numpy()[1:])
            for rate, run in zip(rates, noisy, strict=True)
            if len(
                smooth := (run.curve("train_loss") - lowest)
                .rolling(15, min_periods=1)
                .mean()
            )
        },
        x="step",
        y="training loss above the lowest (mean of 3,000 steps)",
        x_scale="linear",
        y_scale="log",
        title="Each learning rate has its own floor",
        words="The training loss above the lowest one, by step, for four learning rates. Each curve falls within a few "
        "thousand steps and then goes up and down around a level of its own; the larger the rate, the higher the level.",
    )
)

# %% [markdown]
# ### Explain
#
# Near its lowest point the loss is a bowl with the Hessian $H$. A step pulls the parameters towards the middle by
# $\eta H (p - p^*)$ and kicks them by $\eta$ times a noise of covariance $\Sigma$, that of single samples' gradients.
# Where pull and kick balance, the parameters scatter with a covariance $C$ that satisfies, for small $\eta$,
#
# $$ H C + C H = \eta\, \Sigma , \qquad\text{so that the loss stays above the lowest by}\qquad
#    \tfrac12 \operatorname{tr} (H C) = \tfrac{\eta}{4} \operatorname{tr} \Sigma . $$
#
# (Take the trace on both sides.) The probe `gradient_noise` reads $\operatorname{tr} \Sigma$.

# %%
at_lowest = await guide.run(
    line.replace(
        optimizer=kit.optimizer("gd", learning_rate=0.23),
        budget=kit.Budget(steps=4000),
        evaluate_every=4000,
        probes=(kit.probe("gradient_noise", batch=1, batches=354),),
    )
)
trace = at_lowest.final("gradient_variance")
guide.table(
    [
        [f"{rate:g}", f"{level:.1g}", f"{rate * trace / 4:.1g}"]
        for rate, level in levels.items()
    ],
    ["learning rate η", "measured", "η tr Σ / 4"],
    f"How far above the lowest the loss stays; tr Σ is {trace:.0f}.",
)
guide.check(
    "The formula is right to within a factor of 2.5 for every rate",
    all(1 / 2.5 < level / (rate * trace / 4) < 2.5 for rate, level in levels.items()),
    "Let the runs above finish; a run that was stopped has not reached its floor.",
)

# %% [markdown]
# Why not exactly? The derivation draws samples independently, and takes $\Sigma$ to be the same everywhere. The kit goes
# through the samples epoch by epoch, each once, in random order: within an epoch the kicks cancel in part, which helps
# the small rates. And away from the lowest point single gradients are larger, which hurts the large ones.
#
# ## Third experiment: below the floor
#
# Three remedies, each with the same learning rate of 0.008 at the start and 10,000 steps:
#
# - a **schedule** lowers $\eta$ as the run goes on: half a cosine, or three drops to a tenth;
# - an **average** of the parameters along the way takes the noise out and leaves the middle
#   ([Polyak & Juditsky 1992, *Acceleration of stochastic approximation by averaging*](https://doi.org/10.1137/0330046));
#   the rule `schedule_free` steps from such an average
#   ([Defazio et al. 2024, *The road less scheduled*](https://arxiv.org/abs/2405.15682)).

# %%
remedy = guide.predict(
    "By how much do they lower the distance to the lowest loss?",
    {
        "little": "By a third or so.",
        "tenfold": "By a factor of ten or more.",
        "not": "Not at all: fewer large steps, slower training.",
    },
    default="little",
)
remedy

# %%
base = line.replace(
    optimizer=kit.optimizer("sgd", learning_rate=0.008), budget=kit.Budget(steps=10_000)
)
base = base.replace(evaluate_every=200)
runs = {
    "constant": await guide.run(base),
    "cosine": await guide.run(base.replace(schedule="cosine")),
    "three drops": await guide.run(
        base.replace(schedule=kit.schedule("step", factor=0.1, every_fraction=0.25))
    ),
    "averaged": await guide.run(
        base.replace(
            optimizer=kit.optimizer("schedule_free", learning_rate=0.008), batch_size=1
        )
    ),
}

# %%
constant = runs["constant"].curve("train_loss").iloc[10:].mean() - lowest
gains = {
    name: constant / (run.final("train_loss") - lowest)
    for name, run in runs.items()
    if name != "constant"
}
remedy.compare(
    "tenfold"
    if min(gains.values()) > 10
    else "little"
    if min(gains.values()) > 1.2
    else "not"
)
guide.show(
    guide.lines(
        {
            name: (
                run.curve("train_loss").index[1:],
                run.curve("train_loss").to_numpy()[1:] - lowest,
            )
            for name, run in runs.items()
        },
        x="step",
        y="training loss above the lowest",
        x_scale="linear",
        y_scale="log",
        title="Decay and averaging go below the floor",
        words="The training loss above the lowest one, by step. With a constant learning rate it goes up and down around "
        "its floor. With cosine decay, with three drops, and with averaging it ends more than ten times lower.",
    )
)
guide.check(
    "Every remedy ends at least ten times nearer to the lowest loss than the constant rate stays",
    min(gains.values()) > 10,
    "Let the four runs finish and run this cell again.",
)

# %% [markdown]
# ### Explain
#
# A large rate forgets the start quickly, a small one has a low floor; a falling one has both. Robbins and Monro proved in
# 1951 when that leads to the lowest point itself: the rates must sum to infinity (so that any distance can be gone) and
# their squares to something finite (so that the kicks die out). Averaging does it differently: the scatter of the
# parameters is symmetric, so its mean is where you wanted to be.
#
# **Exercise.** A run with $\eta = 0.01$ stays at a training loss of 0.50; the lowest is 0.42. What loss would you expect
# from $\eta = 0.0025$, given enough steps? Put a number in place of the dots.

# %%
guide.answer("a lower floor", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The floor is $\eta \operatorname{tr} \Sigma / 4$ *above the lowest loss*. The rate is a quarter of what it was.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $0.50 - 0.42 = 0.08$ is the distance at $\eta = 0.01$; a quarter of it is $0.02$, so the loss is $0.44$. It takes about
# four times as many steps to get there.
#
# </details>

# %% [markdown]
# ## What to decide
#
# - The loss no longer falls and goes up and down: it is at its floor. Lower the rate, or let a schedule do it.
# - The loss no longer falls and is smooth: that is no floor. More steps, or [momentum in long valleys](04_momentum.ipynb).
# - A larger batch lowers the floor too: $\Sigma$ becomes $\Sigma / b$. What that costs is the next notebook's question,
#   [what a batch buys](03_mini_batches.ipynb).

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="sales.csv", target="price"`. The cell
# trains with a constant rate and with cosine decay, and says which ends lower.

# %%
mine = kit.Experiment(
    dataset="breast_cancer",
    model="linear",
    optimizer=kit.optimizer("sgd", learning_rate=0.03),
    backend=framework.name,
    budget=kit.Budget(epochs=10),
)
ways = await guide.run(mine.vary(schedule=["constant", "cosine"]))
ends = {
    name: run.final("train_loss")
    for name, run in zip(("constant", "cosine"), ways, strict=True)
}
guide.say(
    f"The lower training loss comes with the schedule “{min(ends, key=ends.get)}”."
)
last = np.ptp(ways.runs[0].curve("train_loss").iloc[-10:])
guide.say(
    "With the constant rate the loss still goes up and down at the end."
    if last > 0
    else "It stands still."
)
