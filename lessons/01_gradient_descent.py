# %% [markdown]
# # 01 · Gradient descent: how large may a step be?
#
# **Afterwards you can decide** how large a learning rate your problem can bear, whether a run that went wrong went
# wrong because of it, and what to change when no rate is both stable and quick.
#
# 15 minutes. You have run [the first notebook](00_start_here.ipynb), or know what a loss and a gradient are. You
# *predict*, *run*, *compare* and *explain*, three times. Answer before you run: being wrong is how this works.

# %%
import kit
from kit import guide
from kit.results.words import number

framework = guide.framework()
framework

# %% [markdown]
# ## The rule
#
# The data are 442 people with diabetes: ten measures of each, $x_i$, and how far the disease had come a year later,
# $y_i$, standardised. The model is a line, with the parameters $p = (w, b)$, and the loss is the mean squared error:
#
# $$ L(p) = \frac{1}{n} \sum_{i=1}^{n} (w \cdot x_i + b - y_i)^2 $$
#
# Gradient descent steps against the gradient $g = \nabla L(p)$; how far is the learning rate $\eta$. Below stands the
# rule as it is written in the books, and then the very lines that train in this notebook.

# %%
guide.formula("gd")

# %% [markdown]
# ## First experiment: faster, faster, …
#
# If a small $\eta$ goes down slowly, a larger one should go down faster. How long does that go well?

# %%
faster = guide.predict(
    "The learning rate is raised in small steps, 200 updates each time. What does the loss at the end do?",
    {
        "ever": "It gets better with every raise.",
        "gentle": "It gets better, and from some rate on slowly worse again.",
        "cliff": "It gets better, and then two rates only a few percent apart make all the difference.",
    },
    default="gentle",
)
faster

# %% [markdown]
# Before that, one measurement. The *curvature* of the loss along a direction says how quickly the slope changes as one
# goes that way. The probe `curvature` reads the largest one, $\lambda$: the largest eigenvalue of the matrix of second
# derivatives of $L$, the Hessian.

# %%
line = kit.Experiment(
    dataset="diabetes",
    model="linear",
    loss="mse",
    optimizer="gd",
    backend=framework.name,
    dtype="float64",
    budget=kit.Budget(steps=200),
)
start = await guide.probe(line, "curvature")
curvature = start["largest_curvature"]
guide.say(f"The largest curvature λ is {curvature:.2f}.")

# %%
cliff = guide.estimate(
    "From which learning rate on will the loss grow instead of fall?", default=1.0
)
cliff

# %% [markdown]
# Now the rates: from a tenth of $2/\lambda$ to one and a half times as much. (Why two divided by $\lambda$? Run it
# first.)

# %%
limit = 2 / curvature
shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.02, 1.1, 1.5]
results = await guide.run(line.vary(learning_rate=[share * limit for share in shares]))
ends = dict(zip(shares, results, strict=True))
guide.table(
    [
        [
            f"{share:g}",
            run.status,
            run.final("train_loss") if run.status == "done" else "left for infinity",
        ]
        for share, run in ends.items()
    ],
    ["learning rate, as a share of 2/λ", "how it ended", "loss after 200 steps"],
    "Nine learning rates, one start: where the loss goes.",
)

# %%
largest_stable = max(share for share, run in ends.items() if run.status == "done")
smallest_unstable = min(
    share for share, run in ends.items() if run.status == "diverged"
)
faster.compare(
    "cliff" if smallest_unstable / largest_stable < 1.05 else "gentle",
    f"{largest_stable:g} of the limit trains, and {smallest_unstable:g} of it leaves for infinity",
)
cliff.compare(limit, "the limit is 2/λ")

# %%
shown = {
    f"{share:g} of the limit": ends[share].curve("batch_loss")
    for share in (0.1, 0.5, 0.98, 1.02)
}
guide.show(
    guide.lines(
        {name: (curve.index, curve.to_numpy()) for name, curve in shown.items()},
        x="step",
        y="training loss (mean squared error)",
        x_scale="log",
        title="Just below 2/λ the loss settles, just above it leaves",
    )
)

