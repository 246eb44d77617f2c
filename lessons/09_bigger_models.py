# %% [markdown]
# # 09 · Bigger models, small machine
#
# **Afterwards you can decide** whether a model fits into your memory before you train it, what to give up when it does
# not, and what lower precision and a larger batch cost and bring.
#
# 20 minutes. Before it: [mini-batches](03_mini_batches.ipynb). The figures for memory and time are those of this machine;
# what is said in sentences holds on others.

# %%
from math import log

import numpy as np

import kit
from kit import guide
from kit.builtin.text import characters
from kit.pool import POOL
from kit.results.words import number, size

framework = guide.framework()
framework

# %% [markdown]
# ## A character transformer
#
# The data are 43,000 characters of text: the descriptions that scikit-learn ships with its datasets. The model reads 64 of
# them and predicts, at each place, the next. It is a *transformer*
# ([Vaswani et al. 2017, *Attention is all you need*](https://arxiv.org/abs/1706.03762)), the architecture of large language
# models, a ten-thousandth of their size: two blocks, 64 numbers to a character, about 120,000 parameters. Its optimizer is
# usually AdamW:

# %%
guide.formula("adamw")

# %%
base = kit.Experiment(
    dataset=kit.dataset("characters", context=64),
    model=kit.model("transformer", width=64, blocks=2, heads=4),
    optimizer=kit.optimizer("adamw", learning_rate=3e-3),
    batch_size=32,
    strategy={"torch": "views", "tensorflow": "graph"}.get(
        framework.name, "auto"
    ),  # one loop, without trying others
    backend=framework.name,
)

# %% [markdown]
# What would a model without a memory reach? The loss is the mean of $-\ln$ of the probability given to the right character.
# Guessing by how frequent each character is, and by how frequent each is *after the one before it*:

# %%
text = characters(None, context=64)
symbols = len(text.classes)
held = len(text.x) // 5
before, after = text.x[:-held].ravel(), text.y[:-held].ravel()
counts = np.ones((symbols, symbols))  # one for each pair, so that nothing is impossible
np.add.at(counts, (before, after), 1)
pairs = counts / counts.sum(axis=1, keepdims=True)
singles = counts.sum(axis=0) / counts.sum()
x_held, y_held = text.x[-held:].ravel(), text.y[-held:].ravel()
by_frequency = float(-np.log(singles[y_held]).mean())
by_pair = float(-np.log(pairs[x_held, y_held]).mean())
guide.say(
    f"Of {symbols} characters, blind guessing has a loss of ln {symbols} = {log(symbols):.1f}; by frequency it is "
    f"{by_frequency:.1f}, by pairs {by_pair:.1f}."
)

# %%
beats = guide.predict(
    "300 steps of 32 windows of 64 characters. Does the transformer do better than counting pairs?",
    {
        "yes": "Yes.",
        "same": "It reaches about what pairs do.",
        "no": "No: 300 steps are too few.",
    },
    default="no",
)
beats

# %%
trained = await guide.run(base.replace(budget=kit.Budget(steps=300), evaluate_every=50))
reached = trained.final("validation_loss")
beats.compare(
    "yes" if reached < by_pair - 0.1 else "no" if reached > by_pair + 0.1 else "same"
)
guide.show(
    guide.lines(
        {
            name: (trained.curve(name).index, trained.curve(name).to_numpy())
            for name in ("train_loss", "validation_loss")
        },
        x="step",
        y="loss per character",
        x_scale="linear",
        y_scale="linear",
        levels={"by frequency": by_frequency, "by pairs": by_pair},
        title="First it learns frequencies, then pairs, then words",
        words="The training and the validation loss per character, by step. They fall from about 4.5, pass the level of guessing "
        "by frequency within the first hundred steps, and that of pairs later on.",
    )
)

# %% [markdown]
# ## First experiment: where does the memory go?
#
# With $P$ parameters, single precision (4 bytes), and Adam's two running means, the model costs $4P$ bytes for the
# parameters, $4P$ for gradients, and $8P$ for the means: $16P$ in all, whatever the batch. And every layer keeps what it
# computed (its *activations*) until the backward pass has used it: a few hundred kilobytes for each window here.

# %%
P = sum(value.size for value in trained.parameters().values())
guide.say(
    f"The model has {P:,} parameters, so parameters, gradients and means take {size(16 * P)}."
)
where = guide.predict(
    "In a step with 128 windows, what takes more memory?",
    {
        "model": "Parameters, gradients and Adam's means.",
        "alike": "Both about the same.",
        "activations": "The activations, ten times as much or more.",
    },
    default="model",
)
where

