# %% [markdown]
# # 10 · Seeing inside: gradients, steps, sharpness, landscapes, attributions
#
# **Afterwards you can decide** which layer keeps a network from learning, whether its steps have a healthy size, whether
# the place that it found is sharp or flat, and what it looks at in a sample.
#
# 20 minutes. Before it: [gradient descent and its limit](01_gradient_descent.ipynb).

# %%
import numpy as np

import kit
from kit import guide
from kit.data import load, prepare
from kit.landscape import filter_normalised, moved
from kit.registry import Registry
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## First experiment: which layer does not learn?
#
# Eight hidden layers of 32 units, with the sigmoid $s(z) = 1/(1 + e^{-z})$ between them, as networks were built in the
# 1990s; and the same with the rectifier $\max(z, 0)$ (ReLU). The probe `layers` reads the norm of the gradient of every
# parameter, and how far it moved since the last reading.

# %%
DEPTH = 8
deep = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,) * DEPTH),
    optimizer=kit.optimizer("minibatch", learning_rate=0.1),
    batch_size=64,
    budget=kit.Budget(steps=200),
    evaluate_every=20,
    probes=("layers",),
    backend=framework.name,
)
vanishing = guide.predict(
    "With sigmoids, how large is the gradient of the first layer at the start, compared with the last?",
    {
        "alike": "About as large.",
        "tenth": "A tenth or so.",
        "gone": "A thousandth or less.",
    },
    default="alike",
)
vanishing

# %%
by_kind = dict(
    zip(
        ("sigmoid", "relu"),
        await guide.run(deep.vary(model__activation=["sigmoid", "relu"])),
        strict=True,
    )
)

# %%
LAYERS = range(DEPTH + 1)


def profile(run, what, step):
    """A curve of every layer's weights, at one step."""
    return [run.curve(f"{what}.layers.{i}.weight").loc[step] for i in LAYERS]


first = {kind: profile(run, "gradient_norm", 0) for kind, run in by_kind.items()}
share = first["sigmoid"][0] / first["sigmoid"][-1]
vanishing.compare("gone" if share < 2e-3 else "tenth" if share < 0.3 else "alike")
guide.show(
    guide.lines(
        {kind: ([i + 1 for i in LAYERS], norms) for kind, norms in first.items()},
        x="layer, from the input to the output",
        y="norm of the gradient at the start",
        x_scale="linear",
        y_scale="log",
        title="Through sigmoids the gradient is gone before it arrives",
        words="The norm of the gradient of each layer's weights at the start, on a logarithmic axis. With ReLU it is about the "
        "same in all nine layers. With sigmoids it falls from the last layer to the first along a straight line, by "
        "a factor of a few in every layer: ten thousand times in all, or more.",
    )
)
guide.check(
    "With sigmoids the first layer's gradient is less than a thousandth of the last one's; with ReLU it is more than a tenth",
    share < 1e-3 and first["relu"][0] / first["relu"][-1] > 0.1,
    "Let both runs finish.",
)

# %% [markdown]
# ### Explain
#
# Going back through a layer, the gradient is multiplied by its weights and by the slope of its activation:
#
# $$ \frac{\partial L}{\partial h_{l}} = W_{l+1}^\top \left( s'(z_{l+1}) \odot \frac{\partial L}{\partial h_{l+1}} \right),
#    \qquad s'(z) = s(z)\,(1 - s(z)) \le \tfrac14 . $$
#
# A quarter at best, in each of eight layers: $4^{-8}$ is 1 in 65,000
# ([Glorot & Bengio 2010, *Understanding the difficulty of training deep feedforward neural networks*](https://proceedings.mlr.press/v9/glorot10a.html)).
# The slope of ReLU is 1 or 0, and weights that start with the right variance keep the length. The first layer, which sees
# the data, is the one that never learns, and the loss alone does not tell you which layer it was.