# %% [markdown]
# ### Explain
#
# Near its lowest point a loss is a bowl, and for this model it is one everywhere:
# $L(p) = L(p^*) + \tfrac12 (p - p^*)^\top H\, (p - p^*)$, with the Hessian $H$. Its gradient is $H (p - p^*)$, so one
# step changes the distance to the lowest point, $e = p - p^*$, to
#
# $$ e \leftarrow e - \eta H e = (I - \eta H)\, e . $$
#
# Along an eigenvector of $H$ with the curvature $\lambda$ that is $e \leftarrow (1 - \eta \lambda)\, e$: a number
# multiplied by the same factor at every step. It shrinks while $|1 - \eta\lambda| < 1$, that is for
#
# $$ 0 < \eta < \frac{2}{\lambda}, $$
#
# and the direction of the *largest* curvature is the first to break it. At $\eta = 1/\lambda$ that direction is done in
# one step; between $1/\lambda$ and $2/\lambda$ the factor is negative, and the run jumps from wall to wall of the
# valley, ever lower; beyond, ever higher. Nothing in between: hence the cliff.

# %%
guide.check(
    "The largest rate that trains and the smallest that does not lie on either side of 2/λ",
    largest_stable < 1 < smallest_unstable,
    "Run the notebook from its top; if it fails again, `kit doctor` says whether the installation is sound.",
)

# %% [markdown]
# ## Second experiment: whose curvature is it?
#
# The ten measures were standardised before training: each was shifted and scaled to mean 0 and deviation 1. The table
# as the doctors wrote it has ages in years and blood values in mg/dl, numbers around 50 to 200.

# %%
scaled = guide.predict(
    "The same data as they were written down, not standardised. What happens to the largest stable rate?",
    {
        "same": "Nothing: it is the same problem.",
        "some": "It falls about as much as the numbers grew: a hundred times.",
        "square": "It falls about with the square of it: ten thousand times.",
    },
    default="same",
)
scaled

# %%
raw = await guide.probe(line.replace(standardise=False), "curvature")
ratio = raw["largest_curvature"] / curvature
scaled.compare("square" if ratio > 3000 else "some" if ratio > 30 else "same")
guide.say(
    f"The largest curvature grew {number(ratio, 2)} times, and the largest stable rate fell by as much."
)

# %% [markdown]
# ### Explain
#
# For this loss $H = \frac{2}{n} \sum_i \tilde x_i \tilde x_i^\top$, where $\tilde x_i$ is a sample with a 1 appended for
# the bias. Samples enter twice, so numbers that are $c$ times larger make the curvature $c^2$ times larger. This is why
# one standardises, and why a learning rate from a paper says nothing about your columns.
#
# **Exercise.** A colleague measures lengths in metres, trains with $\eta = 0.1$, and is content. You have the same
# lengths in centimetres, and no other columns. Which $\eta$ does the same for you? Put a number in place of the dots.

