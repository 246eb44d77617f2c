"""HTML from data: every string is escaped here, and nowhere else is markup made from one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from kit.plot.palette import REPORT

if TYPE_CHECKING:
    from kit.plot.chart import Chart

Html = str  # markup, safe to put into the page as it stands

_VARIABLES = {
    REPORT.surface: "var(--surface)",
    REPORT.ink: "var(--ink)",
    REPORT.muted: "var(--muted)",
    REPORT.grid: "var(--grid)",
    **{colour: f"var(--c{i})" for i, colour in enumerate(REPORT.series)},
}
_STAND_INS = re.compile("|".join(_VARIABLES))
POINTS_PER_INCH = 100  # of the page: type of 9 points stands a little above 12 pixels
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_PAGE_STYLE = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_SIZE = re.compile(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"')


def tag(name: str, *children: Html, **attributes: str | None) -> Html:
    """An element. Children are markup; attributes are text (`class_`, `data_value`), left out where None."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def text(name: str, content: str, **attributes: str | None) -> Html:
    """An element around text, escaped."""
    return tag(name, escape(content), **attributes)


def section(identifier: str, title: str, *children: Html) -> Html:
    """A section with its heading."""
    heading = f"{identifier}-title"
    return tag("section", text("h2", title, id=heading), *children, id=identifier, aria_labelledby=heading)


def paragraphs(sentences: Iterable[str], **attributes: str | None) -> Html:
    return "".join(text("p", sentence, **attributes) for sentence in sentences)


def definitions(terms: Iterable[tuple[str, str]]) -> Html:
    return tag("dl", *(text("dt", term) + text("dd", meaning) for term, meaning in terms))


def drawn(chart: Chart, name: str) -> Html:
    """A chart as inline SVG whose colours are the page's, so that it follows light, dark and print."""
    svg = _PAGE_STYLE.sub("", _METADATA.sub("", chart.svg(name)))
    # As wide as drawn at most, so that type has one size in all figures of the page.
    width = round(float(chart.get_size_inches()[0]) * POINTS_PER_INCH)
    svg = _SIZE.sub(rf'<svg style="max-width:{width}px" \1', _GROUP_ID.sub("<g", svg), count=1)
    return _STAND_INS.sub(lambda match: _VARIABLES[match[0]], svg)


def figure(wide: Chart, narrow: Chart | None, name: str, *, title: str = "") -> Html:
    """A chart with its words below; on a phone a narrower drawing of the same takes its place."""
    drawings = [(wide, "wide" if narrow else "any", name)]
    if narrow is not None:
        drawings.append((narrow, "narrow", f"{name}-narrow"))
    pictures = [
        tag("div", drawn(chart, salt), class_=kind, role="img", aria_label=chart.words)
        for chart, kind, salt in drawings
    ]
    return tag("figure", *pictures, text("figcaption", wide.words), data_name=title or None)


def interval_mark(low: float, estimate: float, high: float, reach: float) -> Html:
    """An interval as a bar around no difference. Values on an additive scale; reach: what half of the width stands
    for."""

    def place(value: float) -> str:
        return f"{88 + 84 * min(max(value / reach, -1.0), 1.0):.1f}"

    bar = ""
    if math.isfinite(low) and math.isfinite(high):
        bar = f'<line class="bar" x1="{place(low)}" x2="{place(high)}" y1="10" y2="10"/>'
    return (
        '<svg class="interval" viewBox="0 0 176 20" aria-hidden="true">'
        f'<line class="zero" x1="88" x2="88" y1="1" y2="19"/>{bar}'
        f'<circle class="dot" cx="{place(estimate)}" cy="10" r="4"/></svg>'
    )


def table(
    columns: Sequence[str],
    right: Sequence[bool],
    rows: Iterable[Html],
    *,
    caption: str,
    drawn_columns: Sequence[str] = (),  # hold drawings, by which nothing can be sorted
) -> Html:
    """A table that can be sorted, and scrolls sideways where the page is narrow. rows: markup of `<tr>`.

    The caption stands below, outside of what scrolls.
    """
    head = "".join(
        text("th", column, scope="col", class_="drawn" if column in drawn_columns else "number" if number else None)
        for column, number in zip(columns, right, strict=True)
    )
    whole = tag("table", tag("thead", tag("tr", head)), tag("tbody", *rows), class_="sortable", aria_label=caption)
    scrolling = tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)
    return scrolling + text("p", caption, class_="caption")
