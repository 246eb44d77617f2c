# %% [markdown]
# # 07 · Choosing an optimizer: a fair comparison
#
# **Afterwards you can decide** which optimizer to take for your problem, whether a difference between two is real, and
# when the right answer is "no difference shown".
#
# 20 minutes. Before it: [adaptive methods](05_adaptive_methods.ipynb), or knowing what momentum and Adam do.

# %%
import numpy as np

import kit
from kit import guide
from kit.results.statistics import half_width, holm
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## The rules of a fair comparison
#
# Four optimizers: plain mini-batches, momentum, Nesterov's momentum, and Adam. Here is Adam again, as it trains here. In
# the formula $p$ stands for the parameters, $g$ for the gradient and $η$ for the learning rate; the lines of code below it
# are the ones that run.

# %%
guide.formula("adam")

# %% [markdown]
# What should be the same for all four? The data, the model, the initial weights, the batches: the kit takes care of
# that. Replicate number $r$ of every optimizer has the same split of the data, the same start and the same order of
# batches. And what must *not* be the same is the learning rate: a step of 0.1 means one thing to plain mini-batches and
# another to Adam, which divides by the size of its gradients. So each has a default of its own: 0.1 for plain
# mini-batches, 0.01 for the two with momentum, 0.001 for Adam. Is that fair?
#
# ## First experiment: the defaults, and after tuning
#
# Every optimizer gets the same tuning budget: the same nine learning rates from 0.001 to 10, three replicates each.
# Whatever was tried for one was tried for all. The largest rates are too large for some: those runs *diverge*, their loss
# grows without bound, and the kit ends them and says so. That belongs to the answer.

# %%
METHODS = ("minibatch", "momentum", "nesterov", "adam")
network = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    batch_size=64,
    budget=kit.Budget(steps=200),
    evaluate_every=200,
    backend=framework.name,
)
order = guide.predict(
    "With its default learning rate Adam ends with more than twice the validation loss of the others. And with the best of "
    "nine rates?",
    {
        "last": "It stays the last: the better method is better at any rate that makes sense.",
        "near": "It comes near to the others, but not before them.",
        "up": "It is among the two best.",
    },
    default="last",
)
order

# %%
defaults = await guide.run(network.vary(optimizer=METHODS, replicate=range(3)))

# %% tags=["nbval-ignore-output"]
RATES = kit.log_grid(
    1e-3, 10.0, per_decade=2
)  # the largest of them are too large for some
tuning = await guide.run(
    network.vary(optimizer=METHODS, learning_rate=RATES, replicate=range(3))
)


# %%
def mean_loss(results, **labels):
    """The geometric mean of the final validation loss over the replicates that finished; infinite if one did not."""
    lane = results.select(**labels).lanes[0]
    return lane.mean("validation_loss", log=True).estimate if lane.whole else np.inf


at_default = {name: mean_loss(defaults, optimizer=name) for name in METHODS}
by_rate = {
    name: {
        rate: mean_loss(tuning, optimizer=name, learning_rate=rate) for rate in RATES
    }
    for name in METHODS
}
best_rate = {name: min(losses, key=losses.get) for name, losses in by_rate.items()}
tuned = {name: by_rate[name][best_rate[name]] for name in METHODS}
rank = sorted(tuned, key=tuned.get).index("adam")
order.compare("up" if rank < 2 else "last" if rank == len(METHODS) - 1 else "near")
guide.check(
    "At its default Adam is the last of the four, with more than twice the loss; tuning makes it more than three times better",
    at_default["adam"] > 2 * max(at_default[name] for name in METHODS if name != "adam")
    and at_default["adam"] / tuned["adam"] > 3,
    "Let the studies above run to their end.",
)

# %% tags=["nbval-ignore-output"]
guide.table(
    [
        [
            name,
            number(at_default[name], 2),
            f"{best_rate[name]:g}",
            number(tuned[name], 2),
        ]
        for name in METHODS
    ],
    [
        "optimizer",
        "validation loss at its default",
        "best of nine rates",
        "validation loss there",
    ],
    "The same four optimizers, before and after equal tuning.",
)

