# %% [markdown]
# # 11 · Private data: clipping, noise, and what it costs
#
# **Afterwards you can decide** whether to train on data about people privately, how much noise a promise needs, and what
# it costs you in accuracy, before you have spent any of it.
#
# 20 minutes. Before it: [mini-batches](03_mini_batches.ipynb). Nothing needs to be installed; where dp-accounting is
# (`pip install dp-accounting`), it checks the accounts.

# %%
from importlib.util import find_spec

import numpy as np
from sklearn.datasets import load_digits

import kit
from kit import guide
from kit.privacy import ORDERS, epsilon, noise_for
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## First experiment: what a network remembers
#
# The digits once more, but 30 of the 1,438 in the training data carry a *wrong* label. Nothing in the other digits says
# what these labels are: a network that gives them back has learnt single samples by heart. If the sample were your
# medical record, that would be a leak.

# %%
draws = np.random.default_rng(0)
digits = load_digits()
order = draws.permutation(len(digits.data))
x, y = digits.data[order] / 16.0, digits.target[order]
x_train, y_train, x_validation, y_validation = (
    x[:1438],
    y[:1438].copy(),
    x[1438:],
    y[1438:],
)
wrong = draws.choice(1438, 30, replace=False)
y_train[wrong] = (y_train[wrong] + draws.integers(1, 10, size=30)) % 10

unseen = (
    x_train,
    y_train,
    x_validation,
    y_validation,
)  # judged by digits that it never saw
by_heart = (
    x_train,
    y_train,
    x_train[wrong],
    y_train[wrong],
)  # judged by the 30 wrong labels

learnt = guide.predict(
    "A network with 256 hidden units, trained until its training loss is small. Which label does it give those 30 digits?",
    {
        "right": "Mostly the right one: 30 of 1,438 are outvoted.",
        "half": "Sometimes the right one, sometimes the wrong one that it was given.",
        "wrong": "Mostly the wrong one that it was given.",
    },
    default="right",
)
learnt

# %%
plain = kit.Experiment(
    dataset=unseen,
    model=kit.model("mlp", hidden=(256,)),
    optimizer=kit.optimizer("adam", learning_rate=0.01),
    batch_size=64,
    standardise=False,
    budget=kit.Budget(steps=2000),
    evaluate_every=500,
    backend=framework.name,
)
remembers = await guide.run(plain.replace(dataset=by_heart))
public = await guide.run(plain)
share = remembers.final("validation_accuracy")
learnt.compare("wrong" if share > 0.7 else "right" if share < 0.3 else "half")
guide.check(
    "The network learnt more than 70% of the wrong labels by heart, and names more than 90% of unseen digits rightly",
    share > 0.7 and public.final("validation_accuracy") > 0.9,
    "Let both runs finish.",
)

# %% [markdown]
# ## The idea
#
# A training is **differentially private** if nobody can tell from its result, with any confidence, whether one sample was
# among the data. Precisely: for data sets $D$ and $D'$ that differ in one sample, and any set $S$ of results,
#
# $$ P[\text{training on } D \text{ ends in } S] \;\le\; e^{\varepsilon} \; P[\text{training on } D' \text{ ends in } S] + \delta . $$
#
# A small $\varepsilon$ promises much; $\delta$, the chance that the promise fails altogether, should be below one over
# the number of samples. Gradients are where samples come in, so that is where it is done
# ([Abadi et al. 2016, *Deep learning with differential privacy*](https://arxiv.org/abs/1607.00133)):
#
# $$ g_i = \nabla \ell_i(p), \qquad
#    \bar g_i = g_i \cdot \min\!\left(1, \frac{C}{\|g_i\|}\right), \qquad
#    \tilde g = \frac{1}{b} \left( \sum_{i \in B} \bar g_i + \sigma C\, z \right), \quad z \sim N(0, I) . $$
#
# Each sample's gradient is **clipped** to the norm $C$, so that no sample has more say than that, and **noise** $\sigma$
# times as large hides what one sample says. What follows may be any optimizer: it sees $\tilde g$ only.
#
# ## Per-example gradients
#
# A framework gives the gradient of the *mean* loss, from which single samples cannot be had any more. But the gradient
# at the network's *outputs* has one row for each sample, and from each row that sample's gradient follows. So below the
# network's backward pass is replaced: forward as ever, backward sample by sample, clipped, with noise. Any optimizer of
# the kit can then train it. One cell for each framework; only yours is run.

