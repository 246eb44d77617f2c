"""Paths of a two-parameter model over the contours of its function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from kit.choice import canonical
from kit.errors import InvalidValueError
from kit.objectives import OBJECTIVES
from kit.objectives import minima as lowest_points
from kit.plot.chart import FONT, TICK, Chart, Sheet, name_axes
from kit.plot.ends import End, label_ends, room_for
from kit.plot.palette import Look, Theme, looks, theme_named
from kit.plot.scales import set_scale, tick_text
from kit.results.lanes import Lane
from kit.results.pairing import at_best_rates, grouped
from kit.results.words import label_words, listed, number

if TYPE_CHECKING:
    import numpy as np

    from kit.results.results import Results
    from kit.results.run import Run

    Floats = np.ndarray[Any, np.dtype[np.float64]]

PANEL = (4.0, 3.6)
GRID = 240  # points along each side of the contours
LEVELS = 12
POINTS = 600  # of a path; longer ones are thinned
STRETCHED = 4.0  # sides that differ by more than this factor are not drawn to the same scale

Function = Callable[[Any, Any], Any]
Path = tuple["Floats", "Floats", str]  # x, y, status of the run


def plot_trajectories(
    results: Results,
    function: Function | None = None,
    *,
    parameters: tuple[str, str] | None = None,
    minima: Sequence[tuple[float, float]] | None = None,
    theme: str = "light",
    narrow: bool = False,
) -> Chart:
    """The path of each lane's first replicate over the contours of `function`, a panel per framework.

    function: (x0, x1) NumPy arrays of one shape -> values; None: the test function that the runs minimised, with its
    minima. parameters: the two curves to draw (probe `trajectory` records them as `position.0`, `position.1`); None:
    the only such pair. minima: points to mark with a star.
    Raises `InvalidValueError` where no run recorded its trajectory, or the runs' model is no one test function.
    """
    colours = theme_named(theme)
    if function is None:
        function, known = _minimised(results)
        minima = known if minima is None else minima
    minima = minima or ()
    pair = parameters or _recorded(results)
    lanes, _ = at_best_rates(results.lanes, results.metric, log=results.log_scale(results.metric))
    paths = {lane.name: path for lane in lanes if (path := _path(lane.runs[0], pair)) is not None}
    lanes = [lane for lane in lanes if lane.name in paths]
    if not lanes:
        raise InvalidValueError(f"No run here recorded {listed(pair)}; the probe 'trajectory' does.")
    panels = {label_words("backend", group[0].backend): group for group in grouped(lanes, ["backend"])}
    several = len(panels) > 1
    names = {lane.name: _name(lane, several) for lane in lanes}
    sheet = Sheet(
        colours,
        title=_title(lanes, paths, function),
        subtitle="From the start (ring) to the end (marker)"
        + ("; ★ a minimum" if minima else "")
        + ". Numbers on contours "
        "are values of the function.",
        panels=[PANEL] * len(panels),
        right=room_for(list(names.values())),
        narrow=narrow,
    )
    window = _window(paths, minima)
    look_of = looks(results.lanes, results.palette, colours)
    for axes, (title, group) in zip(sheet.axes, panels.items(), strict=True):
        name_axes(axes, colours, pair[0], pair[1] if narrow or axes is sheet.axes[0] else "", title)
        _contours(axes, function, window, colours)
        _draw(axes, group, paths, names, look_of, minima, function, colours)
    sheet.chart.words = _words(lanes, paths, function)
    return sheet.chart


def _minimised(results: Results) -> tuple[Function, tuple[tuple[float, float], ...]]:
    """The test function that is the model of all runs, and its minima. Raises `InvalidValueError`."""
    documents = {canonical(run.specification["model"]): run.specification["model"] for run in results.runs}
    names = sorted({str(document["name"]) for document in documents.values()})
    if len(documents) != 1 or names[0] not in OBJECTIVES:
        what = f"their model is {names[0]}" if len(documents) == 1 else f"they have several models ({listed(names)})"
        raise InvalidValueError(
            f"These runs did not minimise one test function: {what}. Pass the function whose contours to draw, "
            f"or select runs of one of {listed(OBJECTIVES)}."
        )
    (document,) = documents.values()
    name, options = names[0], document.get("options", {})
    return partial(OBJECTIVES[name], **options), lowest_points(name, **options)


def _recorded(results: Results) -> tuple[str, str]:
    """The curves `name.0` and `name.1`. Raises `InvalidValueError` where there are none, or more than one pair."""
    metrics = {metric for run in results.runs for metric in run.finals}
    stems = sorted({metric.removesuffix(".0") for metric in metrics if metric.endswith(".0")})
    stems = [stem for stem in stems if f"{stem}.1" in metrics]
    if len(stems) == 1 and f"{stems[0]}.2" not in metrics:
        return f"{stems[0]}.0", f"{stems[0]}.1"
    if stems:
        raise InvalidValueError(
            "More than two parameters were recorded; name the two to draw: "
            f"parameters=('{stems[0]}.0', '{stems[0]}.1')."
        )
    raise InvalidValueError(
        "These runs recorded no trajectory: run them with probes=['trajectory'], on a model with two parameters."
    )


def _path(run: Run, pair: tuple[str, str]) -> Path | None:
    import numpy as np

    if any(name not in run.finals for name in pair):
        return None
    x, y = (run.curve(name) for name in pair)
    steps = x.index.intersection(y.index)
    both = np.array([x.loc[steps].to_numpy(), y.loc[steps].to_numpy()], dtype=np.float64)
    both = both[:, np.isfinite(both).all(axis=0)]
    if not both.shape[1]:
        return None
    keep = np.unique(np.linspace(0, both.shape[1] - 1, min(POINTS, both.shape[1])).astype(int))
    return both[0][keep], both[1][keep], run.status


def _window(
    paths: dict[str, Path], minima: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of both axes around what did not leave for infinity; to one scale unless that would be mostly empty."""
    import numpy as np

    stayed = [path for path in paths.values() if path[2] == "done"] or [(x[:1], y[:1], s) for x, y, s in paths.values()]
    limits = []
    for axis in (0, 1):
        values = np.concatenate([path[axis] for path in stayed])
        points = [float(values.min()), float(values.max()), *(point[axis] for point in minima)]
        low, high = min(points), max(points)
        # A far minimum that no path went to is left out rather than shrink everything else.
        reach = max(float(values.max() - values.min()), 1e-9)
        low, high = max(low, float(values.min()) - reach), min(high, float(values.max()) + reach)
        room = 0.12 * (high - low) or 1.0
        limits.append((low - room, high + room))
    (a, b), (c, d) = limits
    scale = [(b - a) / PANEL[0], (d - c) / PANEL[1]]
    if max(scale) <= STRETCHED * min(scale):
        unit = max(scale)
        half = [unit * PANEL[0] / 2, unit * PANEL[1] / 2]
        return ((a + b) / 2 - half[0], (a + b) / 2 + half[0]), ((c + d) / 2 - half[1], (c + d) / 2 + half[1])
    return (a, b), (c, d)