# %% tags=["nbval-ignore-output"]
BATCHES = [16, 32, 64, 128]
few = base.replace(
    budget=kit.Budget(steps=4), evaluate_every=4, validation_fraction=0.02
)
peak, seconds = {}, {}
for batch in BATCHES:
    run = await guide.run(few.replace(batch_size=batch))
    peak[batch], seconds[batch] = (
        run.cost.peak_memory_bytes,
        run.cost.seconds / run.cost.steps,
    )
per_window, fixed = np.polyfit(BATCHES[1:], [peak[batch] for batch in BATCHES[1:]], 1)

# %%
ratio = 128 * per_window / (16 * P)
where.compare(
    "activations" if ratio > 10 else "model" if ratio < 0.5 else "alike",
    "they grow with the batch; the rest does not",
)
guide.check(
    "Memory grows with the batch, by more than 100 kB for each window",
    per_window > 1e5,
    "Other programs may be using the memory: run the cells above again.",
)

# %% tags=["nbval-ignore-output"]
guide.table(
    [
        [
            batch,
            size(peak[batch]),
            f"{1000 * seconds[batch]:.0f} ms",
            f"{1000 * seconds[batch] / batch:.2f} ms",
        ]
        for batch in BATCHES
    ],
    [
        "windows in a batch",
        "peak memory of the process",
        "time of a step",
        "time of a window",
    ],
    f"Memory and time on this machine; each window costs {size(per_window)}, and the framework itself is in the rest.",
)

# %% [markdown]
# ### Explain
#
# For one window of $T$ characters a block of width $w$ keeps about $20\,T w$ numbers for its matrix products, norms and
# activation function, and with plain attention $h\,T^2$ more for each of its $h$ heads' tables of who looks at whom. None
# of it depends on how many windows there are, so
#
# $$ \text{memory} = 16 P + b \cdot \text{(activations of one window)} + \text{the framework} , $$
#
# a straight line in the batch $b$. Which half hurts depends on the model: here the second, for a large language model on
# short texts the first. Time is a line in $b$ too, with an offset: a step costs something however small its batch, so a
# *window* is cheaper in a larger batch, until the processor is busy.
#
# ## Second experiment: a large batch in parts
#
# The gradient of a batch of 128 is the mean of the gradients of its four quarters. So take them one after the other, add
# them up, and make the step when the last is there: **gradient accumulation**. It needs the memory of a quarter.

# %%
parts = guide.predict(
    "Batches of 128 windows, whole or in four parts of 32. How do the losses of the two runs compare after some steps?",
    {
        "worse": "In parts it learns worse: smaller batches are noisier.",
        "better": "In parts it learns better: four times as many gradients.",
        "same": "They are the same, but for rounding.",
    },
    default="worse",
)
parts

# %% tags=["nbval-ignore-output"]
large = base.replace(
    model=kit.model("transformer", width=64, blocks=4, heads=4),  # twice as deep
    batch_size=128,
    budget=kit.Budget(steps=4),
    evaluate_every=4,
    validation_fraction=0.02,
)
POOL.close()  # a fresh worker: memory that earlier runs took and gave back is not counted
in_parts = await guide.run(large.replace(gradient_accumulation=4))
again = await guide.run(large.replace(activation_checkpointing=True))
whole = await guide.run(large)

# %%
difference = float(
    np.abs(in_parts.curve("batch_loss") / whole.curve("batch_loss") - 1).max()
)
parts.compare(
    "same"
    if difference < 1e-3
    else "worse"
    if in_parts.final("train_loss") > whole.final("train_loss")
    else "better"
)
guide.check(
    "The losses of all steps agree to one in a thousand",
    difference < 1e-3,
    "Please report it, with `kit doctor`.",
)

# %% [markdown]
# ## Third experiment: compute twice, keep less
#
# The other way: keep only what goes into each block, and when the backward pass comes to a block, compute what was inside
# it again. That is **activation checkpointing**
# ([Chen et al. 2016, *Training deep nets with sublinear memory cost*](https://arxiv.org/abs/1604.06174)). A forward pass is
# about a third of a step.

# %%
price = guide.predict(
    "With activation checkpointing a step computes every forward pass twice. How much longer does it take?",
    {"third": "By up to two thirds.", "twice": "About twice as long, or longer."},
    default="twice",
)
price

# %% tags=["nbval-ignore-output"]
ways = {"whole": whole, "in four parts": in_parts, "checkpointed": again}
guide.table(
    [
        [
            name,
            size(run.cost.peak_memory_bytes),
            f"{1000 * run.cost.seconds / run.cost.steps:.0f} ms",
            number(run.final("train_loss"), 4),
        ]
        for name, run in ways.items()
    ],
    [
        "128 windows",
        "peak memory of the process",
        "time of a step",
        "training loss after 4 steps",
    ],
    "Three ways to take the same four steps, on this machine.",
)

