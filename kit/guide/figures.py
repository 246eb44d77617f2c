"""A figure of a notebook's own numbers, in the kit's style: named lines, marked places, and all of it in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError
from kit.results.words import number, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kit.plot.chart import Chart
    from kit.plot.palette import Look, Theme
    from kit.plot.scales import Scale

PANEL = (5.4, 3.1)  # inches
MOST_MARKERS = 14  # on a line


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x: str,
    y: str,
    title: str,
    subtitle: str = "",
    marks: Mapping[str, float] | None = None,
    levels: Mapping[str, float] | None = None,
    x_scale: Scale | None = None,
    y_scale: Scale | None = None,
    words: str = "",
    digits: int = 2,
    theme: str = "light",
) -> Chart:
    """Lines with their names at their ends.

    series: name -> (x values, y values); what is not finite is left out. x, y: what the axes hold, with the unit.
    title: the finding. marks: name -> place on the x axis, a dotted vertical line; levels: the same on the y axis.
    x_scale, y_scale: "log" or "linear"; None: by the spread of the values. words: what the figure shows; made from the
    data where it is not given, with so many `digits`. Raises `InvalidValueError` where there is nothing to draw.
    """
    from kit.plot.chart import Sheet, name_axes
    from kit.plot.ends import End, label_ends, room_for
    from kit.plot.palette import look, theme_named
    from kit.plot.scales import chosen_scale, padded, set_scale

    colours = theme_named(theme)
    marks, levels = dict(marks or {}), dict(levels or {})
    drawn = {name: _finite(*values) for name, values in series.items()}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        raise InvalidValueError("There is nothing to draw: no line has a finite point.")
    across = [point[0] for points in drawn.values() for point in points] + list(marks.values())
    up = [point[1] for points in drawn.values() for point in points] + list(levels.values())
    scales: dict[str, Scale] = {"x": chosen_scale(x_scale, across), "y": chosen_scale(y_scale, up)}
    sheet = Sheet(colours, title=title, subtitle=subtitle, panels=[PANEL], right=room_for([*drawn, *levels]))
    axes = sheet.axes[0]
    name_axes(axes, colours, x, y)
    for axis, values, scale in ((axes.xaxis, across, scales["x"]), (axes.yaxis, up, scales["y"])):
        usable = [value for value in values if value > 0 or scale == "linear"]
        counted = all(value == round(value) for value in values)
        set_scale(axis, scale, *padded(min(usable), max(usable), scale), whole=counted)
    ends = []
    for i, (name, points) in enumerate(drawn.items()):
        chosen = look(i, colours)
        _draw(axes, points, chosen, colours)
        ends.append(End(x=points[-1][0], y=points[-1][1], text=name, look=chosen))
    _mark(axes, marks, levels, colours)
    for name, level in levels.items():
        ends.append(End(x=axes.get_xlim()[1], y=level, text=name, look=_rule(colours)))
    label_ends(axes, ends, colours)
    sheet.chart.words = words or _words(drawn, marks, levels, x, y, title, digits)
    return sheet.chart


def _finite(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    pairs = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    return [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]


def _rule(theme: Theme) -> Look:
    """How a level is drawn: a dotted line without a marker."""
    from kit.plot.palette import Look

    return Look(colour=theme.ink, marker="", dashes=(1.5, 1.5))


def _draw(axes: Axes, points: list[tuple[float, float]], look: Look, theme: Theme) -> None:
    every = max(1, len(points) // MOST_MARKERS)
    axes.plot(
        [a for a, _ in points], [b for _, b in points], color=look.colour, linestyle=look.line_style, linewidth=1.8,
        marker=look.marker, markersize=4.5, markevery=every, markeredgecolor=theme.surface, markeredgewidth=0.5,
        zorder=3,
    )  # fmt: skip


def _mark(axes: Axes, marks: dict[str, float], levels: dict[str, float], theme: Theme) -> None:
    from kit.plot.chart import FONT, LABEL

    dotted: dict[str, Any] = {"color": theme.ink, "linewidth": 1.1, "linestyle": (0, (1.5, 1.5)), "zorder": 2}
    for level in levels.values():
        axes.axhline(level, **dotted)
    for i, (name, place) in enumerate(marks.items()):
        axes.axvline(place, **dotted)
        # Names of neighbouring places stand one below the other.
        axes.annotate(
            name, (place, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -3 - 12 * (i % 4)),
            textcoords="offset points", va="top", ha="left", fontsize=LABEL, family=FONT, color=theme.ink,
            parse_math=False,
            bbox={"facecolor": theme.surface, "edgecolor": "none", "pad": 1.0, "alpha": 0.85}, zorder=3.6,
        )  # fmt: skip


def _words(
    drawn: Mapping[str, list[tuple[float, float]]],
    marks: Mapping[str, float],
    levels: Mapping[str, float],
    x: str,
    y: str,
    title: str,
    digits: int,
) -> str:
    """Where each line starts, turns and ends."""
    said = [f"{y[:1].upper()}{y[1:]} against {x}: {title}."]
    for name, points in drawn.items():
        first, last = points[0], points[-1]
        text = f"{name}: from {number(first[1], digits)} at {_place(first[0])} "
        lowest, highest = min(points, key=lambda p: p[1]), max(points, key=lambda p: p[1])
        for what, turn in (("lowest", lowest), ("highest", highest)):
            if turn[1] not in (first[1], last[1]):
                text += f"({what}: {number(turn[1], digits)} at {_place(turn[0])}) "
        said.append(f"{text}to {number(last[1], digits)} at {_place(last[0])}.")
    for text, places in (("Marked on the horizontal axis", marks), ("Marked on the vertical axis", levels)):
        if places:
            said.append(f"{text}: {', '.join(f'{name} at {_place(v)}' for name, v in places.items())}.")
    return " ".join(said)


def _place(value: float) -> str:
    """A point of an axis, as one reads it off."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if 1e3 <= abs(rounded) < 1e7 else short(rounded)
