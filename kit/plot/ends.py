"""Names at the ends of lines: side by side, never over each other, tied to their lines where they had to move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kit.plot.chart import FONT, LABEL, LEADING, width_of
from kit.plot.palette import Look, Theme

SWATCH = 0.30  # inches, from the axes to the text: room for the leader and the line's own sign


@dataclass(frozen=True, kw_only=True)
class End:
    """A line's last point (data coordinates), what to write there, and how the line looks."""

    x: float
    y: float
    text: str
    look: Look


def room_for(texts: Sequence[str], size: float = LABEL) -> float:
    """Inches to keep free to the right of the axes."""
    return SWATCH + max((width_of(text, size) for text in texts), default=0.0) + 0.1


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places nearest to the wanted ones, in their order, at least `gap` apart, within [low, high] as far as they fit.

    Least squares under the order: pool adjacent violators on wanted − i·gap, then shift into the range.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    if not order:
        return []
    room = high - low
    if len(order) > 1:
        gap = min(gap, room / (len(order) - 1))
    pools: list[list[float]] = []  # [sum, count] of wanted − rank·gap
    for rank, i in enumerate(order):
        pools.append([min(max(wanted[i], low), high) - rank * gap, 1.0])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    level = [total / count for total, count in pools for _ in range(int(count))]
    # Clipping the levels keeps their order, so all stay `gap` apart.
    level = [min(max(value, low), high - (len(order) - 1) * gap) for value in level]
    found = [0.0] * len(order)
    for rank, i in enumerate(order):
        found[i] = level[rank] + rank * gap
    return found


def label_ends(axes: Axes, ends: Sequence[End], theme: Theme, size: float = LABEL, *, leaders: bool = True) -> None:
    """Write each line's name to the right of the axes, beside its last point; limits and scales must be set.

    leaders: tie each name to its line's end.
    """
    figure = axes.get_figure(root=True)
    if not ends or figure is None:
        return
    box = axes.get_position()
    across, down = figure.get_size_inches()
    width, height = box.width * across * 72, box.height * down * 72  # points
    points = [axes.transData.transform((end.x, end.y)) for end in ends]
    shares = [axes.transAxes.inverted().transform(point) for point in points]
    wanted = [min(max(float(share[1]), 0.0), 1.0) * height for share in shares]
    places = spread(wanted, size * LEADING, 0.0, height)
    for end, share, place in zip(ends, shares, places, strict=True):
        y = place / height
        x_end = min(max(float(share[0]), 0.0), 1.0)
        y_end = min(max(float(share[1]), 0.0), 1.0)
        if leaders:
            _lead(axes, width, x_end, y_end, y, theme)
        axes.add_line(
            Line2D(
                [1 + 9 / width, 1 + 19 / width], [y, y], transform=axes.transAxes, clip_on=False,
                color=end.look.colour, linewidth=2.0, linestyle=end.look.line_style, zorder=3,
            )
        )  # fmt: skip
        axes.add_line(
            Line2D(
                [1 + 14 / width], [y], transform=axes.transAxes, clip_on=False, color=end.look.colour,
                marker=end.look.marker, markersize=4.5, linestyle="none", zorder=3.5,
            )
        )  # fmt: skip
        axes.text(
            1 + SWATCH * 72 / width, y, end.text, transform=axes.transAxes, va="center", ha="left", fontsize=size,
            family=FONT, color=theme.ink, parse_math=False, clip_on=False,
        )  # fmt: skip


def _lead(axes: Axes, width: float, x_end: float, y_end: float, y: float, theme: Theme) -> None:
    """From a line's end to its name: solid where the line reaches the edge, dotted across the panel where not."""
    elbow, name = 1 + 5 / width, 1 + 9 / width
    at_edge = x_end > 0.985
    axes.add_line(
        Line2D(
            [x_end, 1.0, elbow, name] if at_edge else [x_end, elbow, name],
            [y_end, y_end, y, y] if at_edge else [y_end, y, y],
            transform=axes.transAxes,
            clip_on=False,
            color=theme.muted,
            linewidth=0.6,
            zorder=1.5,
            linestyle="solid" if at_edge else (0, (1, 1.5)),
        )
    )
