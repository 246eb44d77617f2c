"""Framework against framework: the same losses on a diagonal, and how far they differ, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from kit.errors import InvalidValueError
from kit.plot.chart import FONT, TICK, Chart, Sheet, name_axes
from kit.plot.ends import End, label_ends, room_for
from kit.plot.palette import Look, Theme, look, looks, theme_named
from kit.plot.scales import padded, set_scale
from kit.results.pairing import at_best_rates
from kit.results.parity import FIRST_STEPS, Pair
from kit.results.words import listed, metric_words, number, plural, short

if TYPE_CHECKING:
    from kit.results.results import Results

DIAGONAL, DIFFERENCES = (2.9, 2.9), (3.9, 2.9)
BINS = 120  # points along the steps: the largest difference in each
SHOWN = 600  # points on the diagonal, shared by all runs
FLOOR = 1e-17  # below every difference of float64: stands for none at all


def plot_parity(results: Results, *, theme: str = "light", narrow: bool = False) -> Chart:
    """Left: the loss at each step, one framework against the other. Right: their relative difference, the largest of
    all replicates, against the step; the promise for the first 100 steps is drawn in.

    Raises `InvalidValueError` where no two runs differ in nothing but the framework.
    """
    colours = theme_named(theme)
    parity = results.parity()
    if not parity.pairs:
        raise InvalidValueError(
            "No two of these runs differ in nothing but the framework, so there is nothing to compare."
        )
    first = parity.pairs[0].backends
    pairs = [pair for pair in parity.pairs if pair.backends == first]
    groups = _groups(results, pairs)
    most = max(len(group) for group in groups.values())
    look_of = _looks(results, groups, colours)
    sheet = Sheet(
        colours,
        title=_title(parity.holds, pairs),
        subtitle=f"Loss of {'each batch' if pairs[0].metric == 'batch_loss' else 'the training split'}, from the same "
        f"start. Right: the largest difference over {plural(most, 'replicate')}.",
        panels=[DIAGONAL, DIFFERENCES],
        right=[0.25, room_for(list(groups))],
        narrow=narrow,
    )
    left, right = sheet.axes
    metric = metric_words(pairs[0].metric)
    name_axes(left, colours, f"{metric}, {first[0]}", f"{metric}, {first[1]}", "The same losses?")
    name_axes(right, colours, "step (updates)", "relative difference", "How far apart")
    _diagonal(left, groups, look_of, colours)
    _differences(right, groups, look_of, colours)
    sheet.chart.words = _words(groups, first)
    return sheet.chart


def _words(groups: dict[str, list[Pair]], backends: tuple[str, str]) -> str:
    """The figure in words: how far apart each method gets."""
    said = []
    for name, group in groups.items():
        first = max((pair.first for pair in group if not math.isnan(pair.first)), default=math.nan)
        largest = max(pair.largest for pair in group)
        same = largest == 0
        said.append(
            f"{name} bit for bit" if same else f"{name} to {number(first, 2)}, to the end to {number(largest, 2)}"
        )
    return (
        f"Left: each step's loss in {backends[0]} against that in {backends[1]}; equal losses lie on the diagonal. "
        f"Right: their relative difference. Over the first {FIRST_STEPS} steps they agree: {'; '.join(said)}."
    )


def _groups(results: Results, pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Method -> its pairs, of the lanes that are shown."""
    # Where a learning rate was searched, each method at its best: at others it may have been unstable.
    lanes, _ = at_best_rates(results.lanes, results.metric, log=results.log_scale(results.metric))
    method = {id(run): lane.method for lane in lanes for run in lane.runs}
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        if id(pair.one) in method:
            groups.setdefault(method[id(pair.one)], []).append(pair)
    return groups or {pairs[0].optimizer: list(pairs)}


def _looks(results: Results, groups: Iterable[str], theme: Theme) -> dict[str, Look]:
    found = looks(results.lanes, results.palette, theme)
    named = {lane.method: found[lane.name] for lane in results.lanes}
    return {name: named.get(name) or look(i, theme) for i, name in enumerate(groups)}


