# %% [markdown]
# # 06 · Two frameworks, one experiment
#
# **Afterwards you can decide** what to translate when you carry a recipe from Keras to PyTorch or back, and whether two
# runs that disagree disagree because of the framework.
#
# 15 minutes. With both frameworks installed you see both; with one of them, what it does beside the formula.

# %%
import numpy as np

import kit
from kit import guide
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## First experiment: parity
#
# A network on the digits, 1,000 steps of Adam in double precision, from the same weights, over the same batches, by the
# same formula. In [the first notebook](00_start_here.ipynb) the losses agreed to one part in ten thousand, in single
# precision.

# %%
network = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,), activation="tanh"),
    optimizer=kit.optimizer("adam", learning_rate=1e-3),
    dtype="float64",
    budget=kit.Budget(steps=1000),
    evaluate_every=100,
)
digits_alike = guide.predict(
    "After 1,000 steps, how many digits of the 2,410 parameters agree between the frameworks?",
    {"few": "Three or four.", "some": "About eight.", "most": "Ten or more."},
    default="few",
)
digits_alike

# %%
names = guide.frameworks()
everywhere = await guide.run(network.vary(backend=names))
ends = [run.parameters() for run in everywhere]
furthest = max(
    (
        float(np.abs(one[name] - other[name]).max())
        for one in ends
        for other in ends
        for name in one
    ),
    default=0.0,
)
digits_alike.compare(
    "most" if furthest < 1e-10 else "some" if furthest < 1e-7 else "few",
    "only the order of additions differs, and double precision has 16 digits"
    if len(names) > 1
    else "only one framework is installed here; this is what a machine with both measures",
)
guide.check(
    "No parameter differs by more than 1e-10",
    furthest <= 1e-10,
    "Please report it, with `kit doctor`.",
)

# %% [markdown]
# ## Second experiment: when nothing agrees
#
# Parity is promised inside the stable range of learning rates. Here is the network of
# [the notebook on the stability limit](01_gradient_descent.ipynb), which trains at the edge of stability, in every
# framework; and a *shadow*: the same run again in the framework chosen above, with one weight of its start changed in its
# last digit.

# %%
edge = kit.Experiment(
    dataset="diabetes",
    model=kit.model("mlp", hidden=(64,), activation="tanh"),
    loss="mse",
    optimizer=kit.optimizer("gd", learning_rate=0.1),
    backend=framework.name,
    budget=kit.Budget(steps=2000),
    evaluate_every=100,
)
blame = guide.predict(
    "At the edge of stability the frameworks' losses drift apart. What about a run and its own shadow?",
    {
        "close": "They stay together to the last few digits: it is the same program.",
        "apart": "They drift apart as well, about as far.",
    },
    default="close",
)
blame

# %%
still = edge.replace(
    optimizer=kit.optimizer("gd", learning_rate=1e-30), budget=kit.Budget(steps=1)
)
start = (await guide.run(still)).parameters()  # a step of 1e-30 changes nothing
nudged = {name: value.copy() for name, value in start.items()}
weight = nudged["layers.0.weight"]
weight[0, 0] = np.nextafter(weight[0, 0], np.float32(np.inf))

original = await guide.run(edge.starting_at(start))
shadow = await guide.run(edge.starting_at(nudged))
others = [
    await guide.run(edge.starting_at(start).replace(backend=name))
    for name in names
    if name != framework.name
]


# %%
def apart(one, other):
    """How far two losses are apart, step by step, relative."""
    a, b = one.curve("batch_loss"), other.curve("batch_loss")
    return (a - b).abs() / a.abs()


drawn = {"its own shadow": apart(original, shadow)}
drawn |= {
    "another framework" if i == 0 else f"a {i + 2}th framework": apart(original, run)
    for i, run in enumerate(others)
}
shadow_apart = drawn["its own shadow"].iloc[-500:].max()
blame.compare(
    "apart" if shadow_apart > 1e-3 else "close", "the run itself is that sensitive"
)
guide.show(
    guide.lines(
        {
            name: (
                curve.index,
                curve.rolling(50, min_periods=1).max().clip(lower=1e-9).to_numpy(),
            )
            for name, curve in drawn.items()
        },
        x="step",
        y="relative difference of the loss (largest of 50 steps)",
        x_scale="linear",
        y_scale="log",
        title="At the edge a run strays from itself as from another",
        words="The relative difference of the loss from that of the original run, by step, on a logarithmic axis. The shadow "
        "and, where one is installed, another framework start near one part in ten million and rise to more than one in a "
        "thousand, side by side.",
    )
)
guide.check(
    "The shadow strays by more than one in a thousand",
    shadow_apart > 1e-3,
    "Let the runs above finish, all 2,000 steps.",
)