# %%
HIDDEN = 32


def private_torch(clip, noise):
    """A function that makes the network in PyTorch."""

    def make():
        import torch
        from torch import nn
        from torch.func import vjp, vmap

        def outputs(x, w1, b1, w2, b2):
            return torch.relu(x @ w1.T + b1) @ w2.T + b2

        class Private(torch.autograd.Function):
            @staticmethod
            def forward(
                ctx, x, count, *tensors
            ):  # `count` parameters, then as many draws of noise
                ctx.save_for_backward(x, *tensors)
                ctx.count = count
                return outputs(x, *tensors[:count])

            @staticmethod
            def backward(ctx, g):  # row i of g: the gradient of ℓ_i / b at output i
                x, *tensors = ctx.saved_tensors
                p, z, b = tensors[: ctx.count], tensors[ctx.count :], len(x)

                def one(x, g):
                    _, pull = vjp(lambda *p: outputs(x[None], *p)[0], *p)
                    return pull(g * b)

                each = vmap(one)(
                    x, g
                )  # per-example gradients: (b, …) for each parameter
                norm = sum(e.flatten(1).square().sum(1) for e in each).sqrt()
                factor = (clip / norm).clamp(max=1.0)
                sums = [torch.tensordot(factor, e, dims=1) for e in each]
                return (
                    None,
                    None,
                    *[(s + noise * clip * n) / b for s, n in zip(sums, z, strict=True)],
                    *[None] * len(z),
                )

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Linear(64, HIDDEN), nn.Linear(HIDDEN, 10)

            def forward(self, x):
                p = list(self.parameters())
                if not self.training:
                    return outputs(x, *p)
                return Private.apply(x, len(p), *p, *[torch.randn_like(v) for v in p])

        return Network()

    return make


# %%
def private_tensorflow(clip, noise):
    """A function that makes the network in TensorFlow."""

    def make():
        import keras
        import tensorflow as tf

        def outputs(x, w1, b1, w2, b2):
            return tf.nn.relu(x @ w1 + b1) @ w2 + b2

        class Network(keras.Model):
            def __init__(self):
                super().__init__()
                self.first, self.second = (
                    keras.layers.Dense(HIDDEN),
                    keras.layers.Dense(10),
                )
                self.seed = keras.random.SeedGenerator()

            def build(self, shape):
                self.first.build(shape)
                self.second.build((shape[0], HIDDEN))

            def call(self, x, training=False):
                p = [tf.convert_to_tensor(v) for v in self.trainable_variables]
                if not training:
                    return outputs(x, *p)
                z = [keras.random.normal(v.shape, seed=self.seed) for v in p]

                @tf.custom_gradient
                def forward(x, *p):
                    def backward(g):  # row i of g: the gradient of ℓ_i / b at output i
                        b = tf.cast(tf.shape(x)[0], g.dtype)

                        def one(sample):
                            with tf.GradientTape() as tape:
                                tape.watch(p)
                                output = outputs(sample[0][None], *p)[0]
                            return tape.gradient(
                                output, p, output_gradients=sample[1] * b
                            )

                        each = tf.vectorized_map(
                            one, (x, g)
                        )  # per-example gradients: (b, …) for each parameter
                        norm = tf.sqrt(
                            sum(
                                tf.reduce_sum(e**2, list(range(1, e.shape.rank)))
                                for e in each
                            )
                        )
                        factor = tf.minimum(clip / norm, 1.0)
                        sums = [tf.tensordot(factor, e, 1) for e in each]
                        return (
                            None,
                            *[
                                (s + noise * clip * n) / b
                                for s, n in zip(sums, z, strict=True)
                            ],
                        )

                    return outputs(x, *p), backward

                return forward(x, *p)

        return Network()

    return make


# %%
def private(clip, noise):
    return {"torch": private_torch, "tensorflow": private_tensorflow}[framework.name](
        clip, noise
    )


