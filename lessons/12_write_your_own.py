# %% [markdown]
# # 12 · Write your own: an optimizer, a model and a probe
#
# **Afterwards you can decide** whether an idea from a paper, or your own, is worth more of your time: you write it down in
# ten lines, see it train beside the others in both frameworks, and know that it does what its formula says.
#
# 20 minutes. Before it: [momentum in long valleys](04_momentum.ipynb) and [choosing an optimizer](07_choosing_an_optimizer.ipynb).

# %%
import numpy as np

import kit
from kit import guide

framework = guide.framework()
framework

# %% [markdown]
# ## An idea
#
# Momentum keeps going where it went. Sometimes the newest gradient disagrees: in some coordinates the running sum $b$ and
# the gradient $g$ have opposite signs, and a step along $b$ goes *uphill* there. A **cautious** optimizer leaves these
# coordinates out of the step, and makes up for it in the others
# ([Liang et al. 2024, *Cautious optimizers: improving training with one line of code*](https://arxiv.org/abs/2411.16085)):
#
# $$ b \leftarrow \mu b + g, \qquad m = [\, b \odot g > 0 \,], \qquad
#    p \leftarrow p - \eta\, \frac{b \odot m}{\max(\operatorname{mean}(m), \xi)} . $$
#
# The rule that it changes, as it runs here:

# %%
guide.formula("momentum")

# %% [markdown]
# ## Write it
#
# A rule says which arrays it keeps (`slots`), and how one step goes (`update`), in plain array arithmetic over a namespace
# `xp` that NumPy, PyTorch and TensorFlow each provide. All arrays have the *trials* in front, so that a whole grid trains
# as one program: a mean over a parameter leaves out axis 0. A plugin is a module with functions marked
# `@kit.hookimpl`, each yielding records of what it offers; this one offers an optimizer, and in a moment more.

# %%
OPTIMIZER = '''
import kit
from kit.rules import LEARNING_RATE, Hyperparameter, Rule

MU = Hyperparameter(name="momentum", default=0.9, low=0.0, high=1.0, bounds="[)", help="How much of the sum is kept.")


class Cautious(Rule):
    """Momentum that takes no step where the newest gradient disagrees.

    b ← μ b + g
    m ← 1 where b g > 0, else 0
    p ← p − η b m / max(mean(m), 0.001)

    >>> descend(Cautious, lambda x: x, [1.0], steps=3, learning_rate=0.5, momentum=0.5)[:, 0].tolist()
    [1.0, 0.5, 0.0, 0.0]
    """

    name = "cautious"
    title = "Cautious momentum"
    hyperparameters = (LEARNING_RATE, MU)
    slots = ("b",)
    elementwise = False  # the mean is one of a whole parameter
    source = "Liang et al. 2024, arXiv:2411.16085"

    def update(self, xp, p, g, s, h):
        b = h.momentum * s["b"] + g
        agrees = xp.where(b * g > 0, xp.ones_like(p), xp.zeros_like(p))
        share = xp.mean(agrees, tuple(range(1, len(p.shape))), keepdims=True)
        return p - h.learning_rate * b * agrees / xp.maximum(share, 0.001), {"b": b}


@kit.hookimpl
def kit_optimizers():
    yield Cautious.record()
'''
guide.plugin("kit-cautious", OPTIMIZER)

# %% [markdown]
# That is all: the kit knows it now, in every framework, by name. (For a plugin that lasts, `kit new plugin cautious` in a
# terminal writes a project with this file, a test and what pip needs.)
#
# ## First experiment: is it what it says?
#
# By hand, one step in NumPy:

# %%
by_hand = guide.estimate(
    "p = (1, 1), b = (2, −1) before the step, g = (1, 3), η = 0.1, μ = 0.5. Where is the second coordinate after the step?",
    default=0.75,
)
by_hand

# %%
p, b, g, eta, mu = (
    np.array([1.0, 1.0]),
    np.array([2.0, -1.0]),
    np.array([1.0, 3.0]),
    0.1,
    0.5,
)
b = mu * b + g  # (2, 2.5): both agree with g now
agrees = (b * g > 0).astype(float)
after = p - eta * b * agrees / max(agrees.mean(), 0.001)
by_hand.compare(
    float(after[1]),
    "the sum is updated first, and then both signs agree: 1 − 0.1 · 2.5",
    factor=1.01,
)

# %% [markdown]
# That was one step. The shipped checks do the rest: the very list that the built-in optimizers pass, over whatever the
# plugin offers. Does it leave its neighbours in a stack alone? Does a run that was interrupted continue bit for bit? Are a
# learning rate of zero, a huge gradient, an empty parameter handled? And the example in its docstring is run.

# %% tags=["nbval-ignore-output"]
from kit.testing import check  # noqa: E402

report = check("kit-cautious", backend=framework.name)
report

# %%
guide.check(
    "Every check of the optimizer passed",
    report.passed,
    "Read what failed above: each says what was expected, what came, and the likely mend.",
)