# %%
guide.show(
    guide.lines(
        {
            name: (
                [r for r in RATES if losses[r] < 5],
                [v for v in losses.values() if v < 5],
            )
            for name, losses in by_rate.items()
        },
        x="learning rate",
        y="validation loss after 200 steps",
        x_scale="log",
        y_scale="log",
        title="Each method has a valley of its own",
        words="The validation loss against the learning rate, both axes logarithmic. Each of the four curves falls to a "
        "lowest point, beyond which it rises or the runs diverge. Adam's lies at a learning rate far below that of plain mini-batches; "
        "momentum and Nesterov lie in between, one nearly upon the other.",
    )
)

# %% [markdown]
# ### Explain
#
# A default is somebody's guess for somebody's problem. Whoever compares defaults compares guesses, and whoever tunes the
# new method and leaves the old one at its default will always find progress. Here tuning gains a factor of two to five
# with every method; what the choice of the method gains we are about to see. That is how many published rankings came about
# ([Choi et al. 2019, *On empirical comparisons of optimizers for deep learning*](https://arxiv.org/abs/1910.05446);
# [Schmidt, Schneider & Hennig 2021, *Descending through a crowded valley*](https://arxiv.org/abs/2007.01547)).
#
# One more trap. The best of nine rates was chosen *by its result*, so that result is flattered: among nine noisy numbers
# the lowest is, on average, too low. So the comparison proper is made with **fresh replicates**, which had no say in the
# tuning.

# %%
fresh = network.vary(
    optimizer=[kit.optimizer(name, learning_rate=best_rate[name]) for name in METHODS],
    replicate=range(100, 112),
)
final = await guide.run(fresh)

# %% [markdown]
# ## Second experiment: pairs
#
# Twelve replicates of each. Look at plain mini-batches and Adam: each replicate has its own split of the data, and some splits
# are harder than others.
#
# From twelve replicates one gets a mean difference, and an *interval* around it that says how far the true one may lie
# from it: 95 of 100 such intervals hold the true difference. The narrower it is, the more one knows. There are two ways to
# compute it.

# %%
losses = {
    name: [run.final("validation_loss") for run in final.select(optimizer=name)]
    for name in METHODS
}  # in the order of the replicates
paired = guide.predict(
    "The interval of the difference of two methods: taken over pairs (replicate by replicate), or from two separate means. "
    "Which is narrower?",
    {
        "pairs": "That over pairs, clearly.",
        "same": "They are about the same.",
        "means": "That from the means: it has twice as many numbers.",
    },
    default="same",
)
paired

# %%
ONE, OTHER = "minibatch", "adam"
one, other = np.log(losses[ONE]), np.log(losses[OTHER])
n = len(one)
over_pairs = half_width(n, float(np.std(one - other, ddof=1)))
from_means = half_width(
    2 * n - 1, float(np.sqrt(one.var(ddof=1) + other.var(ddof=1)))
) * np.sqrt((2 * n - 1) / n)
shrinks = from_means / over_pairs
paired.compare("pairs" if shrinks > 1.25 else "means" if shrinks < 0.8 else "same")
guide.show(
    guide.lines(
        {name: (range(1, n + 1), losses[name]) for name in (ONE, OTHER)},
        x="replicate",
        y="validation loss",
        x_scale="linear",
        y_scale="log",
        title="Hard splits are hard for both",
        words=f"The validation loss of {ONE} and of {OTHER} in twelve replicates. The two lines go up and down "
        "together: a split that is hard for one is hard for the other.",
    )
)
guide.check(
    "The two go up and down together: their correlation is above one half",
    np.corrcoef(one, other)[0, 1] > 0.5,
    "Let the study above run to its end.",
)

# %% [markdown]
# ### Explain
#
# With $a_r$ and $b_r$ the logarithms of the losses in replicate $r$, the mean difference is the same either way, but its
# variance is
#
# $$ \operatorname{Var}(\bar a - \bar b) = \frac{1}{n} \left( \operatorname{Var} a + \operatorname{Var} b
#    - 2 \operatorname{Cov}(a, b) \right) . $$
#
# The split, the start and the order of the batches move both alike: the covariance is what pairing takes out. It costs
# nothing but keeping the seeds. (Logarithms, because losses spread by factors: the difference is then a ratio.)
#
# ## Third experiment: which differences are real?
#
# Four methods make six pairs, and each pair is tested. The test says how often two methods that are alike would show a
# difference as large as the measured one, by chance alone: that share is the *p-value*. Where it is below 5%, the two are
# called different. So two methods that are alike are called different in one of twenty studies. And any of the six pairs?