# %% [markdown]
# Whether it does what it says can be seen from outside. With a huge $C$ and no noise, per-example gradients add up to the
# ordinary gradient, so it must train as an ordinary network does. With a small $C$ no gradient may be longer than that. And
# with noise alone the length of the gradient is known beforehand.

# %%
tiny = plain.replace(
    optimizer=kit.optimizer("minibatch", learning_rate=1.0),
    budget=kit.Budget(steps=30),
    evaluate_every=1,
    probes=("gradient_norm",),
)
free = await guide.run(tiny.replace(model=private(clip=1e9, noise=0.0)))
held = await guide.run(tiny.replace(model=private(clip=0.1, noise=0.0)))
noisy = await guide.run(tiny.replace(model=private(clip=1e-9, noise=1e9)))

# The same start for an ordinary network of the kit: what no step has changed yet, by its canonical names.
unmoved = tiny.replace(
    optimizer=kit.optimizer("minibatch", learning_rate=1e-30),
    budget=kit.Budget(steps=1),
)
start = (await guide.run(unmoved.replace(model=private(1e9, 0.0)))).parameters()
shapes = {
    "layers.0.weight": (HIDDEN, 64),
    "layers.0.bias": (HIDDEN,),
    "layers.1.weight": (10, HIDDEN),
    "layers.1.bias": (10,),
}
either = [
    *start.values(),
    *(value.T for value in start.values()),
]  # Keras has them as (in, out)
same_start = {
    name: next(value for value in either if value.shape == shape)
    for name, shape in shapes.items()
}
ordinary = await guide.run(
    tiny.replace(model=kit.model("mlp", hidden=(HIDDEN,))).starting_at(same_start)
)

# %%
apart = float(np.abs(free.curve("batch_loss") / ordinary.curve("batch_loss") - 1).max())
guide.check(
    "Without clipping and noise it trains like an ordinary network: 30 losses agree to one in a thousand",
    apart < 1e-3,
    "Run the cell above again.",
)
guide.check(
    "Clipped to 0.1, no gradient is longer than 0.1; without clipping all are",
    held.curve("gradient_norm").max() <= 0.1 * (1 + 1e-5)
    and free.curve("gradient_norm").min() > 0.1,
    "Run the cell above again.",
)
weights = 64 * HIDDEN + HIDDEN + HIDDEN * 10 + 10
guide.check(
    f"Noise alone, of deviation σ C / b = 1/64 in each of {weights:,} numbers, is as long as that says, to within 5%",
    abs(noisy.curve("gradient_norm").mean() / (np.sqrt(weights) / 64) - 1) < 0.05,
    "Run the cell above again.",
)

# %% [markdown]
# And by hand: one step with all samples and $C = 0.1$, computed in NumPy from the formula
# above, sample by sample. (For PyTorch, the library Opacus takes per-example gradients of
# most kinds of layers; TensorFlow Privacy does for TensorFlow.)

# %%
one_step = plain.replace(
    model=private(clip=0.1, noise=0.0),
    optimizer=kit.optimizer("gd", learning_rate=1.0),
    batch_size=len(x_train),
    budget=kit.Budget(steps=1),
)
moved = (await guide.run(one_step.starting_at(start))).parameters()

w1, b1, w2, b2 = (same_start[name].astype(float) for name in shapes)
hidden = np.maximum(x_train @ w1.T + b1, 0)
z = hidden @ w2.T + b2
p = np.exp(z - z.max(axis=1, keepdims=True))
d2 = p / p.sum(axis=1, keepdims=True) - np.eye(10)[y_train]  # ∇ of ℓ_i at output i
d1 = (d2 @ w2) * (hidden > 0)
each = [
    d1[:, :, None] * x_train[:, None, :],
    d1,
    d2[:, :, None] * hidden[:, None, :],
    d2,
]
norm = np.sqrt(sum((g**2).reshape(len(g), -1).sum(axis=1) for g in each))
factor = np.minimum(1, 0.1 / norm)
expected = [-np.tensordot(factor, g, 1) / len(x_train) for g in each]