# %%
guide.say(
    f"After {deep.budget.steps} steps the training loss is {number(by_kind['sigmoid'].final('train_loss'), 2)} with "
    f"sigmoids, which is what guessing gives (ln 10 = 2.3), and {number(by_kind['relu'].final('train_loss'), 1)} with ReLU."
)
guide.check(
    "With sigmoids nothing was learnt, with ReLU the loss is below 0.5",
    by_kind["sigmoid"].final("train_loss") > 2.2
    and by_kind["relu"].final("train_loss") < 0.5,
    "Let both runs finish.",
)

# %% [markdown]
# ## Second experiment: the size of a step
#
# How far should a parameter move in one step? In terms of its own length: $\|\Delta p\| / \|p\|$. A rule of thumb says
# about a thousandth. Three learning rates of Adam, with the ratio read at every step; below, its median over the first
# 100 steps.

# %%
ratio = guide.predict(
    "Of three learning rates of Adam, 0.0001, 0.003 and 0.1, which one moves the parameters by about 1/1000 to 1/100 a step?",
    {"small": "0.0001", "middle": "0.003", "large": "0.1"},
    default="small",
)
ratio

# %% tags=["nbval-ignore-output"]
network = deep.replace(
    model=kit.model("mlp", hidden=(32,)), evaluate_every=1, probes=("update_ratio",)
)
ADAM = [1e-4, 3e-3, 0.1]
steps = await guide.run(network.vary(optimizer=["adam"], learning_rate=ADAM))
ratios = {
    rate: float(run.curve("update_ratio").loc[:100].median())
    for rate, run in zip(ADAM, steps, strict=True)
}
ends = {
    rate: run.final("validation_loss") for rate, run in zip(ADAM, steps, strict=True)
}
healthy = [rate for rate in ADAM if 1e-3 < ratios[rate] < 2e-2]
ratio.compare({1e-4: "small", 3e-3: "middle", 0.1: "large"}[healthy[0]])
guide.table(
    [[f"{rate:g}", number(ratios[rate], 1), number(ends[rate], 1)] for rate in ADAM],
    [
        "learning rate",
        "‖Δp‖ / ‖p‖ in a step (median of the first 100)",
        "validation loss after 200 steps",
    ],
    "Three learning rates of Adam: the size of a step, and where it leads.",
)
guide.check(
    "The rate whose steps are between 1/1000 and 1/50 of the parameters ends with the lowest validation loss",
    healthy == [min(ends, key=ends.get)],
    "Let the three runs finish.",
)

# %% [markdown]
# Adam's steps are about $\eta$ long in every coordinate whatever the gradient is, so the ratio is $\eta$ over the size of
# a typical weight. Below a ten-thousandth a network hardly moves; above a tenth it forgets in ten steps what it was.
#
# ## Third experiment: sharp or flat
#
# The largest curvature $\lambda$ of the loss is its *sharpness*; it bounds the learning rate: $\eta < 2/\lambda$. It is
# often said that large rates find flat places and small rates sharp ones. Two runs with all samples a step from the same
# start: one makes 3,000 small steps, the other 300 that are ten times as long.

# %%
sharper = guide.predict(
    "A rate of 0.03 for 3,000 steps, a rate of 0.3 for 300. Where do they end?",
    {
        "small": "In different places; where the small rate went it is sharper.",
        "large": "In different places; where the large rate went it is sharper.",
        "same": "In the same place.",
    },
    default="small",
)
sharper

# %%
falling = guide.predict(
    "And the sharpness itself: how does it change while a classifier's loss goes to zero?",
    {"rises": "It rises.", "stays": "It hardly changes.", "falls": "It falls."},
    default="rises",
)
falling

# %%
full = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    optimizer="gd",
    evaluate_every=300,
    probes=("curvature",),
    backend=framework.name,
)
SMALL, LARGE = 0.03, 0.3
ends = {
    rate: await guide.run(
        full.replace(
            optimizer=kit.optimizer("gd", learning_rate=rate),
            budget=kit.Budget(steps=count),
        )
    )
    for rate, count in ((SMALL, 3000), (LARGE, 300))
}
sharpness = {rate: run.final("largest_curvature") for rate, run in ends.items()}
at_start = ends[LARGE].curve("largest_curvature").iloc[0]
still = full.replace(
    optimizer=kit.optimizer("gd", learning_rate=1e-30),
    budget=kit.Budget(steps=1),
    probes=(),
)
start = (await guide.run(still)).parameters()  # a step of 1e-30 changes nothing