def _diagonal(axes: Axes, groups: dict[str, list[Pair]], look_of: dict[str, Look], theme: Theme) -> None:
    import numpy as np

    values = [v for group in groups.values() for pair in group for v in (pair.a, pair.b)]
    positive = all((v > 0).all() for v in values)
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    limits = padded(low, high if high > low else low + 1, "log" if positive else "linear")
    for axis in (axes.xaxis, axes.yaxis):
        set_scale(axis, "log" if positive else "linear", *limits, most=5)
    axes.plot(limits, limits, color=theme.muted, linewidth=0.8, zorder=1.5)
    share = max(10, SHOWN // sum(map(len, groups.values())))
    for name, group in groups.items():
        sign = look_of[name]
        for pair in group:
            keep = np.unique(np.linspace(0, len(pair.a) - 1, min(share, len(pair.a))).astype(int))
            axes.plot(pair.a[keep], pair.b[keep], color=sign.colour, marker=sign.marker, markersize=2.8,
                      linestyle="none", alpha=0.6, markeredgewidth=0, zorder=3)  # fmt: skip


def _differences(axes: Axes, groups: dict[str, list[Pair]], look_of: dict[str, Look], theme: Theme) -> None:
    lines = {name: binned(group) for name, group in groups.items()}
    promises = [pair.promised for group in groups.values() for pair in group if not math.isnan(pair.promised)]
    values = [float(v) for _, y in lines.values() for v in y if v > 0] + promises
    last = max(float(x[-1]) for x, _ in lines.values())
    floor = min(values, default=FLOOR) / 3
    set_scale(axes.xaxis, "linear", 0.0, last, most=6)
    set_scale(axes.yaxis, "log", *padded(floor, max(values, default=1.0) * 2, "log"), most=7)
    if promises:
        end = min(FIRST_STEPS, last)
        axes.plot([0, end], [max(promises)] * 2, color=theme.ink, linewidth=1.4, zorder=3.2)
        axes.annotate(
            f"promised: {short(max(promises))}", (end, max(promises)), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=TICK, family=FONT, color=theme.ink, zorder=5, parse_math=False,
        )  # fmt: skip
    ends = []
    for name, (x, y) in lines.items():
        sign = look_of[name]
        drawn = [max(float(value), floor) for value in y]
        axes.plot(x, drawn, color=sign.colour, linestyle=sign.line_style, linewidth=1.4, marker=sign.marker,
                  markersize=4, markevery=max(1, len(x) // 7), markeredgecolor=theme.surface, markeredgewidth=0.4,
                  zorder=3)  # fmt: skip
        ends.append(End(x=float(x[-1]), y=drawn[-1], text=name, look=sign))
    label_ends(axes, ends, theme)


def binned(pairs: Sequence[Pair]) -> tuple[Any, Any]:
    """(steps, largest difference of all pairs up to there since the last one), at most `BINS` points."""
    import numpy as np

    steps = np.concatenate([pair.steps for pair in pairs])
    differences = np.concatenate([pair.differences for pair in pairs])
    last = int(steps.max())
    width = max(1, math.ceil(last / BINS))
    place = (np.maximum(steps, 1) - 1) // width
    largest = np.full(int(place.max()) + 1, -1.0)
    np.maximum.at(largest, place, differences)
    there = np.flatnonzero(largest >= 0)
    return np.minimum((there + 1) * width, last), largest[there]


def _title(holds: bool | None, pairs: Sequence[Pair]) -> str:
    one, other = pairs[0].backends
    if all(pair.largest == 0 for pair in pairs):
        return f"{one} and {other} give the same losses, bit for bit"
    largest = max((pair.first for pair in pairs if not math.isnan(pair.first)), default=math.nan)
    if holds:
        return f"{one} and {other} agree to {short(float(f'{largest:.1e}'))} over the first {FIRST_STEPS} steps"
    if holds is None:
        return f"{one} and {other} differ by up to {short(float(f'{largest:.1e}'))} over the first {FIRST_STEPS} steps"
    missed = listed(dict.fromkeys(pair.optimizer for pair in pairs if pair.first > pair.promised))
    return f"{one} and {other} differ by more than is promised with {missed}"
