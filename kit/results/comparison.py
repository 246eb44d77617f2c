"""Paired comparisons of lanes, corrected for how many there are, and a verdict on each.

A family is all pairs that could have been looked at under one question: all pairs of methods in a setting, or all
pairs of frameworks. Holm's correction is made over the whole family even where only the pairs with the best are shown,
because which one is best was itself read off the data: corrected for k − 1 pairs only, four equal methods would show
some difference from "the best" in 7% of studies and eight in 10%, where it says 5%.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kit.results.lanes import Lane
from kit.results.metrics import is_accuracy, on_log_scale
from kit.results.pairing import Pairs, Question, Setting, framework_settings, method_settings
from kit.results.statistics import LEVEL, Difference, holm, paired_difference

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 1 - LEVEL
# An interval wholly within these is no difference that matters: 1% of a loss or a time, 0.1 points of an accuracy.
NEGLIGIBLE_RATIO = 0.01
NEGLIGIBLE_SHARE = 0.001

Verdict = Literal["lower", "higher", "alike", "not shown", "identical", "fixed", "no data"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Lane `a` against lane `b`, over the replicates that both finished."""

    question: Question
    metric: str
    a: Lane
    b: Lane
    setting: Setting
    difference: Difference | None  # of a from b; None: fewer than two pairs
    pairs: int
    adjusted: float  # p after Holm's correction; NaN where there was no test
    family: int  # tests that were corrected for

    @property
    def verdict(self) -> Verdict:
        """`lower` or `higher` (a's value than b's, shown at 5% after correction), `alike` (to within what matters),
        `not shown`, `identical` or `fixed` (nothing varies between the replicates), `no data`."""
        found = self.difference
        if found is None:
            return "no data"
        if found.fixed:
            return "identical" if found.estimate == found.neutral else "fixed"
        if self.negligible:
            return "alike"
        if self.adjusted <= ALPHA:
            return "lower" if found.estimate < found.neutral else "higher"
        return "not shown"

    @property
    def negligible(self) -> bool:
        """Whether the whole interval lies within what does not matter."""
        found = self.difference
        if found is None or found.fixed:
            return False
        if found.ratio:
            return found.low >= 1 / (1 + NEGLIGIBLE_RATIO) and found.high <= 1 + NEGLIGIBLE_RATIO
        return is_accuracy(self.metric) and max(abs(found.low), abs(found.high)) <= NEGLIGIBLE_SHARE

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        from kit.results.verdicts import said

        return said(self)

    def document(self) -> dict[str, Any]:
        """As a row of `Comparisons.frame`, and as JSON data."""
        found = self.difference or Difference(
            ratio=True, estimate=math.nan, low=math.nan, high=math.nan, p=math.nan, n=0
        )
        return {
            "question": self.question,
            "a": self.a.name,
            "b": self.b.name,
            "metric": self.metric,
            "scale": "ratio a / b" if found.ratio else "difference a − b",
            "estimate": found.estimate,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "p_holm": self.adjusted,
            "family": self.family,
            "pairs": self.pairs,
            "verdict": self.verdict,
            "sentence": self.sentence,
        }

    def __repr__(self) -> str:
        return self.sentence


class Comparisons(Sequence[Comparison]):
    """What `Results.compare` gives: the comparisons shown, as a sequence, a frame and sentences."""

    def __init__(self, items: Sequence[Comparison], metric: str, remarks: Sequence[str] = ()) -> None:
        self.items = tuple(items)
        self.metric = metric
        self.remarks = tuple(remarks)  # what holds for all of them

    def of(self, question: Question) -> Comparisons:
        """Those of one question: `methods` or `frameworks`."""
        return Comparisons([item for item in self.items if item.question == question], self.metric, self.remarks)

    @property
    def sentences(self) -> list[str]:
        """The verdicts, then what holds for all; what holds alike in several places is said once."""
        from kit.results.verdicts import said_together

        return [*said_together(self.items), *self.remarks]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per comparison: question, a, b, metric, scale, estimate, low, high, p, p_holm, pairs, verdict,
        sentence."""
        import pandas as pd

        return pd.DataFrame([item.document() for item in self.items])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Comparison:  # type: ignore[override]  # slices are not needed
        return self.items[index]

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.items)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        return f"Comparisons({len(self)} of {self.metric})\n{self}"

    def _repr_html_(self) -> str:
        from html import escape

        return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in self.sentences) + "</ul>"


def compare_lanes(
    lanes: Sequence[Lane], metric: str, pairs: Pairs = "best", judged_by: str | None = None
) -> list[Comparison]:
    """The comparisons to show: methods first, then frameworks.

    judged_by: the metric that says which lane is the best (and the best learning rate); `metric` unless given.
    """
    runs = [run for lane in lanes for run in lane.runs]
    judge = judged_by or metric
    judge_log = on_log_scale(runs, judge)
    settings = method_settings(lanes, judge, log=judge_log)
    log = on_log_scale(runs, metric)
    shown = [item for setting in settings for item in _family([setting], metric, pairs, log=log)]
    return shown + _family(framework_settings(lanes, judge, log=judge_log), metric, "all", log=log)


def _family(settings: Sequence[Setting], metric: str, pairs: Pairs, *, log: bool) -> list[Comparison]:
    """The pairs to show of one family, corrected over all of its pairs."""
    found: dict[frozenset[int], Difference | None] = {}
    for setting in settings:
        for a, b in setting.pairs("all"):
            found[_key(a, b)] = paired(a, b, metric, log=log)[0]
    p = [math.nan if difference is None else difference.p for difference in found.values()]
    adjusted = dict(zip(found, holm(p), strict=True))
    tests = sum(not math.isnan(value) for value in p)
    comparisons = []
    for setting in settings:
        for a, b in setting.pairs(pairs):
            difference, count = paired(a, b, metric, log=log)
            comparisons.append(
                Comparison(
                    question=setting.question,
                    metric=metric,
                    a=a,
                    b=b,
                    setting=setting,
                    difference=difference,
                    pairs=count,
                    adjusted=adjusted[_key(a, b)],
                    family=tests,
                )
            )
    return comparisons


def _key(a: Lane, b: Lane) -> frozenset[int]:
    return frozenset((id(a), id(b)))


def paired(a: Lane, b: Lane, metric: str, *, log: bool) -> tuple[Difference | None, int]:
    """a against b over the replicates that both finished, and how many these are."""
    ours, theirs = a.finals(metric), b.finals(metric)
    common = [pair for pair in ours if pair in theirs]
    return paired_difference([ours[p] for p in common], [theirs[p] for p in common], log=log), len(common)