def way(one, other):
    """The distance between two sets of parameters."""
    return float(np.sqrt(sum(np.sum((one[name] - other[name]) ** 2.0) for name in one)))


apart = way(ends[SMALL].parameters(), ends[LARGE].parameters()) / way(
    start, ends[LARGE].parameters()
)

# %% [markdown]
# What does that look like? The loss along a direction through the end of each run. Which direction? A ReLU network stays
# the same function if one layer's weights are doubled and the next one's halved, so a step of a given length means
# nothing by itself. *Filter-normalised* directions are random, but for each unit as long as that unit's own weights
# ([Li et al. 2018, *Visualizing the loss landscape of neural nets*](https://arxiv.org/abs/1712.09913)).
#
# The parameters of a run are NumPy arrays with the same names in every framework, so the network can be computed here, in
# three lines:


# %%
def logits(parameters, x):
    """The network with one hidden layer: x (samples, features) -> (samples, classes)."""
    hidden = np.maximum(
        x @ parameters["layers.0.weight"].T + parameters["layers.0.bias"], 0
    )
    return hidden @ parameters["layers.1.weight"].T + parameters["layers.1.bias"]


def cross_entropy(parameters, x, y):
    z = logits(parameters, x)
    z = z - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]))


def data_of(experiment):
    """The splits as the run saw them, standardised: {"train": (x, y), "validation": (x, y)}."""
    data = load(experiment.dataset, Registry.load(), experiment.seed)
    prepared = prepare(data, seed=experiment.seed, replicates=[experiment.replicate])
    return {
        name: (block.x[0].astype(float), block.y[0])
        for name, block in prepared.evaluation.items()
    }


splits = data_of(full)
for rate, run in ends.items():
    here = cross_entropy(run.parameters(), *splits["train"])
    guide.check(
        f"The three lines give the run's own training loss, with η = {rate:g}",
        abs(here / run.final("train_loss") - 1) < 1e-4,
        "Please report it, with `kit doctor`.",
    )

# %%
sharper.compare(
    "same"
    if apart < 0.1
    else "small"
    if sharpness[SMALL] > sharpness[LARGE]
    else "large",
    "both rates are far below 2/λ, and there a run follows the curve that infinitely small steps would draw: only η times "
    "the number of steps counts",
)
fell = sharpness[LARGE] / at_start
falling.compare(
    "falls" if fell < 0.5 else "rises" if fell > 2 else "stays",
    "it is the softmax that flattens the loss",
)
WAY = np.linspace(-1, 1, 41)
slices = {}
for rate, run in ends.items():
    p = run.parameters()
    ways = [filter_normalised(p, np.random.default_rng(seed)) for seed in range(10)]
    slices[f"η = {rate:g}"] = np.exp(
        np.mean(
            [
                [
                    np.log(cross_entropy(moved(p, [(t, way)]), *splits["train"]))
                    for t in WAY
                ]
                for way in ways
            ],
            axis=0,
        )
    )
guide.show(
    guide.lines(
        {name: (WAY, values) for name, values in slices.items()},
        x="distance along the direction (1: as long as the weights)",
        y="training loss (mean of ten directions)",
        x_scale="linear",
        y_scale="log",
        title="Two ways of training, one bowl",
        words="The training loss along random filter-normalised directions through the ends of both runs, the geometric mean "
        "of ten directions, on a logarithmic axis. The two curves lie upon each other: a bowl with its lowest point in the "
        "middle, which rises by more than a factor of ten towards either side.",
    )
)
guide.table(
    [
        [
            f"{rate:g}",
            f"{2 / rate:.0f}",
            number(sharpness[rate], 1),
            number(run.final("train_loss"), 1),
        ]
        for rate, run in ends.items()
    ],
    ["learning rate η", "2/η", "largest curvature λ at the end", "training loss"],
    "Two ways to about the same loss.",
)
guide.check(
    "The ends are apart by less than a tenth of the way from the start, and each is the lowest point of its slice",
    apart < 0.1 and all(np.argmin(values) == 20 for values in slices.values()),
    "Let both runs finish.",
)