# %%
guide.answer("centimetres", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# By which factor are your numbers larger than your colleague's? And by which factor is λ larger?
#
# </details>
#
# <details><summary>Solution</summary>
#
# A metre is 100 centimetres, so every $x$ is 100 times larger, $\lambda$ is $100^2 = 10{,}000$ times larger, and
# $\eta = 0.1 / 10{,}000 = 10^{-5}$.
#
# </details>

# %% [markdown]
# ## Third experiment: past the limit
#
# A network's loss is no bowl: its curvature changes as it trains. Here is one with 64 hidden units on the same data.

# %%
network = line.replace(
    model=kit.model("mlp", hidden=(64,), activation="tanh"),
    dtype="float32",
    budget=kit.Budget(steps=2400),
    evaluate_every=40,
    probes=("curvature",),
)
first = (await guide.probe(network, "curvature"))["largest_curvature"]
guide.say(
    f"At the start the largest curvature is {first:.1f}, so 2/λ is {2 / first:.3f}."
)

# %%
past = guide.predict(
    "A learning rate of 0.1 is beyond that limit, if only just. What will the run with it do?",
    {
        "left": "It will leave for infinity.",
        "smooth": "It will train, and the loss will fall smoothly.",
        "edge": "It will train, with ups and downs of the loss, while the curvature stays near 2/η.",
    },
    default="left",
)
past

# %%
rates = [0.02, 0.05, 0.1, 0.2]
edge = await guide.run(network.vary(learning_rate=rates))
by_rate = dict(zip(rates, edge, strict=True))

# %%
run = by_rate[0.1]
late = run.curve("largest_curvature").loc[400:]
loss = run.curve("train_loss")
ups = (loss.diff() > 0.01 * loss).sum()
hovers = bool(abs(late.mean() * 0.1 / 2 - 1) < 0.15)
past.compare(
    "left" if run.status != "done" else "edge" if hovers and ups > 5 else "smooth"
)

# %%
drawn = {
    f"η = {rate:g}": by_rate[rate].curve("largest_curvature")
    for rate in (0.02, 0.05, 0.1)
}
guide.show(
    guide.lines(
        {name: (curve.index, curve.to_numpy()) for name, curve in drawn.items()},
        x="step",
        y="largest curvature λ",
        y_scale="linear",
        levels={"2/η for η = 0.05": 40.0, "2/η for η = 0.1": 20.0},
        title="The curvature rises until it meets 2/η, and stays there",
        words="The largest curvature by step for three learning rates. With η = 0.02 it rises slowly and stays far below "
        "2/η = 100. With η = 0.05 it rises from about 20 to about 40, which is 2/η. With η = 0.1 it starts at "
        "2/η = 20 and goes up and down around it.",
    )
)
rising = by_rate[0.05].curve("largest_curvature")
guide.check(
    "With η = 0.05 the curvature rose by more than a half, and with η = 0.1 it stayed within 15% of 2/η on average",
    rising.iloc[-1] > 1.5 * rising.iloc[0] and hovers,
    "Let the training above run to its end (2,400 steps) and run this cell again.",
)

# %% [markdown]
# ### Explain
#
# Two things happen at once. Training makes the loss *sharper*: with a small rate the curvature rises and rises. And once
# $\lambda$ passes $2/\eta$ the run begins to jump from wall to wall along that one direction, as above, only that here
# the jumps carry it to where the valley is wider: $\lambda$ falls below $2/\eta$, the jumps die out, and it all begins
# anew. Full-batch gradient descent on networks settles at this **edge of stability**
# ([Cohen et al. 2021, *Gradient descent on neural networks typically occurs at the edge of stability*](https://arxiv.org/abs/2103.00065)).
# So the limit is no wall for a network: being a little beyond it chooses wider valleys. Being far beyond it is still the
# end: with $\eta = 0.2$ the start itself is twice too steep.

# %%
guide.say(f"η = 0.2: {by_rate[0.2].status}. η = 0.1: {by_rate[0.1].status}.")
guide.check(
    "Far beyond the limit the run leaves for infinity",
    by_rate[0.2].status == "diverged",
    "Let the training above run to its end and run this cell again.",
)

# %% [markdown]
# ## What to decide
#
# - A run that ends with *diverged* at a full batch: measure $\lambda$, and take $\eta < 2/\lambda$. Half the limit,
#   $1/\lambda$, is a good first choice.
# - A limit that is very small: look at the *scale* of the data first, then at
#   [momentum in long valleys](04_momentum.ipynb) and [methods that adapt the rate](05_adaptive_methods.ipynb).
# - A network's loss that goes up and down at a full batch without leaving: it lives at the edge, and that is no fault.

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="sales.csv", target="price"`. The cell
# measures the limit of your problem at its start, then trains on both sides of it.

# %%
mine = kit.Experiment(
    dataset="breast_cancer",
    model="linear",
    optimizer="gd",
    backend=framework.name,
    budget=kit.Budget(steps=200),
)
my_limit = 2 / (await guide.probe(mine, "curvature"))["largest_curvature"]
my_shares = [0.1, 0.5, 1.5, 10]
mine_at = await guide.run(
    mine.vary(learning_rate=[share * my_limit for share in my_shares])
)
guide.table(
    [
        [f"{share:g}", run.status, run.finals["batch_loss"]]
        for share, run in zip(my_shares, mine_at, strict=True)
    ],
    ["learning rate, as a share of 2/λ", "how it ended", "last training loss"],
    f"Your problem: the limit at the start is {number(my_limit, 2)}.",
)
