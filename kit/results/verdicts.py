"""Comparisons in words.

"In torch, the validation loss of adam is lower than that of sgd by 12% (95% interval 5% to 19%; p = 0.004 after
Holm's correction for 6 comparisons)."
"In torch, no difference in validation loss is shown between adam and minibatch: that of adam is 2% lower (95%
interval 9% lower to 5% higher; p = 0.31 …)."
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kit.results.metrics import COUNTED, is_accuracy, usable
from kit.results.statistics import Difference
from kit.results.words import (
    FACTOR,
    counted,
    listed,
    metric_words,
    number,
    p_value,
    percent,
    plural,
)

SMALL = 0.05  # a ratio below this is said as a factor: "99.2% lower" is hard to tell from "99.9% lower"
ALIKE = "{bound}"  # stands for the bound until those of several comparisons are known
POINTS = " points"
TIMES = "a factor of "
ONE_REPLICATE = (
    "there is one replicate of each, and how much replicates scatter cannot be seen from one. Ask for 3 or more."
)

if TYPE_CHECKING:
    from kit.results.comparison import Comparison
    from kit.results.lanes import Lane


def said(comparison: Comparison) -> str:
    """The verdict on one comparison, with what was left out of it."""
    where, body = parts(comparison)
    return _with_place([where] if where else [], comparison, body)


def said_together(comparisons: Sequence[Comparison]) -> list[str]:
    """The verdicts, those told apart by nothing but where they hold in one sentence."""
    return [sentence for sentence, _ in said_with_first(comparisons)]


def said_with_first(comparisons: Sequence[Comparison]) -> list[tuple[str, Comparison]]:
    """`said_together`, each sentence with the first comparison that it tells of."""
    found: dict[tuple[str, str], tuple[Comparison, list[str]]] = {}
    if comparisons and all(is_single(comparison) for comparison in comparisons):
        metric = metric_words(comparisons[0].metric)
        return [(f"Nothing can be said about differences in {metric}: {ONE_REPLICATE}", comparisons[0])]
    bounds: dict[str, list[float]] = {}
    for comparison in comparisons:
        where, body = parts(comparison)
        if comparison.verdict == "alike" and not any(_caveats(comparison)):
            # How far apart they may be differs in the last digits; what matters is the largest of these bounds.
            body = _alike(comparison, ALIKE)
            bounds.setdefault(body, []).append(_bound(comparison))
        found.setdefault((comparison.question, body), (comparison, []))[1].append(where)
    said = []
    for (_, body), (first, wheres) in found.items():
        whole = body.replace(ALIKE, _bound_words(max(bounds[body]), first.metric)) if body in bounds else body
        said.append((_with_place([where for where in wheres if where], first, whole), first))
    return said


def _alike(comparison: Comparison, bound: str) -> str:
    _, a, b = names_of(comparison)
    return f"{a} and {b} end with the same {metric_words(comparison.metric)} to within {bound} (95% interval)."


def _bound(comparison: Comparison) -> float:
    """How far from no difference the interval reaches."""
    found = comparison.difference
    assert found is not None, "two lanes are alike by their interval"
    return max(abs(found.low - found.neutral), abs(found.high - found.neutral))


def _bound_words(bound: float, metric: str) -> str:
    return f"{number(100 * bound, 2)}{POINTS}" if is_accuracy(metric) else percent(bound)


def _with_place(wheres: list[str], comparison: Comparison, body: str) -> str:
    preposition = "With" if comparison.question == "frameworks" else "In"
    return f"{preposition} {listed(wheres)}, {body}" if wheres else body[:1].upper() + body[1:]


def parts(comparison: Comparison) -> tuple[str, str]:
    """(where it holds, what is said)."""
    return names_of(comparison)[0], " ".join([_verdict(comparison), *_caveats(comparison)])


def names_of(comparison: Comparison) -> tuple[str, str, str]:
    """(what both share and a name tells, a, b): the names as they read within the setting."""
    a, b = comparison.a, comparison.b
    if comparison.question == "frameworks":
        return a.method, a.backend, b.backend
    shared = comparison.setting.shared
    return a.place(shared), a.named(shared), b.named(shared)


def _verdict(comparison: Comparison) -> str:
    found, verdict = comparison.difference, comparison.verdict
    _, a, b = names_of(comparison)
    metric = metric_words(comparison.metric)
    if found is None:
        return f"nothing can be said about a difference in {metric} between {a} and {b}: {_why(comparison)}"
    if verdict == "identical":
        return f"{a} and {b} end with the very same {metric} in {_all(found.n)}."
    if verdict == "fixed":
        return (
            f"the {metric} of {a} is {side(found, comparison.metric)} than that of {b} in {_all(found.n)}: "
            f"{_fixed_reason(comparison.metric)}."
        )
    evidence = f"(95% interval {interval(found, comparison.metric)}; {_p(comparison)})"
    if verdict == "alike":
        return _alike(comparison, _bound_words(_bound(comparison), comparison.metric))
    if verdict == "not shown":
        return (
            f"no difference in {metric} is shown between {a} and {b}: that of {a} is "
            f"{side(found, comparison.metric)} {evidence}.{_alone(comparison)}"
        )
    return f"the {metric} of {a} is {verdict} than that of {b} by {amount(found, comparison.metric)} {evidence}."


def is_single(comparison: Comparison) -> bool:
    """Whether there was no more than one run on either side."""
    return max(len(comparison.a.runs), len(comparison.b.runs)) < 2


def _why(comparison: Comparison) -> str:
    """Why there is no interval."""
    pairs = comparison.pairs
    if is_single(comparison):
        return ONE_REPLICATE
    finished = plural(pairs, "replicate") if pairs else "no replicate"
    return f"{finished} finished with both, and an interval needs at least 2."


def _all(n: int) -> str:
    return f"all {n} replicates" if n > 2 else "both replicates"


def _fixed_reason(metric: str) -> str:
    if metric == "seconds":
        return "these trained as one stack, so it is one measurement and has no interval"
    return "nothing varies between these, so there is no interval"


def _p(comparison: Comparison) -> str:
    p = p_value(comparison.adjusted)
    return f"{p} after Holm's correction for {comparison.family} comparisons" if comparison.family > 1 else p


def _alone(comparison: Comparison) -> str:
    """A word on an interval that excludes no difference although the corrected test does not."""
    found = comparison.difference
    if found is None or found.p > 0.05:
        return ""
    return (
        f" By itself it would have been shown ({p_value(found.p)}); among {comparison.family} comparisons one such is "
        "to be expected now and then."
    )


def _caveats(comparison: Comparison) -> Iterable[str]:
    """A sentence for each side of which runs are left out."""
    for lane in (comparison.a, comparison.b):
        if sentence := left_out(lane, comparison.metric, names_of(comparison)[1 if lane is comparison.a else 2]):
            yield sentence
    ours, theirs = (len(lane.finals(comparison.metric)) for lane in (comparison.a, comparison.b))
    if comparison.pairs < min(ours, theirs):
        yield f"Only {plural(comparison.pairs, 'replicate')} of those that finished are common to both."


def left_out(lane: Lane, metric: str, name: str = "") -> str:
    """Which runs of a lane do not count, and what that does to its mean; empty when all count."""
    missing = [run for run in lane.runs if not usable(run, metric)]
    if not missing:
        return ""
    counts = {status: n for status, n in lane.counts.items() if status != COUNTED}
    if not counts:
        return f"{plural(len(missing), 'run')} of {name or lane.name} recorded no {metric_words(metric)}."
    what = counted(counts)
    kept = len(lane.runs) - len(missing)
    if not kept:
        return f"No run of {name or lane.name} finished ({what})."
    flatters = "; what is said of it holds for the rest and flatters it" if "diverged" in counts else " and left out"
    return f"Of {plural(len(lane.runs), 'run')} of {name or lane.name}, {what}{flatters}."


def magnitude(estimate: float, metric: str, ratio: bool) -> str:
    """How much, without the direction: `12%`, `a factor of 20`, `1.2 points`."""
    if not ratio:
        return f"{number(abs(100 * estimate), 2)}{POINTS}" if is_accuracy(metric) else number(abs(estimate))
    if estimate == 0 or math.isinf(estimate):
        return "any factor"
    if estimate > FACTOR or estimate < SMALL:
        return f"{TIMES}{number(max(estimate, 1 / estimate), 2 if 0.01 < estimate < 100 else 3)}"
    return percent(abs(estimate - 1))


def _direction(estimate: float, neutral: float) -> str:
    return "lower" if estimate < neutral else "higher"


def amount(found: Difference, metric: str) -> str:
    return magnitude(found.estimate, metric, found.ratio)


def side(found: Difference, metric: str) -> str:
    """`12% lower`."""
    return one_side(found.estimate, metric, found)


def one_side(value: float, metric: str, found: Difference) -> str:
    if value == found.neutral:
        return "the same"
    how_much, direction = magnitude(value, metric, found.ratio), _direction(value, found.neutral)
    return f"{direction} by {how_much}" if how_much.startswith(TIMES) else f"{how_much} {direction}"


def interval(found: Difference, metric: str) -> str:
    """`5% to 19%` where both ends lie on one side (the smaller first), else `9% lower to 5% higher`."""
    low, high = found.low, found.high
    if (low - found.neutral) * (high - found.neutral) > 0:
        near, far = (
            magnitude(value, metric, found.ratio) for value in sorted((low, high), key=lambda v: _distance(v, found))
        )
        if near.endswith(POINTS) and far.endswith(POINTS):
            near = near.removesuffix(POINTS)
        if near.startswith(TIMES) and far.startswith(TIMES):
            far = far.removeprefix(TIMES)
        return f"{near} to {far}"
    return f"{one_side(low, metric, found)} to {one_side(high, metric, found)}"


def _distance(value: float, found: Difference) -> float:
    if not found.ratio:
        return abs(value)
    return abs(math.log(value)) if 0 < value < math.inf else math.inf
