# %% [markdown]
# # 08 · Tuning: what to try, in which order, and when to stop
#
# **Afterwards you can decide** which learning rate to take after a minute of work, whether to refine it, and what to
# tune first if you can afford $n$ runs and no more.
#
# 20 minutes. Before it: [choosing an optimizer](07_choosing_an_optimizer.ipynb).

# %%
import numpy as np

import kit
from kit import guide
from kit.results.statistics import paired_difference
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## First experiment: the range test
#
# One run, in which the learning rate grows by the same factor at every step, from much too small to much too large:
# $\eta_t = \eta_0 \, (\eta_T / \eta_0)^{t/T}$. The loss of each batch says how that rate did
# ([Smith 2017, *Cyclical learning rates for training neural networks*](https://arxiv.org/abs/1506.01186)). The
# optimizer is momentum, whose rule is

# %%
guide.formula("momentum")

# %%
network = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    optimizer="momentum",
    batch_size=64,
    backend=framework.name,
)
LOWEST, HIGHEST, STEPS = 1e-4, 100.0, 200
ranging = network.replace(
    optimizer=kit.optimizer("momentum", learning_rate=LOWEST),
    schedule=kit.schedule("exponential", final=HIGHEST / LOWEST),
    budget=kit.Budget(steps=STEPS),
)
where = guide.predict(
    "The loss falls while the rate grows, reaches a lowest value, and then rises steeply. Which rate will train best in a "
    "proper run?",
    {
        "lowest": "That at which the loss is lowest.",
        "before": "A smaller one: the loss is lowest when the rate is already too large.",
        "after": "A larger one: as large as it can bear.",
    },
    default="lowest",
)
where

# %% tags=["nbval-ignore-output"]
test = await guide.run(
    ranging
)  # it ends as it should: the last rates are beyond what any run can bear

# %%
curve = test.curve("batch_loss")
rates = LOWEST * (HIGHEST / LOWEST) ** ((curve.index.to_numpy() - 1) / STEPS)
smooth = (
    curve.ewm(span=12).mean().to_numpy()
)  # batches differ: a running mean shows the trend
at_lowest = float(rates[np.nanargmin(smooth)])
suggested = (
    at_lowest / 10
)  # a rule of thumb: a tenth of the rate at which the loss turns
seen = rates < 3 * at_lowest
guide.show(
    guide.lines(
        {"loss of the batches, smoothed": (rates[seen], smooth[seen])},
        x="learning rate of the step",
        y="loss",
        x_scale="log",
        y_scale="linear",
        marks={"a tenth": suggested, "loss is lowest": at_lowest},
        title="One run shows where rates begin to hurt",
        words="The smoothed loss of the batches against the learning rate of the step, in one run. It stays near its start "
        "for small rates, falls steeply over about two factors of ten, turns at a rate that is marked, and rises. A "
        "tenth of that rate is marked as well.",
    )
)
guide.check(
    "The loss turns between 0.03 and 3",
    0.03 < at_lowest < 3,
    "Run the range test again, to its end.",
)

# %% [markdown]
# ## Second experiment: a grid, as one program
#
# Now the proper runs: thirteen rates, three replicates each, 39 runs of 200 steps. They differ in numbers only, so the
# kit trains them together, as one *stack*: one program whose arrays have one more axis.

# %%
times = guide.predict(
    "39 runs as one stack: how long does it take, compared with a single run?",
    {
        "as": "39 times as long: the work is the same.",
        "less": "Less than 20 times as long.",
    },
    default="as",
)
times

# %% tags=["nbval-ignore-output"]
RATES = kit.log_grid(1e-3, 1.0, per_decade=4)
short = network.replace(budget=kit.Budget(steps=200), evaluate_every=200)
single = await guide.run(
    short.replace(optimizer=kit.optimizer("momentum", learning_rate=0.05))
)
grid = await guide.run(short.vary(learning_rate=RATES, replicate=range(3)))

# %%
ratio = grid.runs[0].cost.seconds / single.cost.seconds
times.compare(
    "less" if ratio < 20 else "as",
    "most of the time of a small step is spent on calling, not on calculating, and a stack calls once for all",
)