# %%
happened = [moved[name] - value for name, value in start.items()]
largest = max(
    float(np.abs(here - (step if here.shape == step.shape else step.T)).max())
    for step in expected
    for here in happened
    if here.shape in (step.shape, step.T.shape)
)
guide.check(
    "The step is the one that the formula gives, to one in a million in every parameter",
    largest < 1e-6,
    "Run the cells above again.",
)

# %% [markdown]
# ## What a promise costs in noise
#
# How much of $\varepsilon$ does a step spend? The kit's accountant, `kit.privacy`, follows the Rényi divergence between
# what could be seen with a sample and without it, which simply adds up over the steps, and turns it into
# $(\varepsilon, \delta)$ at the end
# ([Mironov, Talwar & Zhang 2019, *Rényi differential privacy of the sampled Gaussian mechanism*](https://arxiv.org/abs/1908.10530)):

# %%
N, DELTA = len(x_train), 1e-4  # δ below 1/1,438


def spends(noise, batch, steps):
    return epsilon(noise=noise, sampling=batch / N, steps=steps, delta=DELTA)


for_one = guide.estimate(
    "Batches of 256 and σ = 2, 100 steps spend about ε = 4. How much do 400 steps spend?",
    default=16,
)
for_one

# %%
four = spends(2.0, 256, 400)
for_one.compare(
    four,
    "noise adds up like a random walk: four times the steps hide a little more than twice as badly",
    factor=1.2,
)
guide.table(
    [
        [steps, *(f"{spends(noise, 256, steps):.1f}" for noise in (1.0, 2.0, 4.0))]
        for steps in (25, 100, 400, 1600)
    ],
    ["steps", "σ = 1", "σ = 2", "σ = 4"],
    "The ε that is spent with batches of 256 of 1,438 samples, at δ = 1e-4.",
)

# %% tags=["nbval-ignore-output"]
if find_spec("dp_accounting"):
    import dp_accounting

    accountant = dp_accounting.rdp.RdpAccountant(ORDERS)
    event = dp_accounting.PoissonSampledDpEvent(
        256 / N, dp_accounting.GaussianDpEvent(2.0)
    )
    theirs = accountant.compose(event, 400).get_epsilon(DELTA)
    guide.check(
        "Google's dp-accounting says the same, to one in a million",
        abs(theirs / four - 1) < 1e-6,
        "Update it.",
    )

# %% [markdown]
# One thing is often passed over in silence. The formula holds if each sample is drawn into each batch *independently*,
# with the chance $b/n$. The kit, like nearly everybody, goes through the data in random order instead, epoch by epoch, and
# for that the same $\varepsilon$ is not proven; it can be worse
# ([Chua et al. 2024, *How private are DP-SGD implementations?*](https://arxiv.org/abs/2403.17673)). With *all* samples in
# each step nothing is sampled, and the number holds as it stands. That is what we do now.
#
# ## Second experiment: the price
#
# Gradient descent with all 1,438 samples a step, $C = 1$, and 100 steps. How much noise does $\varepsilon = 2$ need, and
# what is left of the accuracy?

# %%
STEPS, TARGETS = 100, (0.5, 2.0, 8.0)
price = guide.predict(
    "Without privacy the network names about 95 of 100 unseen digits rightly. And with ε = 2?",
    {
        "most": "More than 80.",
        "some": "60 to 80.",
        "much": "Fewer than 60.",
    },
    default="much",
)
price

# %%
sigma = {
    target: noise_for(target, sampling=1.0, steps=STEPS, delta=DELTA)
    for target in TARGETS
}
base = plain.replace(
    optimizer=kit.optimizer("gd", learning_rate=2.0),
    batch_size=N,
    budget=kit.Budget(steps=STEPS),
    evaluate_every=STEPS,
)
accuracy = {}
for target in (*TARGETS, float("inf")):
    run = await guide.run(
        base.replace(model=private(clip=1.0, noise=sigma.get(target, 0.0)))
    )
    accuracy[target] = run.final("validation_accuracy")
secret = await guide.run(
    base.replace(model=private(clip=1.0, noise=sigma[8.0]), dataset=by_heart)
)

# %%
at_two = 100 * accuracy[2.0]
price.compare("most" if at_two > 80 else "some" if at_two > 60 else "much")