def _contours(
    axes: Axes, function: Function, window: tuple[tuple[float, float], tuple[float, float]], theme: Theme
) -> None:
    """Levels grow geometrically from the lowest value in the window, so that the valley's floor has some too."""
    import numpy as np

    set_scale(axes.xaxis, "linear", *window[0], most=6)
    set_scale(axes.yaxis, "linear", *window[1], most=6)
    axes.grid(False)
    x, y = np.meshgrid(np.linspace(*window[0], GRID), np.linspace(*window[1], GRID))
    values = np.asarray(function(x, y), dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite) or finite.max() == finite.min():
        return
    floor, span = float(finite.min()), float(finite.max() - finite.min())
    levels = floor + span * np.geomspace(1e-4, 0.9, LEVELS)
    drawn = axes.contour(x, y, values, levels=levels, colors=[theme.muted], linewidths=0.6, alpha=0.75, zorder=1)
    texts = axes.clabel(
        drawn, levels=levels[2::3], fmt=lambda v: tick_text(float(f"{v:.2g}")), fontsize=TICK - 1.5, inline=True
    )
    for text in texts or ():
        text.set_color(theme.muted)
        text.set_fontfamily(FONT)


def _draw(
    axes: Axes,
    lanes: Sequence[Lane],
    paths: dict[str, Path],
    names: dict[str, str],
    look_of: dict[str, Look],
    minima: Sequence[tuple[float, float]],
    function: Function,
    theme: Theme,
) -> None:
    ends = []
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for lane in lanes:
        x, y, _ = paths[lane.name]
        look = look_of[lane.name]
        if paths[lane.name][2] == "done":
            axes.plot(x, y, color=look.colour, linestyle=look.line_style, linewidth=1.7, zorder=3, marker=look.marker,
                      markersize=3.2, markevery=max(1, len(x) // 12), markeredgewidth=0)  # fmt: skip
        else:
            axes.plot(x, y, color=look.colour, linestyle=(0, (4, 1.5)), linewidth=0.8, zorder=2.5)
        axes.plot(x[-1:], y[-1:], color=look.colour, marker=look.marker, markersize=7, markeredgecolor=theme.surface,
                  markeredgewidth=0.8, zorder=4)  # fmt: skip
        axes.plot(x[:1], y[:1], marker="o", markersize=8, markerfacecolor="none", markeredgecolor=theme.ink,
                  markeredgewidth=1.2, zorder=4)  # fmt: skip
        ends.append(End(x=right, y=0.0, text=names[lane.name], look=look))
    for lowest in minima:
        if left <= lowest[0] <= right and low <= lowest[1] <= high:
            axes.plot([lowest[0]], [lowest[1]], marker="*", markersize=12, color=theme.ink, linestyle="none",
                      markeredgecolor=theme.surface, markeredgewidth=0.8, zorder=2.5)  # fmt: skip
    # All ends may lie in one minimum: names stand in the order of the final value, lowest at the bottom.
    order = sorted(range(len(ends)), key=lambda i: _value(function, paths[lanes[i].name]))
    share = [0.5 + 0.09 * (rank - (len(order) - 1) / 2) for rank in range(len(order))]
    for rank, i in enumerate(order):
        ends[i] = End(x=right, y=low + share[rank] * (high - low), text=ends[i].text, look=ends[i].look)
    label_ends(axes, ends, theme, leaders=False)


def _value(function: Function, path: Path) -> float:
    import numpy as np

    value = float(np.asarray(function(np.asarray(path[0][-1:]), np.asarray(path[1][-1:])))[0])
    return value if path[2] == "done" and math.isfinite(value) else math.inf


def _name(lane: Lane, several: bool) -> str:
    name = lane.named(("backend",) if several else ())
    return name if lane.runs[0].status == "done" else f"{name} ({lane.runs[0].status})"


def _title(lanes: Sequence[Lane], paths: dict[str, Path], function: Function) -> str:
    values = {lane.name: _value(function, paths[lane.name]) for lane in lanes}
    best = min(lanes, key=lambda lane: values[lane.name])
    if math.isinf(values[best.name]):
        return "No path ends: every run left for infinity"
    start = number(_start(function, paths[best.name]), 2)
    return f"{best.method} gets lowest: from {start} to {number(values[best.name], 2)}"


def _start(function: Function, path: Path) -> float:
    import numpy as np

    return float(np.asarray(function(np.asarray(path[0][:1]), np.asarray(path[1][:1])))[0])


def _words(lanes: Sequence[Lane], paths: dict[str, Path], function: Function) -> str:
    said = []
    for lane in lanes:
        x, y, status = paths[lane.name]
        where = f"({number(float(x[-1]))}, {number(float(y[-1]))})"
        value = _value(function, paths[lane.name])
        said.append(
            f"{lane.name} {status}"
            if math.isinf(value)
            else f"{lane.name} ends at {where} with the value {number(value)}"
        )
    return f"Paths over the function's contours: {'; '.join(said)}."