# %%
search = grid.searches("validation_loss")[0]
best = float(search.best.labels["learning_rate"])
good = [float(lane.labels["learning_rate"]) for lane in search.good]
where.compare(
    "before" if best < at_lowest / 2 else "after" if best > 2 * at_lowest else "lowest",
    "in the range test every rate acts for a few steps only; what is a little too large has no time to do harm",
)
guide.show(
    grid.plot_sensitivity("validation_loss"),
    "The validation loss against the learning rate, both axes logarithmic: a valley. It falls over more than a factor of "
    "ten in the rate, has its lowest point between 0.01 and 1, and rises beyond. The best rate is ringed and the range "
    "within 10% of it drawn thick.",
)
guide.check(
    "The range test's suggestion, a tenth of where the loss turns, is within a factor of five of the best of the grid",
    1 / 5 < suggested / best < 5,
    "Let both studies run to their end.",
)

# %% [markdown]
# ### Explain
#
# A *sensitivity curve* says more than its lowest point. How wide is the valley? A method whose valley is wide forgives a
# wrong guess; one with a narrow valley must be tuned again for every new problem. Does the curve end inside the grid? A
# best value at an edge means that the grid was too short. Which side is steep? To the right the run diverges at once, to
# the left it is merely slow: if in doubt, take the smaller rate.
#
# The valley in the logarithm of the rate is a parabola near its bottom. So rates belong on a logarithmic grid: the
# difference between 0.01 and 0.03 matters as much as that between 0.1 and 0.3.
#
# ## Third experiment: refine?
#
# The grid has four rates to a factor of ten. Between the best one and its neighbours there may be a better one.

# %%
refined = guide.predict(
    "Seven rates between the best one's two neighbours, five fresh replicates. Is one of them shown to be better than the "
    "best of the grid?",
    {"yes": "Yes: finer is better.", "no": "No difference is shown."},
    default="yes",
)
refined

# %%
FINE = [float(f"{best * 10 ** (i / 16):.4g}") for i in (-3, -2, -1, 0, 1, 2, 3)]
fine = await guide.run(short.vary(learning_rate=FINE, replicate=range(100, 105)))
finest = fine.best("validation_loss")
rate = finest.labels["learning_rate"]
of = {
    r: [run.final("validation_loss") for run in fine.select(learning_rate=r)]
    for r in FINE
}
gain = paired_difference(of[rate], of[FINE[3]], log=True) if rate != FINE[3] else None
shown = (
    gain is not None and gain.high < 1 and gain.p < 0.05 / (len(FINE) - 1)
)  # six were compared with it
refined.compare(
    "yes" if shown else "no",
    "near the bottom of a valley the loss hardly changes, and replicates scatter more than that",
)

# %% [markdown]
# ### Explain
#
# At the bottom of a parabola the slope is zero: a rate that is off by a third costs a percent or two, while one split of
# the data differs from the next by ten times that. A second, finer grid is worth its price only if the curve's change
# over one grid step is larger than the interval at each point. Look at the curve, then decide; usually: stop.
#
# ## Fourth experiment: schedules need a rate of their own
#
# A *schedule* lowers the learning rate as the run goes on. Half a cosine goes from $\eta$ to 0:
# $\eta_t = \tfrac{\eta}{2} (1 + \cos \pi t / T)$. Its rates are smaller than $\eta$ nearly always.

# %%
larger = guide.predict(
    "What is the best η under the cosine, compared with the best constant one?",
    {
        "same": "The same.",
        "larger": "At least as large, and at large rates the cosine does better than a constant rate.",
        "smaller": "Smaller.",
    },
    default="same",
)
larger

# %% tags=["nbval-ignore-output"]
TOP = kit.log_grid(0.01, 0.3, per_decade=4)
batches = short.replace(
    batch_size=16
)  # small batches are noisy: here a falling rate has something to do
schedules = await guide.run(
    batches.vary(schedule=["constant", "cosine"], learning_rate=TOP, replicate=range(3))
)


# %%
def train_losses(schedule):
    """rate -> geometric mean of the final training loss; infinite where a run did not finish."""
    found = {}
    for r in TOP:
        lane = schedules.select(schedule=schedule, learning_rate=r).lanes[0]
        found[r] = lane.mean("train_loss", log=True).estimate if lane.whole else np.inf
    return found


