"""How the result depends on the learning rate: which rates are near the best, and whether the best is at an edge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.results.lanes import Lane
from kit.results.metrics import is_accuracy
from kit.results.pairing import best_of, by_rate
from kit.results.statistics import Interval
from kit.results.words import listed, metric_words, number, percent, plural, short

if TYPE_CHECKING:
    import pandas as pd

WITHIN = 0.1  # of the best: near enough to call a rate good


@dataclass(frozen=True, kw_only=True, eq=False)
class RateSearch:
    """One method in one setting, over its learning rates (ascending)."""

    metric: str
    log: bool
    lanes: tuple[Lane, ...]
    best: Lane | None
    within: float

    @property
    def name(self) -> str:
        """`adam`, or `adam in torch` where there is more than one framework."""
        return f"{self.method} in {self.place}" if self.place else self.method

    @property
    def method(self) -> str:
        return self.lanes[0].named(("learning_rate", "backend"))

    @property
    def place(self) -> str:
        """The framework, where lanes are told apart by it; else empty."""
        return self.lanes[0].backend if "backend" in self.lanes[0].telling else ""

    def interval(self, lane: Lane) -> Interval:
        return lane.mean(self.metric, log=self.log)

    def is_good(self, lane: Lane) -> bool:
        """Whether every run finished and the mean is within `within` of the best."""
        if self.best is None or not lane.whole:
            return False
        mine, best = self.interval(lane).estimate, self.interval(self.best).estimate
        if is_accuracy(self.metric):
            return mine >= best * (1 - self.within)
        return mine <= best + self.within * abs(best)

    @property
    def good(self) -> tuple[Lane, ...]:
        """The unbroken range of good rates around the best one."""
        if self.best is None:
            return ()
        place = low = high = self.lanes.index(self.best)
        while low > 0 and self.is_good(self.lanes[low - 1]):
            low -= 1
        while high < len(self.lanes) - 1 and self.is_good(self.lanes[high + 1]):
            high += 1
        return self.lanes[low : high + 1] if self.is_good(self.best) else (self.lanes[place],)

    @property
    def edge(self) -> str:
        """`lowest` or `highest` where the best rate is the end of the grid, beyond which nothing was tried; else empty.

        A best rate next to a diverged one is no edge: the grid did reach beyond it.
        """
        if self.best is None or len(self.lanes) < 2:
            return ""
        if self.best is self.lanes[0]:
            return "lowest"
        return "highest" if self.best is self.lanes[-1] else ""

    @property
    def sentence(self) -> str:
        """The finding in words."""
        return f"With {self.name}, {self.finding}"

    @property
    def finding(self) -> str:
        """The sentence without whom it is about."""
        if self.best is None:
            return f"no learning rate led to a finished run: tried were {self._range(self.lanes)}."
        metric, rate = metric_words(self.metric), short(rate_of(self.best))
        found = self.interval(self.best)
        where = f"between {number(found.low)} and {number(found.high)} at 95%, " if found.n > 1 else ""
        text = (
            f"{rate} is the best of {len(self.lanes)} learning rates tried: it gives a {metric} of "
            f"{number(found.estimate)} ({where}{plural(found.n, 'replicate')})"
        )
        good = self.good
        text += (
            f"; all rates from {short(rate_of(good[0]))} to {short(rate_of(good[-1]))} come within "
            f"{percent(self.within)}."
            if len(good) > 1
            else f"; no rate next to it comes within {percent(self.within)}, so the choice matters."
        )
        if self.edge:
            text += f" It is the {self.edge} rate that was tried: the best may lie beyond; widen the grid."
        broken = [lane for lane in self.lanes if "diverged" in lane.counts]
        if broken:
            text += f" It diverges at {self._range(broken)}."
        return text

    @staticmethod
    def _range(lanes: Sequence[Lane]) -> str:
        if len(lanes) < 4:
            return listed(short(rate_of(lane)) for lane in lanes)
        return f"{short(rate_of(lanes[0]))} to {short(rate_of(lanes[-1]))} ({len(lanes)} rates)"


def said_together(searches: Sequence[RateSearch]) -> list[str]:
    """A sentence for each search; what is found alike in several frameworks is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for search in searches:
        found.setdefault((search.method, search.finding), []).append(search.place)
    return [
        f"With {method}{f' in {listed(places)}' if places[0] else ''}, {finding}"
        for (method, finding), places in found.items()
    ]


def rate_of(lane: Lane) -> float:
    value = lane.labels.get("learning_rate")
    return math.nan if value is None else float(value)


def rate_searches(lanes: Sequence[Lane], metric: str, *, log: bool, within: float = WITHIN) -> list[RateSearch]:
    """One for each method and setting with two or more learning rates."""
    found = []
    for group in by_rate([lane for lane in lanes if not math.isnan(rate_of(lane))]):
        ordered = tuple(sorted(group, key=rate_of))
        if len(ordered) > 1:
            best = best_of(ordered, metric, log=log)
            found.append(RateSearch(metric=metric, log=log, lanes=ordered, best=best, within=within))
    return found


def sensitivity_frame(searches: Sequence[RateSearch]) -> pd.DataFrame:
    """One row per method, setting and learning rate: method, backend, learning_rate, metric, mean, low, high, n,
    diverged, best, good (within the tolerance), edge."""
    import pandas as pd

    columns = (
        "method", "backend", "learning_rate", "metric", "mean", "low", "high", "n", "diverged", "best", "good", "edge",
    )  # fmt: skip
    rows = []
    for search in searches:
        good = {id(lane) for lane in search.good}
        for lane in search.lanes:
            found = search.interval(lane)
            rows.append(
                (
                    search.method,
                    lane.backend,
                    rate_of(lane),
                    search.metric,
                    found.estimate,
                    found.low,
                    found.high,
                    found.n,
                    lane.counts.get("diverged", 0),
                    lane is search.best,
                    id(lane) in good,
                    search.edge if lane is search.best else "",
                )
            )
    return pd.DataFrame(rows, columns=list(columns))