# %% [markdown]
# ### Explain
#
# For cross-entropy the Hessian is, but for a small part, $\frac1n \sum_i J_i^\top (\operatorname{diag} \pi_i - \pi_i
# \pi_i^\top) J_i$, with the probabilities $\pi_i$ and the derivatives $J_i$ of the logits. As the network becomes sure,
# $\pi_i$ goes to a 1 and zeros, and what stands in the middle goes to zero: the loss becomes flat because its *end* is
# flat, wherever the weights are. (With a squared error there is no such factor, and sharpness rises until it meets
# $2/\eta$: [the notebook on the stability limit](01_gradient_descent.ipynb).) So compare two networks' sharpness at the same
# loss, or not at all.
#
# And a slice is a picture of one direction of 2,410. Along a random one the curvature is about the *mean* of all
# eigenvalues of the Hessian, which is small; $\lambda$ is steep in a direction that random ones miss. A slice that looks
# flat is no proof of flatness: read the number beside the picture.
#
# ## Fourth experiment: what does it look at?
#
# Which pixels made it a "3"? The *gradient* of the winning logit with respect to the input, $\nabla_x z_c$, says what
# would change it. *Integrated gradients* go from an empty image $x_0$ to $x$ and add up the gradients on the way:
#
# $$ a_j = (x_j - x_{0,j}) \int_0^1 \frac{\partial z_c(x_0 + t (x - x_0))}{\partial x_j} \, dt , \qquad
#    \sum_j a_j = z_c(x) - z_c(x_0) . $$
#
# What each pixel contributed adds up to exactly what there is to explain
# ([Sundararajan, Taly & Yan 2017, *Axiomatic attribution for deep networks*](https://arxiv.org/abs/1703.01365)).


# %%
def input_gradient(parameters, x, label):
    """∇_x of the logit of each sample's label: (samples, features)."""
    w1, w2 = parameters["layers.0.weight"], parameters["layers.1.weight"]
    awake = x @ w1.T + parameters["layers.0.bias"] > 0  # where the slope of ReLU is 1
    return (w2[label] * awake) @ w1


def integrated_gradients(parameters, x, label, baseline, points=200):
    """Attributions (samples, features), by the midpoint rule."""
    way = (np.arange(points) + 0.5) / points
    mean = (
        sum(
            input_gradient(parameters, baseline + t * (x - baseline), label)
            for t in way
        )
        / points
    )
    return (x - baseline) * mean


trained = ends[LARGE].parameters()
x, y = splits["validation"]
x, y = x[:200], y[:200]
empty = x.min(
    axis=0
)  # every pixel as dark as it gets, in the standardised numbers of the run
attributions = integrated_gradients(trained, x, y, empty)
explained = logits(trained, x)[np.arange(200), y] - logits(trained, empty[None])[0][y]
guide.check(
    "The attributions of each digit add up to what there is to explain, to within 1% of a typical logit",
    np.abs(attributions.sum(axis=1) - explained).max()
    < 0.01 * np.abs(explained).mean(),
    "Take more points on the way.",
)

# %% [markdown]
# Is it true, though? An explanation can be tested: erase the pixels that it calls the most important, and the logit should
# fall more than if others are erased.

# %%
erase = guide.predict(
    "Ten of 64 pixels are erased: those with the largest attributions, or ten at random. How much more does the logit fall?",
    {
        "same": "About as much.",
        "twice": "About twice as much.",
        "more": "More than three times as much.",
    },
    default="same",
)
erase

# %%
draws = np.random.default_rng(0)
COUNTS = [1, 2, 5, 10, 20, 40]


def fall(scores):
    """How far the logit falls, on average, when so many of the pixels with the highest scores are erased."""
    ranked = np.argsort(-scores, axis=1)
    before, falls = logits(trained, x)[np.arange(200), y], []
    for count in COUNTS:
        erased = x.copy()
        np.put_along_axis(
            erased,
            ranked[:, :count],
            np.broadcast_to(empty, x.shape)[np.arange(200)[:, None], ranked[:, :count]],
            1,
        )
        falls.append(
            float(np.mean(before - logits(trained, erased)[np.arange(200), y]))
        )
    return falls