# %%
chance = guide.estimate(
    "Four methods that are exactly alike, all six pairs tested at 5%. In how many of 100 studies does at least one pair "
    "look different?",
    default=5,
    unit="studies of 100",
)
chance

# %%
draws = np.random.default_rng(0)
STUDIES, SEEDS = 4000, 12


def p_values(differences):
    """Two-sided t-tests of mean 0: differences (…, n) -> p (…)."""
    from scipy.special import stdtr

    size = differences.shape[-1]
    t = differences.mean(-1) / (differences.std(-1, ddof=1) / np.sqrt(size))
    return 2 * stdtr(size - 1, -np.abs(t))


equal = draws.standard_normal((STUDIES, 4, SEEDS))
pairs = [(i, j) for i in range(4) for j in range(i)]
p = np.stack(
    [p_values(equal[:, i] - equal[:, j]) for i, j in pairs], axis=1
)  # (studies, pairs)
alone = 100 * float((p < 0.05).any(axis=1).mean())
corrected = 100 * float(np.mean([min(holm(row)) < 0.05 for row in p]))
chance.compare(alone, "each pair has its own chance to mislead", digits=1)
guide.say(f"With Holm's correction it is {number(corrected, 1)} in 100.")
guide.check(
    "Holm's correction keeps what it promises: 5 in 100 at most",
    corrected < 5.5,
    "Run the cell again.",
)

# %% [markdown]
# **Holm's method**: sort the $m$ p-values. Compare the smallest with $5\% / m$, the next with $5\% / (m-1)$, and so on;
# stop at the first that is too large. All before it are shown, and the chance of even one false among them is at most 5%
# ([Holm 1979, *A simple sequentially rejective multiple test procedure*](https://www.jstor.org/stable/4615733)). The kit
# does this by itself.

# %%
real = guide.predict(
    "Each of the four at its best rate, twelve fresh replicates, six pairs: how many are shown to differ in the validation "
    "loss?",
    {"none": "None.", "some": "One to four.", "most": "Five or six."},
    default="some",
)
real

# %%
PLAIN = {"lower": "a difference is shown", "higher": "a difference is shown"}


def verdicts(metric):
    """Pair -> what is shown, after Holm's correction."""
    return {
        f"{c.a.labels['optimizer']} and {c.b.labels['optimizer']}": PLAIN.get(
            c.verdict, "no difference is shown"
        )
        for c in final.compare(metric, pairs="all")
    }


unseen, seen = verdicts("validation_loss"), verdicts("train_loss")
count = sum(verdict == "a difference is shown" for verdict in unseen.values())
real.compare("none" if count == 0 else "most" if count > 4 else "some")
guide.table(
    [[pair, unseen[pair], seen[pair]] for pair in unseen],
    ["pair", "in the validation loss", "in the training loss"],
    "What twelve pairs show, corrected for six comparisons.",
)
guide.check(
    "In the training loss all pairs but momentum and Nesterov differ",
    [pair for pair, verdict in seen.items() if verdict == "no difference is shown"]
    == ["momentum and nesterov"],
    "Let the study with the fresh replicates run to its end.",
)

# %% tags=["nbval-ignore-output"]
final.compare(pairs="all")

# %% [markdown]
# ### Explain
#
# A factor of two or more between the methods at their defaults, and nothing that twelve replicates can show once each is
# tuned. They do fit their training data at very different speeds: the lowest training loss is a fifth of the highest. The
# unseen digits, which you care about, do not notice.
#
# "No difference shown" is a result. It does not say that the methods are alike; it says that twelve replicates cannot
# tell, and the interval says *how large a difference could still hide*. If everything within the interval is too small
# to matter to you, you are done: take the method that is simpler, cheaper, or already in use. If not, more replicates
# make the interval narrower, by $\sqrt n$.
#
# **Exercise.** Twelve pairs gave an interval of ±6%. You care about differences of 2%. About how many pairs do you need?
# Put a number in place of the dots.