constant, cosine = train_losses("constant"), train_losses("cosine")
best_constant, best_cosine = (
    min(constant, key=constant.get),
    min(cosine, key=cosine.get),
)
large = [r for r in TOP if r > best_constant and np.isfinite(constant[r])][:2]
wins = all(cosine[r] < constant[r] for r in large)
larger.compare(
    "larger"
    if best_cosine >= best_constant and wins
    else "smaller"
    if best_cosine < best_constant
    else "same",
    "its mean rate is half of η, and its small rates at the end take the noise out that large ones bring in",
)
guide.show(
    guide.lines(
        {
            name: (
                [r for r in TOP if np.isfinite(found[r])],
                [v for v in found.values() if np.isfinite(v)],
            )
            for name, found in (("constant", constant), ("cosine", cosine))
        },
        x="learning rate η",
        y="training loss after 200 steps",
        x_scale="log",
        y_scale="log",
        title="Under a cosine the valley reaches further to the right",
        words="The training loss against the learning rate for a constant rate and under half a cosine. At small rates the "
        "constant one is lower; at large rates the cosine is, and its curve turns up later.",
    )
)
guide.check(
    "At rates above the best constant one the cosine ends lower",
    bool(large) and wins,
    "Let the study above run to its end.",
)

# %% [markdown]
# So a schedule that is tried at the constant rate's best value is tried at the wrong one. Tune $\eta$ with the schedule
# that you will use.
#
# ## Fifth experiment: what to tune first
#
# Momentum has three numbers: the learning rate $\eta$, the momentum $\mu$, and the weight decay $\lambda$. All
# combinations of seven, three and three values are 63 runs; being numbers only, they train as one stack too.

# %%
first = guide.predict(
    "Which one explains most of how the results differ?",
    {
        "rate": "The learning rate η.",
        "momentum": "The momentum μ.",
        "decay": "The weight decay λ.",
        "alike": "They matter about equally.",
    },
    default="alike",
)
first

# %% tags=["nbval-ignore-output"]
AXES = {
    "learning_rate": kit.log_grid(3e-4, 0.3, per_decade=2),
    "momentum": (0.0, 0.5, 0.9),
    "weight_decay": (1e-5, 1e-4, 1e-3),
}
table = await guide.run(short.vary(**AXES))

# %% tags=["nbval-ignore-output"]
ends = np.array(
    [run.finals["validation_loss"] if run.status == "done" else np.nan for run in table]
)
losses = np.log(np.where(np.isfinite(ends), ends, np.nanmax(ends))).reshape(
    [len(values) for values in AXES.values()]
)
names = list(AXES)


def main_effect(axis):
    """The share of the variance of the log loss that one hyperparameter explains by itself."""
    others = tuple(i for i in range(losses.ndim) if i != axis)
    return float(losses.mean(axis=others).var() / losses.var())


shares = {name: main_effect(i) for i, name in enumerate(names)}
shares["η and μ together, beyond each alone"] = float(
    losses.mean(axis=2).var() / losses.var()
    - shares["learning_rate"]
    - shares["momentum"]
)
largest = max(names, key=shares.get)
first.compare(
    {"learning_rate": "rate", "momentum": "momentum", "weight_decay": "decay"}[largest]
)
guide.table(
    [[name, f"{100 * round(share, 1):.0f}%"] for name, share in shares.items()],
    ["hyperparameter", "share of the variance, to the nearest 10%"],
    "How much of the differences between the 63 results each number explains.",
)
guide.check(
    "The learning rate explains more than half, the weight decay less than a twentieth",
    shares["learning_rate"] > 0.5 and shares["weight_decay"] < 0.05,
    "Let the study above run to its end.",
)

# %% [markdown]
# ### Explain
#
# Split the variance of the results over a full grid into what each number explains alone and what only pairs of them do
# ([Hutter, Hoos & Leyton-Brown 2014, *An efficient approach for assessing hyperparameter importance*](https://proceedings.mlr.press/v32/hutter14.html)).
# The learning rate is nearly always the largest part. The pair of $\eta$ and $\mu$ has one too, for what acts is
# $\eta / (1 - \mu)$ ([the notebook on momentum](04_momentum.ipynb)): who changes $\mu$ must change $\eta$ with it. That
# has a consequence for how to spend $n$ runs. Nine runs can be a 3 × 3 grid over $\eta$ and $\lambda$, or nine values
# of $\eta$ alone, or nine points drawn at random. The 63 results are a table in which every such search can be played:

