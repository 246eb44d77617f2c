"""The section of the comparisons: verdicts, and a table that draws each interval."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from kit.report.markup import Html, interval_mark, paragraphs, section, table, tag, text
from kit.results.comparison import Comparison, Comparisons
from kit.results.findings import MANY_COMPARISONS
from kit.results.verdicts import interval, names_of, said_with_first, side
from kit.results.words import MISSING, metric_words, p_value

if TYPE_CHECKING:
    from kit.results.results import Results

DRAWN = "lower ← → higher"
SIGNS = {"lower": "▼", "higher": "▲", "alike": "≈", "identical": "=", "fixed": "≠", "not shown": "?", "no data": "–"}
VERDICTS = {
    "lower": "a is lower", "higher": "a is higher", "alike": "the same", "identical": "identical",
    "fixed": "nothing varies", "not shown": "no difference shown", "no data": "cannot be said",
}  # fmt: skip


def comparisons_section(results: Results) -> Html:
    comparisons = results.compare()
    if not len(comparisons):
        return section("comparisons", "Comparisons", text("p", "There is nothing to compare: all runs are alike."))
    parts = []
    for question, title in (("methods", "Method against method"), ("frameworks", "Framework against framework")):
        items = comparisons.of(question)  # type: ignore[arg-type]
        if len(items):
            parts += [text("h3", title), _verdicts(items), _comparison_table(items, title)]
    return section("comparisons", "Which differences are real", *parts, paragraphs(comparisons.remarks, class_="note"))


def _verdicts(items: Comparisons) -> Html:
    """The verdicts as sentences, with a sign each; none where they would fill pages."""
    if len(items) > MANY_COMPARISONS:
        return text("p", f"{len(items)} comparisons; the table lists them.")
    told = said_with_first(items)
    lines = [
        tag(
            "li",
            text("span", SIGNS[item.verdict], class_="sign", aria_hidden="true"),
            escape(sentence),
            class_="shown" if item.verdict in ("lower", "higher") else None,
        )
        for sentence, item in told
    ]
    return tag("ul", *lines, class_="verdicts")


def _comparison_table(items: Comparisons, title: str) -> Html:
    columns = ("where", "a", "b", "a against b", "95% interval", DRAWN, "p (Holm)", "pairs", "verdict")
    reach = max((_reach(item) for item in items), default=1.0) or 1.0
    rows = [_comparison_row(item, reach) for item in items]
    metric = metric_words(items.metric)
    caption = f"{title}: {metric} of a against that of b, pair by pair. Dashed line: no difference."
    right = (False, False, False, True, True, False, True, True, False)
    return table(columns, right, rows, caption=caption, drawn_columns=(DRAWN,))


def _comparison_row(item: Comparison, reach: float) -> Html:
    where, a, b = names_of(item)
    found = item.difference
    cells = [text("td", where), text("th", a, scope="row"), text("td", b)]
    if found is None:
        cells += [text("td", MISSING, class_="number")] * 2 + [tag("td")] + [text("td", MISSING, class_="number")]
    else:
        low, estimate, high = (_additive(value, found.ratio) for value in (found.low, found.estimate, found.high))
        spread = MISSING if found.fixed else interval(found, item.metric)
        p = MISSING if math.isnan(item.adjusted) else p_value(item.adjusted).removeprefix("p ").removeprefix("= ")
        cells += [
            text("td", side(found, item.metric), class_="number", data_value=repr(estimate)),
            text("td", spread, class_="number", data_value=repr(low)),
            tag("td", interval_mark(low, estimate, high, reach)),
            text("td", p, class_="number", data_value=repr(item.adjusted)),
        ]
    cells += [
        text("td", str(item.pairs), class_="number"),
        text("td", f"{SIGNS[item.verdict]} {VERDICTS[item.verdict]}"),
    ]
    return tag("tr", *cells)


def _additive(value: float, ratio: bool) -> float:
    """A ratio by its logarithm, so that half and double lie equally far from no difference."""
    if not ratio:
        return value
    return math.log(value) if 0 < value < math.inf else math.copysign(math.inf, value - 1)


def _reach(item: Comparison) -> float:
    """How far an estimate, and as much of its interval as is not wild, lies from no difference."""
    found = item.difference
    if found is None:
        return 0.0
    middle = abs(_additive(found.estimate, found.ratio))
    ends = [abs(_additive(value, found.ratio)) for value in (found.low, found.high)]
    return max(middle, *(end for end in [middle, *ends] if end <= 3 * middle + 0.1)) * 1.1