# %% [markdown]
# ## Second experiment: see it train
#
# The lab makes its menus and controls from what is installed, so the new optimizer is in it, with a control for each of
# its numbers. Press *Run*, change a rate, run again; or let the next cell press the button.

# %% tags=["nbval-ignore-output"]
lab = kit.lab(
    [
        kit.optimizer("cautious", learning_rate=0.03),
        kit.optimizer("momentum", learning_rate=0.03),
    ],
    backend=framework.name,
    dataset="digits",
    budget=kit.Budget(steps=200),
    batch_size=64,
)
lab

# %% tags=["nbval-ignore-output"]
in_lab = await lab.run()
guide.say(lab.words())

# %%
guide.check(
    "Both lanes of the lab trained to their end",
    all(run.status == "done" for run in in_lab),
    "Press Run in the lab above, or run the cell again.",
)

# %% [markdown]
# Is it *better*? One learning rate says nothing, as [the notebook on choosing](07_choosing_an_optimizer.ipynb) found. The
# same six rates for both, three replicates, then eight fresh ones at each one's best rate.

# %%
better = guide.predict(
    "Cautious against plain momentum in the training loss after 200 steps, each at its best rate. What will be shown?",
    {
        "cautious": "Cautious ends lower.",
        "momentum": "Plain momentum ends lower.",
        "open": "No difference is shown.",
    },
    default="cautious",
)
better

# %% tags=["nbval-ignore-output"]
network = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    batch_size=64,
    budget=kit.Budget(steps=200),
    evaluate_every=200,
    backend=framework.name,
)
BOTH, RATES = ("cautious", "momentum"), kit.log_grid(3e-3, 1.0, per_decade=2)
tuning = await guide.run(
    network.vary(optimizer=BOTH, learning_rate=RATES, replicate=range(3))
)


# %%
def loss_at(name, rate):
    lane = tuning.select(optimizer=name, learning_rate=rate).lanes[0]
    return lane.mean("train_loss", log=True).estimate if lane.whole else np.inf


best = {
    name: min(RATES, key=lambda rate, name=name: loss_at(name, rate)) for name in BOTH
}
fresh = await guide.run(
    network.vary(
        optimizer=[
            kit.optimizer(name, learning_rate=rate) for name, rate in best.items()
        ],
        replicate=range(100, 108),
    )
)
verdict = fresh.compare("train_loss", pairs="all")[0]
lower = {"lower": verdict.a, "higher": verdict.b}.get(verdict.verdict)
better.compare("open" if lower is None else str(lower.labels["optimizer"]))

# %% tags=["nbval-ignore-output"]
guide.say(
    [
        item.sentence
        for metric in ("train_loss", "validation_loss")
        for item in fresh.compare(metric, pairs="all")
    ]
)

# %% [markdown]
# ### Explain
#
# Whatever came out here holds for this problem, this budget, and this batch size. The authors show gains for large
# transformers, where the newest gradient is a good witness. With small batches it is a noisy one, and a coordinate is left
# out by chance about as often as for a reason. That is the use of ten lines and an afternoon: to find out where *you* are.
#
# ## Third experiment: a model
#
# A model is native to each framework, with *canonical parameters* that the host knows: names, shapes, and how they start.
# From these the same initial weights are drawn for all. Here is one that adds a straight path to a hidden layer,
# $z = A x + W_2 \max(W_1 x + b_1, 0) + b_2$, and a probe that reads the *stable rank* of each weight matrix,
# $\|W\|_F^2 / \|W\|_2^2$: about how many directions it really uses.