# %% tags=["nbval-ignore-output"]
guide.table(
    [
        [
            "∞ (clipping alone)" if target == float("inf") else f"{target:g}",
            f"{sigma.get(target, 0.0):.0f}",
            f"{100 * accuracy[target]:.0f}%",
        ]
        for target in accuracy
    ],
    ["ε", "noise σ", "unseen digits named rightly"],
    "What a promise of ε at δ = 1e-4 costs, with all samples in each of 100 steps.",
)

# %%
guide.show(
    guide.lines(
        {"private": (TARGETS, [100 * accuracy[target] for target in TARGETS])},
        x="ε (smaller: a stronger promise)",
        y="unseen digits named rightly (%)",
        x_scale="log",
        y_scale="linear",
        levels={"no noise": 100 * accuracy[float("inf")]},
        title="A stronger promise, a worse model",
        words="The share of unseen digits that are named rightly, against ε on a logarithmic axis. It rises from ε = 0.5 to "
        "ε = 8, where it comes near the level of training without noise, which is marked.",
    )
)
guide.check(
    "The strongest promise costs accuracy, and with ε = 8 fewer than 15% of the wrong labels are learnt by heart",
    accuracy[0.5] < accuracy[2.0]
    and accuracy[0.5] < accuracy[8.0]
    and secret.final("validation_accuracy") < 0.15,
    "Let all the runs above finish.",
)

# %% [markdown]
# ### Explain
#
# (That clipping alone ends as well as $\varepsilon = 8$ is no reason to leave the noise out: without it nothing at all is
# promised. Few steps with all samples may learn little by heart, but nobody can prove how little.)
#
# The noise in the mean gradient has the deviation $\sigma C / b$ in each coordinate. So it is the *batch* that pays for
# privacy: twice the samples in a step halve the noise, and cost nothing in $\sigma$ when all take part anyway. With ten
# times the people, the same $\varepsilon$ costs a tenth of the noise. That is why private training works well for
# companies with a hundred million users and badly for a clinic with a thousand patients, and why one
#
# - takes batches that would be far too large otherwise,
# - takes few steps, with a learning rate as large as it bears,
# - keeps the model small: the noise has a part in every parameter, and its length grows with $\sqrt{\text{parameters}}$.
#
# The clipping norm $C$ scales signal and noise alike; only where gradients are shorter than $C$ is noise wasted. So $C$
# and $\eta$ are tuned together, like $\eta / (1-\mu)$ in momentum. And one warning: tuning on the private data spends
# privacy too.
#
# **Exercise.** With 1,438 people and $\varepsilon = 2$ the noise in each coordinate of the mean gradient has the deviation
# $s$. A colleague has 14,380 people, and takes the same steps, $\sigma$ and $C$. By which factor is the noise smaller? Put
# a number in place of the dots.

# %%
guide.answer("ten times the people", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Look at the formula of $\tilde g$: how often is $z$ drawn in a step?
#
# </details>
#
# <details><summary>Solution</summary>
#
# Once. $\sigma C z / b$ with $b$ ten times as large is ten times smaller. (The noise that comes from *sampling* a batch
# falls with $\sqrt{b}$ only; this one is added by hand.)
#
# </details>

# %% [markdown]
# ## What to decide
#
# - Decide on $\varepsilon$ and $\delta$ before anything is trained, compute $\sigma$, and ask whether the noise
#   $\sigma C / b$ leaves anything of a gradient of norm $C$.
# - A few thousand people and a strong promise: a linear model on good features, or no model.
# - Say how batches were drawn when you report $\varepsilon$.

# %% [markdown]
# ## On your own data
#
# Put the number of your samples, your batch and your steps in the place of these: the cell says what noise a promise
# needs, and how it compares with a clipped gradient.

# %%
samples, batch, steps, promise = 60_000, 2_000, 600, 2.0
needed = noise_for(
    promise, sampling=batch / samples, steps=steps, delta=1 / (10 * samples)
)
parameters = 25_000
guide.say(
    f"For ε = {promise:g} with batches of {batch:,} of {samples:,} samples and {steps} steps, σ must be {number(needed, 2)}.",
    f"The noise in the mean gradient of {parameters:,} parameters is then {number(needed * parameters**0.5 / batch, 2)} "
    "clipping norms long.",
)