# %% [markdown]
# ### Explain
#
# Past the stability limit every small difference is multiplied by more than one in each step. No two programs can agree
# there for long, and neither can two machines, or one with another number of threads. So before you blame a framework,
# hold it against a shadow: `kit parity` does that for every optimizer.
#
# ## Third experiment: eight places where the same words mean different things
#
# Now the frameworks' *own* optimizers: `keras.Adam` stands for `keras.optimizers.Adam`, and `torch.Adam` for
# `torch.optim.Adam`. In each row the same words are given to the framework's own and to the kit's formula, and the losses
# of 100 steps are compared. Where Keras means something else, a third run gives the formula the *translation*, if there is
# one.

# %%
count = guide.predict(
    "In how many of the eight places does Keras do something else than PyTorch with the same words?",
    {"two": "One or two.", "half": "Three to five.", "all": "In all eight."},
    default="two",
)
count

# %%
# place: (what is said, Keras's class and words, PyTorch's class and words, the formula and its words, the translation, more)
TINY = 1e-12  # an ε that is out of the way
drops = {"schedule": kit.schedule("step", factor=0.1, every_steps=30)}
same = {"learning_rate": 0.01}
places = {
    "1 momentum, under a schedule": (
        ("SGD", same | {"momentum": 0.9}),
        ("SGD", same | {"momentum": 0.9}),
        ("momentum", same | {"momentum": 0.9}),
        None,
        drops,
    ),
    "2 weight_decay": (
        ("Adam", same | {"weight_decay": 0.1, "epsilon": TINY}),
        ("Adam", same | {"weight_decay": 0.1, "eps": TINY}),
        ("adam", same | {"weight_decay": 0.1, "epsilon": TINY}),
        {"decay": "decoupled"},
        {},
    ),
    "3 AdamW, decay not said": (
        ("AdamW", same | {"epsilon": TINY}),
        ("AdamW", same | {"eps": TINY}),
        ("adamw", same | {"epsilon": TINY}),
        {"weight_decay": 0.004},
        {},
    ),
    "4 Adam's ε of 0.001": (
        ("Adam", same | {"epsilon": 1e-3}),
        ("Adam", same | {"eps": 1e-3}),
        ("adam", same | {"epsilon": 1e-3}),
        None,
        {},
    ),
    "5 RMSprop, decay not said": (
        ("RMSprop", same | {"epsilon": TINY}),
        ("RMSprop", same | {"eps": TINY}),
        ("rmsprop", same | {"epsilon": TINY}),
        {"rho": 0.9},
        {},
    ),
    "6 RMSprop's ε of 0.001": (
        ("RMSprop", same | {"rho": 0.9, "epsilon": 1e-3}),
        ("RMSprop", same | {"alpha": 0.9, "eps": 1e-3}),
        ("rmsprop", same | {"rho": 0.9, "epsilon": 1e-3}),
        None,
        {},
    ),
    "7 Adagrad's start": (
        ("Adagrad", same | {"epsilon": TINY}),
        ("Adagrad", same | {"eps": TINY}),
        ("adagrad", same | {"epsilon": TINY}),
        {"initial_accumulator": 0.1},
        {},
    ),
    "8 the number 0.9": (
        ("SGD", same | {"momentum": 0.9}),
        ("SGD", same | {"momentum": 0.9}),
        ("momentum", same | {"momentum": 0.9}),
        {"momentum": float(np.float32(0.9))},
        {},
    ),
}
prefixes = {
    name: prefix
    for name, prefix in {"tensorflow": "keras", "torch": "torch"}.items()
    if name in names
}
short = network.replace(budget=kit.Budget(steps=100), evaluate_every=100)


def gap(one, other):
    """The largest relative difference of two runs' losses."""
    a, b = one.curve("batch_loss").to_numpy(), other.curve("batch_loss").to_numpy()
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))))


# %% tags=["nbval-ignore-output"]
gaps = {}
for backend, prefix in prefixes.items():
    for place, (keras, torch, formula, translation, more) in places.items():
        own, words = keras if prefix == "keras" else torch
        name, said = formula
        asked = [kit.optimizer(f"{prefix}.{own}", **words), kit.optimizer(name, **said)]
        if prefix == "keras" and translation:
            asked.append(kit.optimizer(name, **(said | translation)))
        runs = (
            await guide.run(
                short.replace(backend=backend, **more).vary(optimizer=asked)
            )
        ).runs
        gaps[place, prefix] = [gap(runs[0], run) for run in runs[1:]]

# %%


def said_of(share):
    """A difference in words, with the digits that hold everywhere."""
    return (
        "none"
        if share < 1e-12
        else f"{number(100 * share, 1)}%"
        if share > 1e-5
        else f"{share:.0e}"
    )