falls = {
    "integrated gradients": fall(attributions),
    "gradient alone": fall(np.abs(input_gradient(trained, x, y))),
    "at random": fall(draws.random(x.shape)),
}
gain = falls["integrated gradients"][3] / falls["at random"][3]
erase.compare("more" if gain > 3 else "twice" if gain > 1.4 else "same")
guide.show(
    guide.lines(
        {name: (COUNTS, values) for name, values in falls.items()},
        x="pixels erased, of 64",
        y="fall of the logit",
        x_scale="linear",
        y_scale="linear",
        title="Erasing what it looked at hurts most",
        words="How far the right logit falls on average against the number of erased pixels. By integrated gradients it falls "
        "fastest; by the gradient alone it falls more slowly; with random pixels it falls slowest.",
    )
)
guide.check(
    "Erasing ten pixels by integrated gradients hurts more than three times as much as ten at random",
    gain > 3,
    "Let the run with η = 0.3 finish.",
)

# %%
from matplotlib.figure import Figure  # noqa: E402

figure = Figure(figsize=(7.2, 2.9), layout="constrained")
panels = figure.subplots(2, 6)
for column, digit in enumerate((0, 1, 3, 4, 7, 9)):
    i = int(np.flatnonzero(y == digit)[0])
    top = np.abs(attributions[i]).max()
    panels[0, column].imshow((x[i] - empty).reshape(8, 8), cmap="gray_r")
    panels[1, column].imshow(
        attributions[i].reshape(8, 8), cmap="PuOr", vmin=-top, vmax=top
    )
    panels[0, column].set_title(str(digit), fontsize=10)
for axes in panels.flat:
    axes.set_axis_off()
guide.show(
    figure,
    "Two rows of six pictures of 8 by 8 pixels. Above, one digit each of 0, 1, 3, 4, 7 and 9. Below, the attributions of its "
    "pixels in two colours: orange where ink speaks against the digit, purple where it speaks for it. The strongest "
    "purple pixels lie on strokes that tell the digit from others.",
)

# %% [markdown]
# **Exercise.** A network's logit for "3" is 8.0 for an image and 0.5 for the empty one. The attributions of its 64 pixels
# are computed with too few points and add up to 7.0. What should they add up to? Put a number in place of the dots.

# %%
guide.answer("what to explain", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# What is integrated from the empty image to the image, and what does that give by the fundamental theorem of calculus?
#
# </details>
#
# <details><summary>Solution</summary>
#
# $z_c(x) - z_c(x_0) = 8.0 - 0.5 = 7.5$.
#
# </details>

# %% [markdown]
# ## What to decide
#
# - The loss does not move: look at the gradient of each layer before you look at the optimizer.
# - Steps that are longer than a fiftieth of the parameters, or shorter than a ten-thousandth: change the learning rate.
# - Two models with the same loss: their curvatures differ; pictures of slices do not replace that number.
# - An attribution that was not tested by erasing is a picture.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="customers.csv", target="churned"`. The cell
# trains a small network and says which columns it looks at, by what they contribute on average.

# %%
mine = kit.Experiment(
    dataset="wine",
    model=kit.model("mlp", hidden=(32,)),
    optimizer="adam",
    batch_size=32,
    backend=framework.name,
)
my_run = await guide.run(mine.replace(budget=kit.Budget(steps=300)))
my_x, my_y = data_of(mine)["validation"]
my_shares = np.abs(
    integrated_gradients(my_run.parameters(), my_x, my_y, 0 * my_x)
).mean(axis=0)
columns = np.argsort(-my_shares)
guide.say(
    f"Half of all that is attributed falls on {int(np.searchsorted(np.cumsum(np.sort(my_shares)[::-1]), my_shares.sum() / 2)) + 1} "
    f"of {len(my_shares)} columns."
)
