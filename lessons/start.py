# %% [markdown]
# # The guided experiments
#
# Each of these takes 10 to 20 minutes. You *predict* what will happen, *run* it, *compare* and *explain*; each begins
# with what you will be able to decide afterwards, and ends with a section for your own data. Hints and solutions are one
# click away. What you change here stays: `kit start` never writes over a notebook that you have edited.
#
# ## Begin
#
# - [00 Start here](00_start_here.ipynb): one run in each framework within a minute; what the words mean
#
# ## Why optimizers do what they do
#
# - [01 Gradient descent](01_gradient_descent.ipynb): step size, curvature, the stability limit and what lies past it
# - [02 Stochastic gradient descent](02_stochastic_gradient_descent.ipynb): one sample at a time, the noise floor, why
#   averaging and decay help
# - [03 Mini-batches](03_mini_batches.ipynb): what a batch buys; the gradient noise scale and the critical batch size
# - [04 Momentum and Nesterov](04_momentum.ipynb): conditioning, and the rates that momentum reaches
# - [05 Adaptive methods](05_adaptive_methods.ipynb): Adagrad, RMSprop, Adam, AdamW: what each repairs, and where Adam fails
# - [06 Two frameworks, one experiment](06_two_frameworks.ipynb): parity, and eight places where the same words mean
#   different things
#
# ## Deciding for a problem of your own
#
# - [07 Choosing an optimizer](07_choosing_an_optimizer.ipynb): a fair comparison, equal tuning, intervals, when the answer
#   is "no difference"
# - [08 Tuning](08_tuning.ipynb): range test, grid, refinement, schedules, and what to tune first with a budget of $n$ runs
# - [09 Bigger models, small machine](09_bigger_models.ipynb): memory and time, batch against accumulation, precision, a
#   character transformer
#
# ## Looking further
#
# - [10 Seeing inside](10_seeing_inside.ipynb): gradients, update ratios, sharpness, loss landscapes, attributions
# - [11 Private data](11_private_data.ipynb): clipping, noise and what it costs
# - [12 Write your own](12_write_your_own.ipynb): an optimizer, a model and a probe as a plugin, seen in the lab at once
#
# ## Try for yourself
#
# - [The lab](lab-app.ipynb): choose a problem and up to six optimizers, watch them train, stop, change, train again
#
# ## What works here
#
# The cell below says which frameworks are installed. Every notebook runs with any one of them.

# %% tags=["nbval-ignore-output"]
from kit import guide

guide.say(f"Installed here: {', '.join(guide.frameworks())}.")
