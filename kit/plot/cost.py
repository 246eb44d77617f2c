"""Cost against quality: which lanes are beaten by no other in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from kit.errors import InvalidValueError, unknown
from kit.plot.chart import Chart, Sheet, name_axes
from kit.plot.palette import Look, Theme, looks, theme_named
from kit.plot.places import Named, label_points
from kit.plot.scales import Scale, chosen_scale, padded, set_scale
from kit.results.lanes import Lane
from kit.results.metrics import COSTS, checked, is_accuracy
from kit.results.pairing import at_best_rates, better
from kit.results.statistics import Interval
from kit.results.words import axis_words, duration, listed, metric_words, number, short, size

if TYPE_CHECKING:
    from kit.results.results import Results

PANEL = (5.6, 3.5)
MOST_NAMED = 24  # points; of more only the front is named
NARROW = 3.0  # values within this factor are drawn on a linear scale
MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """A lane's cost and quality."""

    lane: Lane
    cost: Interval
    quality: Interval

    @property
    def bars(self) -> tuple[float, float, float, float]:
        """x low, x high, y low, y high; the point itself where there is no interval."""
        ends = []
        for mean in (self.cost, self.quality):
            ends += [end if math.isfinite(end) else mean.estimate for end in (mean.low, mean.high)]
        return ends[0], ends[1], ends[2], ends[3]


def plot_cost(
    results: Results,
    metric: str | None = None,
    *,
    cost: str = "seconds",
    theme: str = "light",
    narrow: bool = False,
) -> Chart:
    """Final value against cost, with 95% intervals of both, and the front of lanes that no other beats in both.

    cost: "seconds", "peak_memory_bytes", "samples", "gradient_evaluations", "steps" or "compile_seconds".
    Raises `UnknownNameError` for another, `InvalidValueError` when no run finished.
    """
    colours = theme_named(theme)
    if cost not in COSTS:
        raise unknown("cost", cost, COSTS)
    metric = checked(metric, results.runs)
    points = points_of(results, metric, cost)
    if not points:
        raise InvalidValueError("No run finished, so there is no final value to set against its cost.")
    front = front_of(points, metric)
    left_out = [lane.name for lane in _shown(results) if not any(point.lane is lane for point in points)]
    sheet = Sheet(
        colours,
        title=_title(points, front, metric, cost),
        subtitle=_subtitle(points),
        panels=[PANEL],
        right=0.5,
        narrow=narrow,
        footer=f"Without a finished run: {listed(left_out)}." if left_out else "",
    )
    axes = sheet.axes[0]
    name_axes(axes, colours, axis_words(cost), axis_words(metric))
    _limits(axes, points, results.log_scale(metric))
    _draw(axes, points, front, looks(results.lanes, results.palette, colours), colours)
    sheet.chart.words = _words(points, front, metric, cost)
    return sheet.chart


def _shown(results: Results) -> list[Lane]:
    """All lanes; where a learning rate was searched, each method at its best."""
    return at_best_rates(results.lanes, results.metric, log=results.log_scale(results.metric))[0]


def points_of(results: Results, metric: str, cost: str) -> list[Point]:
    """The lanes of which a run finished."""
    log, log_cost = results.log_scale(metric), results.log_scale(cost)
    found = []
    for lane in _shown(results):
        quality, spent = lane.mean(metric, log=log), lane.mean(cost, log=log_cost)
        if math.isfinite(quality.estimate) and math.isfinite(spent.estimate):
            if cost == "peak_memory_bytes":
                spent = Interval(
                    estimate=spent.estimate / MEGABYTE, low=spent.low / MEGABYTE, high=spent.high / MEGABYTE, n=spent.n
                )
            found.append(Point(lane=lane, cost=spent, quality=quality))
    return found


