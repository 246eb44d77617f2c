"""The words of a report, each in a line."""

from __future__ import annotations

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("step", "One update of the model's parameters."),
    ("batch", "The training samples whose gradient one step uses: all (gd), one (sgd) or a number in between."),
    ("learning rate", "How far a step goes along the direction that the optimizer chose."),
    ("training loss", "What is minimised, over all training samples; lower is better."),
    ("validation loss", "The same, over samples held out from training: what the methods are judged by."),
    ("accuracy", "The share of held-out samples whose class is predicted right."),
    ("replicate", "The same experiment with other random draws. Replicate 2 of every method shares its split, its "
     "start and its order of batches, so methods are compared pair by pair."),
    ("geometric mean", "The mean of the logarithms, turned back: the natural mean of losses and times, which differ by "
     "factors."),
    ("95% interval", "Student's t interval over the replicates: made anew for many studies, 95 in 100 such intervals "
     "would hold the true mean."),
    ("p", "How often a difference at least this large would come up if there were none."),
    ("Holm's correction", "Makes p larger for the number of comparisons, so that the chance of any false claim among "
     "them stays below 5%."),
    ("no difference shown", "These replicates do not decide it. That is not the same as no difference: see how wide "
     "the interval is."),
    ("diverged", "The loss became infinite, not a number, or a million times its start; the run was ended there."),
    ("parity", "Whether one experiment gives the same numbers in both frameworks, but for rounding."),
    ("gradient evaluation", "The gradient of the loss of one sample: the unit of work that batches of any size share."),
)  # fmt: skip
