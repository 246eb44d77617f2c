# %% [markdown]
# # 00 · Start here: one run, two frameworks
#
# **Afterwards you can decide** in which framework to go on (it will not matter), and you can read what a run says about
# itself: how it ended, how well, and at what cost.
#
# 10 minutes. Click into the first grey box (a *cell*) and press Shift-Enter: it runs, what it shows appears below it, and
# the next one is chosen. Go on like that from top to bottom. Where you are asked for a prediction, answer before you go
# on; if you do not, nothing waits for you. Nothing else needs to be installed, and no data are downloaded.

# %%
import kit
from kit import guide

framework = guide.framework()
framework

# %% [markdown]
# The answer above says where this notebook trains. All notebooks here run in any framework that is installed; you may
# have only one of them. If you change the answer, run the cells below it again.
#
# ## What the words mean
#
# - A **model** turns an input into an output by means of numbers that are learnt, its *parameters*.
# - The **loss** says in one number how wrong the outputs are. Training makes it small.
# - The **gradient** says, for every parameter, how the loss changes if that parameter grows.
# - An **optimizer** turns gradients into changes of the parameters. Its *learning rate* says how large they are.
# - A **step** is one such change. It looks at a **batch** of samples; once through all samples is an **epoch**.
# - The **budget** says when training ends: here after a number of steps.
# - The **seed** is the number from which everything random is drawn: the initial parameters, the order of the samples.
#   The same seed draws the same.
# - An **experiment** is all of it together, written down: data, model, loss, optimizer, batch, budget, seed, framework.
#   A **run** is an experiment carried out.
#
# ## First experiment: one run
#
# The data are 1,797 handwritten digits of 8 by 8 pixels, which scikit-learn ships. A fifth is held out for
# *validation*: the model never trains on it. The model is a small network with one hidden layer of 32 units (`mlp`, for
# multi-layer perceptron), the optimizer is Adam, which the notebook on [adaptive methods](05_adaptive_methods.ipynb)
# explains. What is not said here, such as the loss and the seed, has a default.

# %%
experiment = kit.Experiment(
    dataset="digits",
    model=kit.model("mlp", hidden=(32,)),
    optimizer=kit.optimizer("adam", learning_rate=0.01),
    batch_size=64,
    budget=kit.Budget(steps=300),
    backend=framework.name,
)

# %%
hit = guide.estimate(
    "Of 100 digits that it never saw, how many will it name rightly after 300 steps?",
    default=50,
)
hit

# %%
run = await guide.run(experiment)

# %%
accuracy = 100 * run.final("validation_accuracy")
hit.compare(accuracy, factor=1.03)
guide.say(
    f"The run ended with the status “{run.status}”: {run.reason}",
    f"It took {run.cost.steps} steps and saw {run.cost.samples:,} samples, some of them more than once.",
)
guide.check(
    "The network names more than nine of ten unseen digits rightly",
    accuracy > 90,
    "Run the cell with guide.run again and let it finish.",
)

# %%
guide.show(
    guide.lines(
        {
            f"{data} loss": (run.curve(name).index, run.curve(name).to_numpy())
            for data, name in {
                "training": "train_loss",
                "validation": "validation_loss",
            }.items()
        },
        x="step",
        y="loss (cross-entropy)",
        title="Both losses fall; on unseen digits it stays higher",
    )
)

# %% [markdown]
# The *validation loss* is what counts: it is measured on digits that the network has never seen. Where the two curves
# part, the network begins to learn its training samples by heart. (The loss here is the *cross-entropy*: minus the
# logarithm of the probability that the network gave to the right digit, on average. Guessing among ten digits costs 2.3,
# being sure and right costs nothing. The axis is logarithmic: the same way down is the same factor.)
#
# **Exercise.** Of the 1,797 digits, 1,438 are for training. With 64 in a batch, how many steps make one epoch? Put a
# number in place of the dots in the next cell (one decimal is enough), and run it again.

# %%
guide.answer("steps of an epoch", ...)

# %% [markdown]
# <details><summary>Hint</summary>
#
# In one epoch every training sample is seen once, and every step sees 64 of them.
#
# </details>
#
# <details><summary>Solution</summary>
#
# 1,438 samples / 64 samples in a step = 22.5 steps. A step may take its samples from the end of one epoch and the
# beginning of the next, so nothing is left over.
#
# </details>

# %% [markdown]
# ## Second experiment: the same in every framework
#
# PyTorch and TensorFlow were written by different people, and their functions of the same name often do different
# things. The kit draws the initial weights and the batches itself, once, and computes the optimizer by one formula that
# it wrote once. What is left to differ?

# %%
apart = guide.predict(
    "The same experiment in each framework, from the same start. How far are the losses apart in the first 100 steps?",
    {
        "wide": "By several percent: they are different programs.",
        "near": "By less than one part in ten thousand.",
        "none": "Not at all: every digit is the same.",
    },
    default="wide",
)
apart

# %%
everywhere = await guide.run(experiment.vary(backend=guide.frameworks()))

# %%
parity = everywhere.parity()
if parity.pairs:
    largest = max(pair.first for pair in parity.pairs)
    apart.compare("none" if largest == 0 else "near" if largest < 1e-4 else "wide")
    guide.check(
        "The promise of the kit holds here: less than one part in ten thousand, 0.0001",
        parity.holds,
        "Please report it: `kit doctor`.",
    )
else:
    apart.compare(
        "near",
        "only one framework is installed here; this is what a machine with both measures",
    )
    guide.say("Nothing could be compared here: a second framework is not installed.")

# %% [markdown]
# ### Explain
#
# Floating-point numbers are rounded after every operation, and two libraries add up a sum in different orders, so the
# last digits differ, by about one part in ten million at each step. Training carries them along and lets some of them
# grow. That is all that is left: the frameworks agree on everything else because everything else is done alike. The
# notebook [Two frameworks, one experiment](06_two_frameworks.ipynb) shows what happens where it is not.
#
# So choose the framework that you know. What the other notebooks teach holds in both.

# %%
guide.show(everywhere.plot_curves())

# %% [markdown]
# ## The lab: the same by hand
#
# Everything above can also be done with controls. The lab below is made of whatever is installed: choose data, model and
# optimizers, each in a *lane* of its own, change a learning rate, press *Run*, and *Stop* when you have seen enough. "Show
# code" gives the Python for it. When you run the second cell, it trains two optimizers by itself once; then it is yours.

# %% tags=["nbval-ignore-output"]
lab = kit.lab(
    ["minibatch", "adam"],
    backend=framework.name,
    replicates=1,
    budget=kit.Budget(steps=200),
)
lab

# %% tags=["nbval-ignore-output"]
trained = await lab.run()
# %% [markdown]
# ## What it costs
#
# The run in each framework of the second experiment, with its losses, its accuracy (the share of the unseen digits that
# are named rightly) and its time. Times depend on the machine and on what else it does; the other numbers do not.

# %% tags=["nbval-ignore-output"]
everywhere.table()

# %% [markdown]
# ## On your own data
#
# Put your file and the column to predict in the place of the name: `dataset="customers.csv", target="churned"`. A column
# of numbers is predicted by regression, a column of words or of few whole numbers by classification. Arrays `(x, y)` and
# pandas frames go as well. Until then the cell trains on 178 wines of three sorts.

# %%
mine = experiment.replace(dataset="wine", batch_size=32, backend=framework.name)
result = await guide.run(mine)
guide.say(
    f"Of the samples held out, {100 * result.final('validation_accuracy'):.0f}% are named rightly."
)