def front_of(points: Sequence[Point], metric: str) -> list[Point]:
    """Those that no other beats in cost and quality both (Pareto), by rising cost. Of equal ones the first counts."""
    front: list[Point] = []
    for point in sorted(
        points, key=lambda p: (p.cost.estimate, -p.quality.estimate if is_accuracy(metric) else p.quality.estimate)
    ):
        if not front or better(metric, point.quality.estimate, front[-1].quality.estimate):
            front.append(point)
    return front


def _limits(axes: Axes, points: Sequence[Point], log: bool) -> None:
    bars = [point.bars for point in points]
    for axis, low, high, asked in (
        (axes.xaxis, min(b[0] for b in bars), max(b[1] for b in bars), None),
        (axes.yaxis, min(b[2] for b in bars), max(b[3] for b in bars), None if log else "linear"),
    ):
        scale: Scale = chosen_scale(asked, [low, high], NARROW)
        set_scale(axis, scale, *padded(low, high, scale, 0.15), most=6)


def _draw(axes: Axes, points: Sequence[Point], front: Sequence[Point], look_of: dict[str, Look], theme: Theme) -> None:
    backends = list(dict.fromkeys(point.lane.backend for point in points))
    x, y = [p.cost.estimate for p in front], [p.quality.estimate for p in front]
    axes.plot(
        x, y, color=theme.muted, linewidth=5, alpha=0.25, drawstyle="steps-post", solid_capstyle="round", zorder=1.5
    )
    for point in points:
        look = look_of[point.lane.name]
        left, right, low, high = point.bars
        axes.plot([left, right], [point.quality.estimate] * 2, color=look.colour, linewidth=1.0, zorder=2.5)
        axes.plot([point.cost.estimate] * 2, [low, high], color=look.colour, linewidth=1.0, zorder=2.5)
        hollow = backends.index(point.lane.backend) % 2 == 1
        axes.plot(
            [point.cost.estimate], [point.quality.estimate], marker=look.marker, markersize=7.5, linestyle="none",
            markerfacecolor=theme.surface if hollow else look.colour, markeredgecolor=look.colour, markeredgewidth=1.6,
            zorder=4,
        )  # fmt: skip
    named = points if len(points) <= MOST_NAMED else front
    items = [Named(x=p.cost.estimate, y=p.quality.estimate, text=p.lane.name, bars=p.bars) for p in named]
    label_points(axes, items, theme)


def _said(value: float, cost: str) -> str:
    if cost.endswith("seconds"):
        return duration(value)
    return size(value * MEGABYTE) if cost == "peak_memory_bytes" else short(value)


def _title(points: Sequence[Point], front: Sequence[Point], metric: str, cost: str) -> str:
    words = metric_words(metric)
    spent = {"seconds": "time", "peak_memory_bytes": "memory"}.get(cost, metric_words(cost))
    if len(points) == 1:
        return f"{points[0].lane.name}: {words} against {spent}"
    if len(front) == 1:
        return f"{front[0].lane.name} has the best {words} and needs the least {spent}"
    if len(front) <= 4:
        return f"Best for their {spent}: {listed(point.lane.name for point in front)}"
    return f"{len(front)} of {len(points)} are the best for their {spent}"


def _subtitle(points: Sequence[Point]) -> str:
    text = "Means with 95% intervals" if max(point.quality.n for point in points) > 1 else "One run each"
    text += "; grey line: nothing is both better and cheaper than these"
    backends = list(dict.fromkeys(point.lane.backend for point in points))
    return f"{text}; hollow: {listed(backends[1::2])}." if len(backends) > 1 else f"{text}."


def _words(points: Sequence[Point], front: Sequence[Point], metric: str, cost: str) -> str:
    said = [
        f"{point.lane.name} reaches {number(point.quality.estimate)} for {_said(point.cost.estimate, cost)}"
        for point in sorted(points if len(points) <= MOST_NAMED else front, key=lambda p: p.cost.estimate)
    ]
    names = listed(point.lane.name for point in front)
    return (
        f"{metric_words(metric).capitalize()} against {metric_words(cost)}: {'; '.join(said)}. "
        f"Beaten by none in both: {names}."
    )
