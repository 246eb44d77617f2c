"""Names beside points: each at the side where it covers least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kit.plot.chart import FONT, LABEL, LEADING, width_of
from kit.plot.palette import Theme

Box = tuple[float, float, float, float]  # left, bottom, right, top, in points
MARK = 5.5  # half a point's mark, its edge included, in points
GAP = MARK + 3.0  # between the middle of a point and its name
# Sides in order of preference: right, left, above, below, the corners; then the same farther away.
_SIDES = (
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
    (0.5, 1),
    (-0.5, 1),
    (0.5, -1),
    (-0.5, -1),
)
_REACHES = (1.0, 2.2, 3.6, 5.5, 8.0)


@dataclass(frozen=True, kw_only=True)
class Named:
    """A point (data coordinates) and its name; `bars` are its interval's ends: x low, x high, y low, y high."""

    x: float
    y: float
    text: str
    bars: tuple[float, float, float, float]


def label_points(axes: Axes, items: Sequence[Named], theme: Theme, size: float = LABEL) -> None:
    """Write the names; limits and scales must be set. A name that had to go farther is tied to its point."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    box = axes.get_position()
    across, down = figure.get_size_inches()
    width, height = box.width * across * 72, box.height * down * 72

    def place(x: float, y: float) -> tuple[float, float]:
        share = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
        return float(share[0]) * width, float(share[1]) * height

    centres = [place(item.x, item.y) for item in items]
    taken: list[Box] = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in centres]
    for item in items:
        left, right, low, high = item.bars
        (x0, y0), (x1, y1) = place(left, low), place(right, high)
        x, y = place(item.x, item.y)
        taken += [(x0, y - 3, x1, y + 3), (x - 3, y0 - 2, x + 3, y1 + 2)]
    for item, (x, y) in zip(items, centres, strict=True):
        found, reach = _free_box(x, y, width_of(item.text, size) * 72, size * LEADING, taken, width, height)
        taken.append(found)
        left, bottom, right, top = found
        if reach > 1.5:
            end = (min(max(x, left), right), min(max(y, bottom), top))
            axes.add_line(
                Line2D(
                    [x / width, end[0] / width], [y / height, end[1] / height], transform=axes.transAxes,
                    color=theme.muted, linewidth=0.6, zorder=2.5, clip_on=False,
                )
            )  # fmt: skip
        axes.text(
            left / width, (bottom + top) / 2 / height, item.text, transform=axes.transAxes, va="center", ha="left",
            fontsize=size, family=FONT, color=theme.ink, parse_math=False, clip_on=False, zorder=5,
        )  # fmt: skip


def _free_box(
    x: float, y: float, width: float, height: float, taken: Sequence[Box], across: float, up: float
) -> tuple[Box, float]:
    """The first place of those in order that covers nothing; else the one that covers least. With its reach."""
    best: tuple[float, Box, float] = (math.inf, (x, y, x, y), 1.0)
    for reach in _REACHES:
        for dx, dy in _SIDES:
            middle_x = x + dx * (GAP * reach + width / 2)
            middle_y = y + dy * (GAP * reach + height / 2)
            box = (middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2)
            covered = sum(_overlap(box, other) for other in taken)
            outside = max(0.0, -box[0]) + max(0.0, box[2] - across - 20) + max(0.0, -box[1]) + max(0.0, box[3] - up - 6)
            cost = covered + 50 * outside
            if cost == 0:
                return box, reach
            if cost < best[0]:
                best = (cost, box, reach)
    return best[1], best[2]


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