# %% tags=["nbval-ignore-output"]
draws = np.random.default_rng(0)
best_of_all = losses.min()


def regret(chosen):
    """How far above the best of the table a search ends: a factor, the median over 2,000 plays."""
    return float(
        np.exp(
            np.median([losses[tuple(np.transpose(cells))].min() for cells in chosen])
            - best_of_all
        )
    )


size = losses.shape
RUNS = 6
plays = {
    "2 rates × 3 weight decays": [
        [(i, m, k) for i in draws.choice(size[0], 2, replace=False) for k in range(3)]
        for m in draws.integers(size[1], size=2000)
    ],
    "6 rates, the rest as it is": [
        [(i, m, k) for i in draws.choice(size[0], RUNS, replace=False)]
        for m, k in zip(
            draws.integers(size[1], size=2000),
            draws.integers(size[2], size=2000),
            strict=True,
        )
    ],
    "6 random points": [
        [
            tuple(np.unravel_index(i, size))
            for i in draws.choice(losses.size, RUNS, replace=False)
        ]
        for _ in range(2000)
    ],
}
factors = {name: regret(chosen) for name, chosen in plays.items()}
guide.table(
    [[name, f"{factor:.2f}"] for name, factor in factors.items()],
    ["how six runs are spent", "loss, as a multiple of the best of all 63"],
    "Three ways to spend six runs, each played 2,000 times on the table of results; the median play.",
)
guide.check(
    "Six rates find a lower loss than two rates with three weight decays",
    factors["6 rates, the rest as it is"] < factors["2 rates × 3 weight decays"],
    "Let the study above run to its end.",
)

# %% [markdown]
# A grid over something that does not matter repeats every value of what does. Random points never repeat one, which is
# why they beat grids when nobody knows what matters
# ([Bergstra & Bengio 2012, *Random search for hyper-parameter optimization*](https://jmlr.org/papers/v13/bergstra12a.html)).
#
# **Exercise.** You can afford 20 runs. A colleague proposes a grid of 5 learning rates, 2 momenta and 2 batch sizes. How
# many *different learning rates* would 20 runs try if they were random points instead? Put a number in place of the dots.

# %%
guide.answer("different learning rates", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# How many runs of the grid share one learning rate?
#
# </details>
#
# <details><summary>Solution</summary>
#
# 20: the grid repeats each of its 5 rates four times, once for every combination of the other two; a random point is
# drawn for every run.
#
# </details>

# %% [markdown]
# ## What to decide
#
# With $n$ runs at hand, in this order:
#
# - $n = 1$: a range test, and a tenth of the rate at which the loss turns.
# - $n \approx 10$: the learning rate alone, on a logarithmic grid, two to a factor of ten, wide enough that the best is
#   not at an edge. As one stack that costs little more than one run.
# - $n \approx 30$: the same with the schedule that you will use, three replicates, and look at the width of the valley.
# - $n \approx 100$: now the momentum (with $\eta / (1-\mu)$ on the grid instead of $\eta$) or the batch size; random
#   points where you do not know what matters.
# - Refine last, if the curve's change over one step of the grid is larger than the intervals.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="customers.csv", target="churned"`. The cell
# makes a range test, a grid around what it suggests, and says which rate to take and how much the choice matters.

# %%
mine = kit.Experiment(
    dataset="wine",
    model=kit.model("mlp", hidden=(16,)),
    optimizer="adam",
    batch_size=32,
    budget=kit.Budget(steps=150),
    evaluate_every=150,
    backend=framework.name,
)
my_test = await mine.replace(
    optimizer=kit.optimizer("adam", learning_rate=1e-5),
    schedule=kit.schedule("exponential", final=1e6),
).start(progress=False)
my_losses = my_test.curve("batch_loss").ewm(span=12).mean()
turns = float(1e-5 * 1e6 ** (my_losses.idxmin() / 150))
my_grid = await guide.run(
    mine.vary(
        learning_rate=kit.log_grid(turns / 1e4, turns, per_decade=2), replicate=range(3)
    )
)
found = my_grid.searches("validation_loss")[0]
edge = "at an edge of the grid: widen it" if found.edge else "inside the grid"
guide.say(
    f"The range test turns near {number(turns, 1)}. The best rate of the grid lies {edge}."
)
