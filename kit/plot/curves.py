"""Curves with interval bands and names at their ends, a panel for each framework."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from kit.errors import InvalidValueError, unknown
from kit.plot.chart import Chart, Sheet, name_axes
from kit.plot.ends import End, label_ends, room_for
from kit.plot.palette import Look, Theme, looks, theme_named, told_apart
from kit.plot.scales import Scale, chosen_scale, padded, set_scale
from kit.plot.series import Broken, Series, series_of
from kit.plot.titles import standing
from kit.results.lanes import Lane
from kit.results.metrics import checked, is_accuracy
from kit.results.pairing import at_best_rates, grouped
from kit.results.run import CLOCKS
from kit.results.words import axis_words, label_words, listed, metric_words, number, plural

if TYPE_CHECKING:
    from kit.results.results import Results

MOST_LANES = 24  # in one panel
BAND = 10.0  # a band may reach this factor beyond the curves; few wild runs would flatten them all otherwise
PANEL = (3.7, 2.9)  # inches


def plot_curves(
    results: Results,
    metric: str | None = None,
    *,
    against: str = "step",
    x_scale: Scale | None = None,
    y_scale: Scale | None = None,
    facet: str | None = "backend",
    theme: str = "light",
    narrow: bool = False,
) -> Chart:
    """Mean curves over the replicates, with 95% bands; runs that did not finish are drawn one by one, to their ×.

    metric: a curve; None: what the results are judged by. against: "step", "samples", "gradient_evaluations" or
    "seconds". x_scale, y_scale: "log" or "linear"; None: by the spread of the values. facet: the label that gets a
    panel for each of its values; None: one panel. narrow: panels one below the other, for a phone or a column.
    Where a learning rate was searched, each method is shown at its best.
    Raises `UnknownNameError` for a metric, clock, label or theme that there is not, `InvalidValueError` without runs.
    """
    colours = theme_named(theme)
    if against not in CLOCKS:
        raise unknown("clock to read a curve against", against, CLOCKS)
    if not results.runs:
        raise InvalidValueError("There are no runs to draw.")
    metric = checked(metric, results.runs)
    if facet is not None and facet not in results.lanes[0].labels:
        raise unknown("label to make panels of", facet, results.lanes[0].labels)
    log = results.log_scale(metric) and all(
        not (points["value"] <= 0).any() for run in results.runs if (points := run.points.get(metric))
    )
    panels = _panels(results, metric, facet, log=log)
    x_scale = _clock_scale(panels, against, x_scale)
    settings = {"log": log, "log_x": x_scale == "log"}
    drawn = {title: [series_of(lane, metric, against, **settings) for lane in lanes] for title, lanes in panels.items()}
    if not any(len(series.x) or series.broken for group in drawn.values() for series in group):
        raise unknown("curve in these results", metric, sorted(set(results.curves["metric"])))
    hidden = [facet] if facet and len(panels) > 1 else []
    names = {series.lane.name: _end_text(series, hidden) for group in drawn.values() for series in group}
    room = room_for(list(names.values()))
    title, subtitle = standing(results, metric), _subtitle(drawn, against, results)
    sheet = Sheet(colours, title=title, subtitle=subtitle, panels=[PANEL] * len(panels), right=room, narrow=narrow)
    everything = [series for group in drawn.values() for series in group]
    scales = _scales(everything, x_scale, y_scale or ("log" if log else "linear"), bounded=is_accuracy(metric))
    look_of = looks(results.lanes, results.palette, colours)
    for axes, (panel, group) in zip(sheet.axes, drawn.items(), strict=True):
        first = narrow or axes is sheet.axes[0]
        name_axes(axes, colours, axis_words(against), axis_words(metric) if first else "", panel)
        _draw(axes, group, names, told_apart([series.lane for series in group], look_of), scales, colours)
    sheet.chart.words = _words(drawn, metric, against, title)
    return sheet.chart


def _clock_scale(panels: dict[str, list[Lane]], against: str, asked: Scale | None) -> Scale:
    """Logarithmic where one lane goes much farther than another: gradient descent sees all samples in each step."""
    ends = [
        max(float(points[against][-1]) for points in run.points.values())
        for lanes in panels.values()
        for lane in lanes
        for run in lane.runs
        if run.status == "done" and run.points
    ]
    return chosen_scale(asked, ends or [1.0])


def _panels(results: Results, metric: str, facet: str | None, *, log: bool) -> dict[str, list[Lane]]:
    """Panel title -> its lanes: at their best rates where these were searched, and no more than can be read."""
    found = {}
    groups = grouped(results.lanes, [facet]) if facet else [results.lanes]
    for group in groups:
        chosen, _ = at_best_rates(group, results.metric, log=results.log_scale(results.metric))
        if len(chosen) > MOST_LANES:
            chosen = _the_best(chosen, metric, log=log)
        found[label_words(facet, group[0].labels[facet]) if facet else ""] = chosen
    return found


def _the_best(lanes: Sequence[Lane], metric: str, *, log: bool) -> list[Lane]:
    def rank(lane: Lane) -> float:
        mean = lane.mean(metric, log=log and all(value > 0 for value in lane.finals(metric).values())).estimate
        return math.inf if math.isnan(mean) else -mean if is_accuracy(metric) else mean

    kept = {id(lane) for lane in sorted(lanes, key=rank)[:MOST_LANES]}
    return [lane for lane in lanes if id(lane) in kept]


def _end_text(series: Series, hidden: Sequence[str]) -> str:
    name = series.lane.named(hidden)
    broken = {status: n for status, n in series.lane.counts.items() if status != "done"}
    if not broken:
        return name
    runs = len(series.lane.runs)
    return f"{name} ({listed(f'{n} of {runs} {status}' for status, n in broken.items())})"


def _scales(
    everything: Sequence[Series], x_scale: Scale, y_scale: Scale, *, bounded: bool
) -> dict[str, tuple[Scale, float, float]]:
    """Scale and limits of both axes, shared by all panels."""
    lines: list[Series | Broken] = [*everything, *(broken for s in everything for broken in s.broken)]
    lines = [line for line in lines if len(line.x)]
    ends = [float(line.x[-1]) for line in lines]
    starts = [float(x) for line in lines for x in line.x[:2] if x > 0]
    low = min(starts, default=1.0) if x_scale == "log" else 0.0
    x = (x_scale, low, max([*ends, low * 1.01]) or 1.0)
    values = [float(v) for s in everything for v in s.mean if math.isfinite(v) and (v > 0 or y_scale == "linear")]
    if not values:  # nothing finished: show how it went wrong
        values = [float(v) for s in everything for b in s.broken for v in b.y if v > 0 or y_scale == "linear"]
    values = values or [1.0]
    bottom, top = min(values), max(values)
    bands = [
        (float(a), float(b)) for s in everything for a, b in zip(s.low, s.high, strict=True) if math.isfinite(b - a)
    ]
    low_band, high_band = min((a for a, _ in bands), default=bottom), max((b for _, b in bands), default=top)
    if y_scale == "log":
        limits = max(low_band, bottom / BAND**0.25), min(high_band, top * BAND**0.25)
    else:
        spread = top - bottom
        limits = max(low_band, bottom - 0.25 * spread), min(high_band, top + 0.25 * spread)
    low, high = padded(min(bottom, limits[0]), max(top, limits[1]), y_scale)
    if bounded:  # a share: an interval may reach beyond 0 and 1, the axis does not
        low, high = max(low, -0.02), min(high, 1.02)
    return {"x": x, "y": (y_scale, low, high)}


def _draw(
    axes: Axes,
    group: Sequence[Series],
    names: dict[str, str],
    look_of: dict[str, Look],
    scales: dict[str, tuple[Scale, float, float]],
    theme: Theme,
) -> None:
    set_scale(axes.xaxis, *scales["x"], most=6)
    set_scale(axes.yaxis, *scales["y"])
    _, bottom, top = scales["y"]
    ends = []
    for i, series in enumerate(group):
        look = look_of[series.lane.name]
        if len(series.x):
            every = max(1, len(series.x) // 7)
            axes.plot(
                series.x, series.mean, color=look.colour, linestyle=look.line_style, linewidth=1.8, zorder=3,
                marker=look.marker, markersize=4.5, markevery=(i * every // max(1, len(group)), every),
                markeredgecolor=theme.surface, markeredgewidth=0.5,
            )  # fmt: skip
            if series.n > 1:
                axes.fill_between(
                    series.x,
                    series.low,
                    series.high,
                    color=look.colour,
                    alpha=min(0.18, 0.8 / len(group)),
                    linewidth=0,
                    zorder=2,
                )
            ends.append(End(x=series.x[-1], y=series.mean[-1], text=names[series.lane.name], look=look))
        for broken in series.broken:
            axes.plot(broken.x, broken.y, color=look.colour, linewidth=0.9, linestyle=(0, (4, 1.5)), zorder=2.5)
            last = min(max(float(broken.y[-1]), bottom), top)
            axes.plot([broken.x[-1]], [last], color=look.colour, marker="x", markersize=7, markeredgewidth=1.8,
                      clip_on=False, zorder=4)  # fmt: skip
            if not len(series.x) and broken is series.broken[-1]:
                ends.append(End(x=broken.x[-1], y=last, text=names[series.lane.name], look=look))
    label_ends(axes, ends, theme)


def _subtitle(drawn: dict[str, list[Series]], against: str, results: Results) -> str:
    everything = [series for group in drawn.values() for series in group]
    most = max(series.n for series in everything)
    parts = [f"Mean of {plural(most, 'replicate')} with 95% interval" if most > 1 else "One run each"]
    block = max(series.block for series in everything)
    if block > 1:
        parts.append(f"each point the mean of up to {block} steps")
    if against == "seconds":
        parts.append("training time only, without evaluation and compilation")
    shown, there = len(everything), len(results.lanes)
    if shown < there:
        parts.append(f"{shown} of {there} shown: each method at its best learning rate")
    if any(series.broken for series in everything):
        parts.append("dashed to ×: a run that did not finish")
    return "; ".join(parts) + "."


def _words(drawn: dict[str, list[Series]], metric: str, against: str, title: str) -> str:
    """The figure in words: where each line starts and ends."""
    said = [f"{metric_words(metric).capitalize()} against {axis_words(against)}: {title}."]
    for panel, group in drawn.items():
        ends = [
            f"{series.lane.named(('backend',))} from {number(series.mean[0])} to {number(series.mean[-1])}"
            for series in sorted((s for s in group if len(s.x)), key=lambda s: float(s.mean[-1]))
        ]
        if ends:
            said.append(f"{panel + ': ' if panel else ''}{', '.join(ends)}.")
        lost = [series.lane.named(("backend",)) for series in group if not len(series.x) and series.broken]
        if lost:
            said.append(f"No run of {listed(lost)} finished.")
    return " ".join(said)
