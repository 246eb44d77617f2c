"""What is read off a run when it has ended: which metrics there are, which way is better, how they spread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from kit.errors import unknown
from kit.outcome import Cost

if TYPE_CHECKING:
    from kit.results.run import Run

COSTS = tuple(field.name for field in fields(Cost))
CLOCK_UNITS = {"step": "updates", "samples": "samples", "gradient_evaluations": "gradients", "seconds": "s"}
# In order of preference: what a study is judged by when nothing is said.
JUDGED_BY = ("validation_loss", "train_loss", "batch_loss")
COUNTED = "done"  # only finished runs enter a mean or a comparison


def is_accuracy(metric: str) -> bool:
    """Accuracies are shares: higher is better, differences are in points."""
    return metric.endswith("accuracy")


def final(run: Run, metric: str) -> float:
    """The last value of a metric; NaN where the run has none."""
    return run.finals.get(metric, math.nan)


def usable(run: Run, metric: str) -> bool:
    """Whether a run's final value may enter a mean: it finished, and the value is a finite number."""
    return run.status == COUNTED and math.isfinite(final(run, metric))


def metric_names(runs: Iterable[Run]) -> list[str]:
    """The metrics that any run has, in the order met; then the costs."""
    found = dict.fromkeys(name for run in runs for name in run.finals if name not in COSTS)
    return [*found, *COSTS]


def judged_by(runs: Iterable[Run]) -> str:
    """The metric that decides: the validation loss where there is one."""
    names = set(metric_names(runs))
    return next((metric for metric in JUDGED_BY if metric in names), JUDGED_BY[0])


def checked(metric: str | None, runs: Iterable[Run]) -> str:
    """The metric, or the one that decides. Raises `UnknownNameError` for one that no run has."""
    runs = list(runs)
    if metric is None:
        return judged_by(runs)
    names = metric_names(runs)
    if runs and metric not in names:
        raise unknown("metric in these results", metric, names)
    return metric


def on_log_scale(runs: Iterable[Run], metric: str) -> bool:
    """Whether logarithms are averaged: not for accuracies, nor where a value is zero or negative (an objective
    function may be)."""
    if is_accuracy(metric):
        return False
    values = [final(run, metric) for run in runs if usable(run, metric)]
    return all(value > 0 for value in values)
