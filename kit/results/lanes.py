"""Runs that differ in nothing but their random draws, taken together.

A lane is what a line of the table, a curve in a figure and a side of a comparison stand for: `adam · torch`, with its
three replicates. It is named by no more than tells it from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.outcome import STATUSES
from kit.results.labels import ALWAYS, PAIRED, columns_of, is_of_method
from kit.results.metrics import final, usable
from kit.results.statistics import Interval, mean_interval
from kit.results.words import counted, label_words, value_words

if TYPE_CHECKING:
    from kit.results.run import Run

Pair = tuple[Any, ...]  # (seed, replicate)
SEPARATOR = " · "
# The order in which labels are asked to tell lanes apart, and in which a name reads.
_FIRST = ("optimizer", "learning_rate")
_LAST = ("schedule", "batch_size", "model", "dataset", "loss", "device", "dtype", "backend")


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """Runs alike in all but seed and replicate."""

    labels: Mapping[str, Any]  # all that the frames show, but seed and replicate
    runs: tuple[Run, ...]
    telling: tuple[str, ...]  # the labels that tell the lanes of these results apart, in the order of the name

    def named(self, leaving_out: Iterable[str] = ()) -> str:
        """The name, less the labels that are said elsewhere (in a heading, in the figure's title)."""
        skipped = set(leaving_out)
        parts: list[str] = []
        for name in self.telling:
            if name in skipped:
                continue
            if name == "learning_rate" and parts:  # `adam at 0.001`
                parts[-1] += f" at {value_words(self.labels[name])}"
            else:
                parts.append(label_words(name, self.labels[name]))
        return SEPARATOR.join(parts) or str(self.labels["optimizer"])

    def place(self, shared: Iterable[str]) -> str:
        """What of the name a setting shares: `torch`, `digits · torch`; empty where nothing is."""
        shared = set(shared)
        return SEPARATOR.join(label_words(name, self.labels[name]) for name in self.telling if name in shared)

    @property
    def name(self) -> str:
        """`adam · torch`."""
        return self.named()

    @property
    def method(self) -> str:
        """The name without the backend."""
        return self.named(("backend",))

    @property
    def backend(self) -> str:
        return str(self.labels["backend"])

    def key(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The values of some labels, to group lanes by."""
        return tuple(self.labels.get(name) for name in names)

    @property
    def counts(self) -> dict[str, int]:
        """Status -> number of runs, in the order of `kit.outcome.STATUSES`."""
        counts = Counter(run.status for run in self.runs)
        return {
            status: counts[status] for status in (*STATUSES, *sorted(set(counts) - set(STATUSES))) if counts[status]
        }

    @property
    def status(self) -> str:
        """`3 done`, `2 done, 1 diverged`."""
        return counted(self.counts)

    @property
    def whole(self) -> bool:
        """Whether every run finished."""
        return set(self.counts) == {"done"}

    def finals(self, metric: str) -> dict[Pair, float]:
        """The final values that count, by (seed, replicate)."""
        return {pair_of(run): final(run, metric) for run in self.runs if usable(run, metric)}

    def mean(self, metric: str, *, log: bool) -> Interval:
        """Over the finished runs; with `log` the geometric mean."""
        return mean_interval(list(self.finals(metric).values()), log=log)

    def __repr__(self) -> str:
        return f"Lane({self.name}: {self.status})"


def pair_of(run: Run) -> Pair:
    """What the random draws of a run depend on: runs that agree in it share split, start and order."""
    return tuple(run.specification.get(name, 0) for name in PAIRED)


def lanes_of(runs: Sequence[Run]) -> list[Lane]:
    """The lanes in the order of their first run."""
    all_labels = [run.labels for run in runs]
    columns = [name for name in columns_of(all_labels) if name not in PAIRED]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, labels in enumerate(all_labels):
        groups.setdefault(tuple(labels.get(name) for name in columns), []).append(i)
    lanes = [dict(zip(columns, key, strict=True)) for key in groups]
    telling = telling_labels(lanes)
    return [
        Lane(labels=labels, runs=tuple(runs[i] for i in members), telling=telling)
        for labels, members in zip(lanes, groups.values(), strict=True)
    ]


def telling_labels(lanes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The fewest labels, taken in the order of a name, that still tell all lanes apart."""
    columns = list(lanes[0]) if lanes else []
    extra = [name for name in columns if name not in ALWAYS]
    ordered = (
        *_FIRST,
        *(name for name in extra if is_of_method(name)),
        *_LAST[:-1],
        *(name for name in extra if not is_of_method(name)),
        _LAST[-1],
    )
    # What was compared in the first place (optimizers, frameworks) is named before what merely follows from it.
    asked = sorted(ordered, key=lambda name: name not in ("optimizer", "backend"))
    chosen: list[str] = []
    for name in asked:
        apart = len({tuple(lane.get(key) for key in chosen) for lane in lanes})
        if len({tuple(lane.get(key) for key in (*chosen, name)) for lane in lanes}) > apart:
            chosen.append(name)
    return tuple(name for name in ordered if name in chosen)
