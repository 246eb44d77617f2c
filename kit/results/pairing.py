"""What is compared with what: methods within one setting, and frameworks within one method.

A *method* is how one optimizes: optimizer, its hyperparameters, schedule, batch size. A *setting* is what it is tried
on: data, model, loss, backend, device, precision, budget. Methods are compared within a setting; where a learning rate
was searched, each optimizer stands there at its best rate. Where a setting has one method only, what else varies (the
model, say) is compared in its place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kit.results.labels import is_of_method
from kit.results.lanes import Lane
from kit.results.metrics import is_accuracy

Question = Literal["methods", "frameworks"]
Pairs = Literal["best", "all"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """Lanes to be compared with each other. `best` is None where no lane has a value."""

    question: Question
    shared: tuple[str, ...]  # the labels that all lanes of the setting have in common
    lanes: tuple[Lane, ...]
    best: Lane | None
    searched: int = 0  # learning rates tried for each method, of which its best stands here; 0: none was searched

    def pairs(self, kind: Pairs = "all") -> list[tuple[Lane, Lane]]:
        """All pairs, or those of the best lane with each other one."""
        if kind == "all" or self.question == "frameworks" or self.best is None:
            return list(itertools.combinations(self.lanes, 2))
        return [(self.best, lane) for lane in self.lanes if lane is not self.best]


def better(metric: str, one: float, other: float) -> bool:
    """Whether one value of a metric is better than another; NaN never is."""
    return one > other if is_accuracy(metric) else one < other


def best_of(lanes: Iterable[Lane], metric: str, *, log: bool) -> Lane | None:
    """The lane with the best mean. One of whose runs some did not finish comes after all that are whole: the mean of
    the survivors flatters it."""
    lanes = list(lanes)
    best: Lane | None = None
    for candidates in ([lane for lane in lanes if lane.whole], [lane for lane in lanes if not lane.whole]):
        mark = math.nan
        for lane in candidates:
            mean = lane.mean(metric, log=log).estimate
            if not math.isnan(mean) and (best is None or better(metric, mean, mark)):
                best, mark = lane, mean
        if best is not None:
            return best
    return None


def method_settings(lanes: Sequence[Lane], metric: str, *, log: bool) -> list[Setting]:
    """The settings in which methods (or, failing these, models) are compared."""
    if not lanes:
        return []
    context = [name for name in lanes[0].labels if not is_of_method(name)]
    settings = [
        _setting(group, metric, log, context, reduce=True) for group in grouped(lanes, context) if len(group) > 1
    ]
    if any(len(setting.lanes) > 1 for setting in settings):
        return [setting for setting in settings if len(setting.lanes) > 1]
    # One method: compare what else varies, on the same data and in the same framework.
    fixed = [name for name in context if name.partition("__")[0] in ("dataset", "loss", "backend", "device", "dtype")]
    return [_setting(group, metric, log, fixed, reduce=False) for group in grouped(lanes, fixed) if len(group) > 1]


def _setting(group: list[Lane], metric: str, log: bool, shared: list[str], *, reduce: bool) -> Setting:
    chosen, searched = at_best_rates(group, metric, log=log) if reduce else (group, 0)
    return Setting(
        question="methods",
        shared=tuple(shared),
        lanes=tuple(chosen),
        best=best_of(chosen, metric, log=log),
        searched=searched,
    )


def at_best_rates(lanes: Sequence[Lane], metric: str, *, log: bool) -> tuple[list[Lane], int]:
    """Each method at its best learning rate, and the largest number of rates tried; unchanged (and 0) where there is
    one method only, whose rates are then what is compared."""
    groups = by_rate(lanes)
    if len(groups) < 2 or all(len(group) == 1 for group in groups):
        return list(lanes), 0
    chosen = [best_of(group, metric, log=log) or group[0] for group in groups]
    return chosen, max(len(group) for group in groups)


def by_rate(lanes: Sequence[Lane]) -> list[list[Lane]]:
    """Lanes that differ in nothing but the learning rate, together."""
    return grouped(lanes, [name for name in (lanes[0].labels if lanes else ()) if name != "learning_rate"])


def framework_settings(lanes: Sequence[Lane], metric: str, *, log: bool) -> list[Setting]:
    """For each method, the same runs in every framework; where a rate was searched, at the rates that are best in
    any of them."""
    groups = [
        group
        for group in grouped(lanes, [name for name in (lanes[0].labels if lanes else ()) if name != "backend"])
        if len({lane.backend for lane in group}) > 1
    ]
    kept = {id(lane) for setting in method_settings(lanes, metric, log=log) for lane in setting.lanes}
    groups = [group for group in groups if not kept or any(id(lane) in kept for lane in group)]
    shared = tuple(name for name in lanes[0].labels if name != "backend") if lanes else ()
    order = list(dict.fromkeys(lane.backend for lane in lanes))  # one order of the frameworks in all sentences
    groups = [sorted(group, key=lambda lane: order.index(lane.backend)) for group in groups]
    return [
        Setting(question="frameworks", shared=shared, lanes=tuple(group), best=best_of(group, metric, log=log))
        for group in groups
    ]


def grouped(lanes: Sequence[Lane], names: Iterable[str]) -> list[list[Lane]]:
    """Lanes with equal values of the labels, in the order of their first."""
    names = list(names)
    groups: dict[tuple[Any, ...], list[Lane]] = {}
    for lane in lanes:
        groups.setdefault(lane.key(names), []).append(lane)
    return list(groups.values())
