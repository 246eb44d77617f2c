"""Halving: the learning rate is halved at even distances."""

import numpy as np

import kit
from kit.records import Hyperparameter, ScheduleSpec


def halving(step, steps, every=100):
    """½ to the number of whole distances so far. step: int64 array from 0; gives a float64 array."""
    return 0.5 ** (np.asarray(step) // every)


@kit.hookimpl
def kit_schedules():
    yield ScheduleSpec(
        name="halving",
        build=f"{__name__}:halving",
        needs_steps=False,
        hyperparameters=(
            Hyperparameter(name="every", default=100, low=1, unit="steps", help="Steps between halvings."),
        ),
        help="Halves the rate at even distances.",
    )