rows = []
for place in places:
    row = [place]
    for prefix in prefixes.values():
        found = gaps[place, prefix]
        row.append(said_of(found[0]))
        if prefix == "keras":
            row.append(said_of(found[1]) if len(found) > 1 else "there is none")
    rows.append(row)
columns = ["place"]
for prefix in prefixes.values():
    columns += (
        ["Keras beside the formula", "translated"]
        if prefix == "keras"
        else ["PyTorch beside the formula"]
    )
guide.table(
    rows,
    columns,
    "The largest relative difference of the losses of 100 steps, with the same words.",
)

# %%
if "keras" in prefixes.values():
    different = sum(gaps[place, "keras"][0] > 1e-9 for place in places)
    count.compare("all" if different == 8 else "half" if different > 2 else "two")
    guide.check(
        "Keras differs in all eight places, and every translation comes at least 100 times nearer",
        different == 8
        and all(
            100 * gaps[place, "keras"][1] < gaps[place, "keras"][0]
            for place in places
            if places[place][3]
        ),
        "Your version of Keras may mean something else by now: `kit doctor` names it.",
    )
else:
    count.compare(
        "all",
        "TensorFlow is not installed here; this is what a machine with it measures",
    )
if "torch" in prefixes.values():
    guide.check(
        "PyTorch agrees with the formula in all eight places: the kit's formulas speak its dialect",
        all(gaps[place, "torch"][0] < 1e-9 for place in places),
        "Your version of PyTorch may mean something else by now: `kit doctor` names it.",
    )

# %% [markdown]
# ### Explain
#
# With $v$ the running mean of squares, $b$ the momentum and $\eta_t$ the scheduled rate:
#
# | | place | PyTorch | Keras |
# |---|---|---|---|
# | 1 | momentum under a schedule | $b \leftarrow \mu b + g$, $p \leftarrow p - \eta_t b$ | $b \leftarrow \mu b - \eta_t g$, $p \leftarrow p + b$: old rates stay in the sum |
# | 2 | `weight_decay` | $\lambda p$ is added to the gradient | the parameter is shrunk by $1 - \eta\lambda$ |
# | 3 | AdamW's $\lambda$, if not said | 0.01 | 0.004 |
# | 4 | Adam's $\varepsilon$ | after the bias correction, 1e-8 | before it, 1e-7 |
# | 5 | RMSprop's decay, if not said | $\alpha = 0.99$ | $\rho = 0.9$ |
# | 6 | RMSprop's $\varepsilon$ | $\sqrt v + \varepsilon$ | $\sqrt{v + \varepsilon}$ |
# | 7 | Adagrad's sum of squares begins | at 0 | at 0.1 |
# | 8 | a hyperparameter of 0.9 | 0.9 | 0.8999999761581421: rounded to single precision |
#
# A learning rate that is not said differs too (0.001 and 0.01 for stochastic gradient descent (SGD), 1 and 0.001 for Adadelta), and so do Nadam's
# momentum schedule and the normalisation layers' momentum, which means the share that is kept in Keras (0.99) and the
# share that is replaced in PyTorch (0.1). None of these is a fault; each is a reason why a recipe that was tuned in one
# framework disappoints in the other. The kit's own rules mean the same in both.
#
# **Exercise.** A recipe says `keras.optimizers.SGD(0.01, weight_decay=0.1)`, at a constant rate and without momentum. What
# `weight_decay` gives the same run with `torch.optim.SGD(lr=0.01)`? Put a number in place of the dots.

# %%
guide.answer("a translated decay", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Multiply out $p - \eta (g + \lambda' p)$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# $p - \eta g - \eta \lambda' p = (1 - \eta \lambda') p - \eta g$, so $\lambda' = \lambda = 0.1$. Plain descent is the one
# rule for which it makes no difference where the decay stands; for Adam it made the largest difference of all.
#
# </details>

# %% [markdown]
# ## What to decide
#
# - Carrying a recipe over: go through the eight places, and set every default explicitly.
# - A disagreement: hold it against a shadow before you look for a fault.
# - A comparison of optimizers across frameworks: use rules that mean the same, or you compare dialects.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="sales.csv", target="price"`. The cell trains
# in every framework that is installed and says whether they agree.

# %%
mine = kit.Experiment(
    dataset="wine",
    model=kit.model("mlp", hidden=(16,)),
    optimizer="adam",
    batch_size=32,
)
mine_everywhere = await guide.run(
    mine.replace(budget=kit.Budget(steps=200)).vary(backend=names)
)
agree = mine_everywhere.parity()
guide.say(
    "Nothing to compare: one framework is installed."
    if not agree.pairs
    else "The losses of the first 100 steps agree to one part in ten thousand."
    if agree.holds
    else "They differ by more than is promised: is the learning rate beyond the stability limit?"
)
