# ---
# jupyter:
#   title: The lab
#   voila:
#     template: kit
# ---

# %% [markdown]
# # The lab
#
# Choose a problem and up to six optimizers, press *Run*, and watch them train: on the same data, from the same initial
# weights, over the same batches. *Pause*, *Stop* and *Run again* do what they say while it trains; *New seed* changes the
# random draws for all lanes alike. *Keep* puts the runs into the store under a name, to be laid over later ones; *Show
# code* gives the Python that does the same.

# %% [markdown] tags=["notebook-only"]
# Shift and Enter run the cell below. `kit lab` opens this notebook as an application, without code.

# %% tags=["nbval-ignore-output"]
import kit

lab = kit.lab()
lab