# %%
guide.answer("three times sharper", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The half-width is about $2 s / \sqrt n$, with the deviation $s$ of the differences, which you cannot change.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $6\% / 2\% = 3$, so $n$ grows by $3^2 = 9$: $12 \cdot 9 = 108$. Ask first whether 2% is worth that.
#
# </details>

# %% [markdown]
# ## Fourth experiment: just one more seed
#
# A habit: run three seeds, look; if nothing is shown, run a fourth, look again; and so on, up to twenty, and stop when
# the difference is "significant". Each look is an honest test at 5%.

# %%
peek = guide.predict(
    "Two methods that are exactly alike. How often does somebody who looks after every seed, from 3 to 20, find a difference?",
    {
        "five": "5% of the time: each test is right.",
        "ten": "About 10% of the time.",
        "quarter": "More than 20% of the time.",
    },
    default="five",
)
peek

# %%
SEEDS_AT_MOST = 20
differences = draws.standard_normal((STUDIES, SEEDS_AT_MOST))
looks = np.stack(
    [p_values(differences[:, :size]) for size in range(3, SEEDS_AT_MOST + 1)], axis=1
)
found_by = 100 * np.mean(
    np.minimum.accumulate(looks, axis=1) < 0.05, axis=0
)  # % of the studies, by seeds so far
fixed = 100 * np.mean(looks < 0.05, axis=0)
peek.compare("quarter" if found_by[-1] > 20 else "ten" if found_by[-1] > 8 else "five")
guide.show(
    guide.lines(
        {
            "stopping at the first difference": (range(3, SEEDS_AT_MOST + 1), found_by),
            "looking once": (range(3, SEEDS_AT_MOST + 1), fixed),
        },
        x="seeds run so far",
        y="studies that found a difference (%)",
        x_scale="linear",
        y_scale="linear",
        levels={"5%": 5.0},
        title="Looking after every seed finds what is not there",
        digits=1,
    )
)
guide.check(
    "Looking once is wrong in 5% of the studies, looking after every seed in more than 20%",
    abs(fixed[-1] - 5) < 1.5 and found_by[-1] > 20,
    "Run the cell again.",
)

# %% [markdown]
# ### Explain
#
# Every look is another chance to be misled, and one who stops at the first success never takes one back. The looks are
# not independent, so it is not $18 \times 5\%$, but it is no longer 5% either, and with enough patience it goes to 100%.
# Two ways out: fix the number of replicates *before* looking, as above; or use a test made for looking, with a stricter
# threshold at each look. How strict? For these 18 looks, by the same simulation:

# %%
threshold = float(np.quantile(looks.min(axis=1), 0.05))
guide.say(
    f"Somebody who wants to look after every seed and be wrong in 5% of the studies must ask for p below "
    f"{number(threshold, 1)} at each look."
)
guide.check(
    "That is at least three times stricter than 5%",
    threshold < 0.05 / 3,
    "Run the cell again.",
)

# %% [markdown]
# ## What to decide
#
# - Tune every candidate with the same budget, over a range that holds its best rate inside and not at an edge.
# - Compare at fresh replicates, in pairs, with a number of replicates fixed beforehand, corrected for how many pairs
#   there are: `kit.compare(…)` and `results.compare()` do that.
# - If no difference is shown, look at the interval: if nothing in it matters to you, take the simpler method.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="customers.csv", target="churned"`. The cell
# tunes two optimizers over the same rates, compares them at fresh replicates, and says what is shown.

# %%
mine = kit.Experiment(
    dataset="breast_cancer",
    model=kit.model("mlp", hidden=(16,)),
    batch_size=32,
    budget=kit.Budget(steps=150),
    evaluate_every=150,
    backend=framework.name,
)
candidates = ("momentum", "adam")
grid = kit.log_grid(1e-3, 0.3, per_decade=2)
tried = await guide.run(
    mine.vary(optimizer=candidates, learning_rate=grid, replicate=range(3))
)
rates = {
    name: min(
        grid,
        key=lambda rate, name=name: mean_loss(
            tried, optimizer=name, learning_rate=rate
        ),
    )
    for name in candidates
}
mine_final = await guide.run(
    mine.vary(
        optimizer=[
            kit.optimizer(name, learning_rate=rate) for name, rate in rates.items()
        ],
        replicate=range(100, 108),
    )
)
guide.say(
    {
        "not shown": "No difference between the two is shown.",
        "alike": "The two are alike to within 1%.",
    }.get(
        mine_final.compare()[0].verdict,
        f"The better one is {mine_final.best().labels['optimizer']}.",
    )
)