# %%
MODEL = '''
import math

import kit
from kit.engine import ParameterSpec
from kit.records import Hyperparameter, ModelSpec, ProbeSpec


def parameters(inputs, *, hidden):
    """The canonical parameters: PyTorch's names and layouts, a weight as (out, in)."""
    features, outputs = math.prod(inputs.shape), inputs.outputs
    sizes = {"straight": (outputs, features), "first": (hidden, features), "last": (outputs, hidden)}
    found = []
    for name, (out, into) in sizes.items():
        bound = math.sqrt(6 / (out + into))
        found.append(ParameterSpec(name=f"{name}.weight", shape=(out, into), initial=("uniform", bound)))
        if name != "straight":
            found.append(ParameterSpec(name=f"{name}.bias", shape=(out,), initial="zeros"))
    return tuple(found)


def in_torch(*, inputs, hidden):
    import torch
    from torch import nn

    class WithStraightPath(nn.Module):
        def __init__(self):
            super().__init__()
            features = math.prod(inputs.shape)
            self.straight = nn.Linear(features, inputs.outputs, bias=False)
            self.first, self.last = nn.Linear(features, hidden), nn.Linear(hidden, inputs.outputs)

        def forward(self, x):
            x = x.flatten(1)
            return self.straight(x) + self.last(torch.relu(self.first(x)))

    return WithStraightPath()


def in_tensorflow(*, inputs, hidden):
    import keras

    class WithStraightPath(keras.Model):
        def __init__(self):
            super().__init__(name="straight_path")
            features = math.prod(inputs.shape)
            self.straight = keras.layers.Dense(inputs.outputs, use_bias=False, name="straight")
            self.first, self.last = keras.layers.Dense(hidden, name="first"), keras.layers.Dense(inputs.outputs, name="last")
            self.straight.build((None, features))
            self.first.build((None, features))
            self.last.build((None, hidden))
            self.built = True

        def call(self, x):
            x = keras.ops.reshape(x, (-1, math.prod(inputs.shape)))
            return self.straight(x) + self.last(keras.ops.relu(self.first(x)))

    return WithStraightPath()


class StableRank:
    """The stable rank of every weight matrix, a curve each."""

    needs = frozenset()

    def read(self, snapshot):
        """snapshot.parameters: name -> (trials, …); gives curve -> (trials,)."""
        import numpy as np

        found = {}
        for name, value in snapshot.parameters.items():
            if np.ndim(value) == 3 and np.isfinite(value).all():
                values = np.linalg.svd(np.asarray(value, dtype=np.float64), compute_uv=False)
                found[f"stable_rank.{name}"] = np.sum(values**2, axis=1) / np.maximum(values[:, 0] ** 2, 1e-300)
        return found


@kit.hookimpl
def kit_models():
    hidden = Hyperparameter(name="hidden", default=32, low=1, unit="units", help="Width of the hidden layer.")
    for backend, build in (("torch", "in_torch"), ("tensorflow", "in_tensorflow")):
        yield ModelSpec(
            name="straight_path",
            backend=backend,
            build=f"kit_straight:{build}",
            parameters="kit_straight:parameters",
            requires=(backend,),
            tasks=("classification",),
            hyperparameters=(hidden,),
            help="One hidden layer, and a straight path beside it.",
        )


@kit.hookimpl
def kit_probes():
    yield ProbeSpec(name="stable_rank", build="kit_straight:StableRank", help="Stable rank of every weight matrix.")
'''
guide.plugin("kit-straight", MODEL)

# %%
same = guide.predict(
    "Trained with your optimizer in every framework that is installed: how far are the losses apart after 100 steps?",
    {
        "wide": "A few percent: I wrote two different classes.",
        "near": "Less than one part in ten thousand.",
    },
    default="wide",
)
same

# %%
mixed = network.replace(
    model=kit.model("straight_path", hidden=32),
    optimizer=kit.optimizer("cautious", learning_rate=0.003),
    dtype="float64",  # a mask turns a rounding difference into a jump; in double precision there are next to none
    evaluate_every=20,
    probes=("stable_rank",),
)
everywhere = await guide.run(mixed.vary(backend=guide.frameworks()))
parity = everywhere.parity()
if parity.pairs:
    same.compare("near" if max(pair.first for pair in parity.pairs) < 1e-4 else "wide")
else:
    same.compare(
        "near",
        "only one framework is installed here; this is what a machine with both measures",
    )
guide.check(
    "Your model and your optimizer train alike in every framework that is installed here",
    parity.holds,
    "Do both classes compute the same? Do their layers have the names of the canonical parameters?",
)

# %%
run = everywhere.runs[0]
ranks = {
    f"{name} layer": run.curve(f"stable_rank.{name}.weight")
    for name in ("straight", "first", "last")
}
guide.show(
    guide.lines(
        {name: (curve.index, curve.to_numpy()) for name, curve in ranks.items()},
        x="step",
        y="stable rank",
        x_scale="linear",
        y_scale="linear",
        title="What the matrices use, read by your probe",
        words="The stable rank of the three weight matrices by step: that of the first layer is the largest, and each changes "
        "by a few directions at most while the network trains.",
    )
)

# %%
rest = check("kit-straight", backend=framework.name, component="straight_path")
guide.check("Every check of the model passed", rest.passed, repr(rest))

# %% [markdown]
# **Exercise.** A stack of 12 trials trains, and `update` gets a weight that has the shape
# (32, 64) in each. `xp.mean` is taken over the axes from 1 on and leaves one axis out. How
# long is that one? Put a number in place of the dots.

# %%
guide.answer("the trials' axis", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A grid of learning rates trains as one stack: parameters have the shape (trials, …).
#
# </details>
#
# <details><summary>Solution</summary>
#
# Axis 0: it counts the trials. The share of agreeing coordinates of one run would enter the steps of all others. Try it: take `0` into the axes,
# run the cell with `guide.plugin` again, and see what `check` says.
#
# </details>

# %% [markdown]
# ## What to decide
#
# - Ten lines and the checks come first; a large experiment with an optimizer that mixes up its trials is worth nothing.
# - Compare at equal tuning, on fresh replicates; then decide whether it is worth a larger problem.
# - To share it: `kit new plugin NAME`, copy your file in, `kit check`, and publish it like any package.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="customers.csv", target="churned"`; and your
# own optimizer in the place of this one.

# %%
mine = network.replace(dataset="wine", batch_size=32)
ends = await guide.run(
    mine.vary(optimizer=BOTH, learning_rate=[0.01, 0.03], replicate=range(3))
)
guide.say(
    f"Of the {len(ends)} runs, {sum(run.status == 'done' for run in ends)} trained to their end."
)
