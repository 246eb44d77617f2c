"""Final value against learning rate: where each method works, how wide that range is, where it diverges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from kit.errors import InvalidValueError
from kit.plot.chart import Chart, Sheet, name_axes
from kit.plot.ends import End, label_ends, room_for
from kit.plot.palette import Look, Theme, look, method_key, theme_named
from kit.plot.scales import Scale, padded, set_scale
from kit.results.sensitivity import WITHIN, RateSearch, rate_of, said_together
from kit.results.words import axis_words, label_words, metric_words, percent, plural, short

if TYPE_CHECKING:
    from kit.results.results import Results

PANEL = (3.7, 2.9)
MOST_TITLED = 4  # methods whose best rates stand in the title


def plot_sensitivity(
    results: Results,
    metric: str | None = None,
    *,
    within: float = WITHIN,
    theme: str = "light",
    narrow: bool = False,
) -> Chart:
    """Final value against learning rate with 95% intervals, a panel per framework, a line per method.

    The best rate is ringed and the unbroken range within `within` of it drawn thick; × at the top marks a rate at which
    a run did not finish. Raises `InvalidValueError` where no method was run at two rates.
    """
    colours = theme_named(theme)
    searches = results.searches(metric, within)
    if not searches:
        raise InvalidValueError(
            "There is no learning-rate search in these results: no method was run at two rates or more. "
            "`kit.sweep()`, or `experiment.vary(learning_rate=kit.log_grid(1e-4, 1))`, makes one."
        )
    panels: dict[str, list[RateSearch]] = {}
    for search in searches:
        panels.setdefault(search.lanes[0].backend, []).append(search)
    names = {id(search): search.method for search in searches}
    look_of = _looks(results, searches, colours)
    sheet = Sheet(
        colours,
        title=_title(searches),
        subtitle=_subtitle(searches, within),
        panels=[PANEL] * len(panels),
        right=room_for(list(names.values())),
        narrow=narrow,
    )
    scales = _scales(searches)
    for axes, (backend, group) in zip(sheet.axes, panels.items(), strict=True):
        y = axis_words(searches[0].metric) if narrow or axes is sheet.axes[0] else ""
        name_axes(axes, colours, "learning rate", y, label_words("backend", backend))
        _draw(axes, group, names, look_of, scales, colours)
    sheet.chart.words = " ".join(said_together(searches))
    return sheet.chart


def _looks(results: Results, searches: Sequence[RateSearch], theme: Theme) -> dict[int, Look]:
    """By the method's place in the palette, so that its colour is the one it has in every figure."""
    others = list(dict.fromkeys(search.method for search in searches))
    found = {}
    for search in searches:
        key, name = method_key(search.lanes[0]), search.method
        place = results.palette.index(key) if key in results.palette else others.index(name)
        found[id(search)] = look(place, theme)
    return found


def _scales(searches: Sequence[RateSearch]) -> dict[str, tuple[Scale, float, float]]:
    rates = [rate_of(lane) for search in searches for lane in search.lanes]
    x_scale: Scale = "log" if min(rates) > 0 else "linear"
    y_scale: Scale = "log" if searches[0].log else "linear"
    means = [search.interval(lane) for search in searches for lane in search.lanes]
    values = [mean.estimate for mean in means if math.isfinite(mean.estimate)] or [1.0]
    bottom, top = min(values), max(values)
    if y_scale == "log":
        lows = [max(mean.low, bottom / 2) for mean in means if math.isfinite(mean.low)]
        highs = [min(mean.high, top * 2) for mean in means if math.isfinite(mean.high)]
    else:
        lows = [mean.low for mean in means if math.isfinite(mean.low)]
        highs = [mean.high for mean in means if math.isfinite(mean.high)]
    y = padded(min([bottom, *lows]), max([top, *highs]), y_scale, 0.08)
    return {"x": (x_scale, *padded(min(rates), max(rates), x_scale, 0.04)), "y": (y_scale, *y)}


def _draw(
    axes: Axes,
    group: Sequence[RateSearch],
    names: dict[int, str],
    look_of: dict[int, Look],
    scales: dict[str, tuple[Scale, float, float]],
    theme: Theme,
) -> None:
    set_scale(axes.xaxis, *scales["x"], most=6)
    set_scale(axes.yaxis, *scales["y"])
    ends = []
    for i, search in enumerate(group):
        look = look_of[id(search)]
        points = [(rate_of(lane), search.interval(lane)) for lane in search.lanes]
        there = [(rate, mean) for rate, mean in points if math.isfinite(mean.estimate)]
        if there:
            x, y = [rate for rate, _ in there], [mean.estimate for _, mean in there]
            axes.plot(x, y, color=look.colour, linestyle=look.line_style, linewidth=1.3, marker=look.marker,
                      markersize=4.5, markeredgecolor=theme.surface, markeredgewidth=0.5, zorder=3)  # fmt: skip
            good = {rate_of(lane) for lane in search.good}
            thick = [(rate, mean.estimate) for rate, mean in there if rate in good]
            axes.plot([rate for rate, _ in thick], [value for _, value in thick], color=look.colour, linewidth=5.5,
                      alpha=0.35, solid_capstyle="round", zorder=2.5)  # fmt: skip
            axes.vlines(x, [mean.low for _, mean in there], [mean.high for _, mean in there], color=look.colour,
                        linewidth=1.0, alpha=0.8, zorder=2.8)  # fmt: skip
            if search.best is not None:
                best = search.interval(search.best).estimate
                axes.plot([rate_of(search.best)], [best], marker="o", markersize=11, markerfacecolor="none",
                          markeredgecolor=look.colour, markeredgewidth=1.4, zorder=3.5)  # fmt: skip
            ends.append(End(x=x[-1], y=y[-1], text=names[id(search)], look=look))
        broken = [rate_of(lane) for lane in search.lanes if not lane.whole]
        level = 0.985 - 0.055 * i  # a row of × for each method, so that none covers another
        axes.plot(broken, [level] * len(broken), transform=axes.get_xaxis_transform(), linestyle="none", marker="x",
                  markersize=6, markeredgewidth=1.6, color=look.colour, clip_on=False, zorder=4)  # fmt: skip
    label_ends(axes, ends, theme)


def _title(searches: Sequence[RateSearch]) -> str:
    told: dict[str, set[float]] = {}
    for search in searches:
        if search.best is not None:
            told.setdefault(search.method, set()).add(rate_of(search.best))
    if not told:
        return "No learning rate led to a finished run"
    if len(told) > MOST_TITLED:
        return f"Final {metric_words(searches[0].metric)} against learning rate"
    parts = [f"{name} at {' or '.join(short(rate) for rate in sorted(rates))}" for name, rates in told.items()]
    return f"Best learning rate: {', '.join(parts)}"


def _subtitle(searches: Sequence[RateSearch], within: float) -> str:
    most = max(len(lane.runs) for search in searches for lane in search.lanes)
    means = f"Mean of {plural(most, 'replicate')} with 95% interval" if most > 1 else "One run at each rate"
    text = f"{means}; ringed: the best rate; thick: within {percent(within)} of it"
    if any(not lane.whole for search in searches for lane in search.lanes):
        text += "; ×: not all runs finished"
    return text + "."