# %% tags=["nbval-ignore-output"]
slower = again.cost.seconds / whole.cost.seconds
price.compare("third" if slower < 1.67 else "twice")
guide.check(
    "Both ways need less memory than the whole batch, and take the same steps",
    max(in_parts.cost.peak_memory_bytes, again.cost.peak_memory_bytes)
    < whole.cost.peak_memory_bytes
    and float(np.abs(again.curve("batch_loss") / whole.curve("batch_loss") - 1).max())
    < 1e-3,
    "Other programs may be using the memory: run the cells above again.",
)

# %% [markdown]
# ## Fourth experiment: half the digits
#
# *bfloat16* keeps the range of single precision and 8 of its 24 binary digits: two or three decimal ones. In **mixed
# precision** the parameters stay in single precision, and the matrix products are computed in bfloat16
# ([Micikevicius et al. 2018, *Mixed precision training*](https://arxiv.org/abs/1710.03740)). Activations then take half the
# memory; whether it is faster depends on the processor.

# %%
digits = guide.predict(
    "Trained in mixed precision, with two or three digits: how far is the validation loss after 60 steps from that in "
    "single precision?",
    {
        "far": "By more than 10%.",
        "near": "By less than 3%.",
        "between": "Something between.",
    },
    default="far",
)
digits

# %% tags=["nbval-ignore-output"]
sixty = base.replace(budget=kit.Budget(steps=60), evaluate_every=60)
both = {
    dtype: await guide.run(sixty.replace(dtype=dtype))
    for dtype in ("float32", "bfloat16")
}
guide.table(
    [
        [
            dtype,
            number(run.final("validation_loss")),
            f"{1000 * run.cost.seconds / run.cost.steps:.0f} ms",
        ]
        for dtype, run in both.items()
    ],
    ["precision", "validation loss after 60 steps", "time of a step"],
    "The same run in two precisions, on this machine.",
)

# %%
off = abs(
    both["bfloat16"].final("validation_loss") / both["float32"].final("validation_loss")
    - 1
)
digits.compare(
    "near" if off < 0.03 else "far" if off > 0.1 else "between",
    "a gradient is noisier than that anyway",
)
guide.check("It is off by less than 3%", off < 0.03, "Let both runs finish.")

# %% [markdown]
# ### Explain
#
# Rounding to 8 binary digits makes an error of up to 0.4% in each product, in random directions; the noise of a batch is
# far larger. What would *not* survive are sums of many small things: a parameter of 1 plus an update of 0.001 is 1 again
# in bfloat16. So parameters, Adam's means and the loss stay in single precision. On a processor with bfloat16 units (recent
# server processors, graphics processors) mixed precision is faster; without them it is emulated and can be slower. Measure
# it, as above.
#
# **Exercise.** A model has 10 million parameters, one sample's activations take 5 megabytes, and your machine has 4 gigabytes to spare.
# With Adam in single precision, how many samples fit into a batch? Put a whole number in place of the dots.

# %%
guide.answer("what fits", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# memory = 16 P + b · (activations of one sample).
#
# </details>
#
# <details><summary>Solution</summary>
#
# $16 \cdot 10^7 = 160$ megabytes are fixed. $3{,}840 / 5 = 768$ samples, a little fewer with the framework's own needs.
#
# </details>

# %% [markdown]
# ## What to decide
#
# Before a long run, two short ones with different batches give the line of memory against the batch; read off what fits.
# If it is less than [the batch you want](03_mini_batches.ipynb), in this order:
#
# - accumulate gradients: exact, free of memory, about the same time per sample;
# - mixed precision, where the processor has it: half the activations, often faster;
# - activation checkpointing: exact, a third more time or up to twice as much, when even one sample is too large;
# - a smaller model, or shorter windows.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="customers.csv", target="churned"`, and your
# model in the place of this one. Two short runs say what a sample costs.

# %% tags=["nbval-ignore-output"]
mine = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(2048, 2048)),
    optimizer="adam",
    budget=kit.Budget(steps=3),
    evaluate_every=3,
    strategy=base.strategy,
    backend=framework.name,
)
found = {}
POOL.close()  # a fresh worker: memory that earlier runs took and gave back is not counted
for batch in (256, 1024):
    my_run = await guide.run(mine.replace(batch_size=batch))
    found[batch] = my_run.cost.peak_memory_bytes
each = max(0.0, (found[1024] - found[256]) / (1024 - 256))
guide.say(
    f"A batch of 256 takes {size(found[256])}, one of 1,024 {size(found[1024])}: about {size(each)} for each sample more."
)
