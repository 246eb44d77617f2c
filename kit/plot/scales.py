"""Axes with ticks that people read: 1, 2, 5 on a logarithmic scale, few, and never in two notations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from kit.results.words import short

Scale = Literal["log", "linear"]
WIDE = 20.0  # from this ratio on an axis that is free to choose is logarithmic
_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))


def tick_text(value: float) -> str:
    """`0.02`, `5`, `20k`, `1e-5`."""
    if value == 0:
        return "0"
    size = abs(value)
    if 1e4 <= size < 1e6:
        return f"{short(value / 1e3)}k"
    if 1e6 <= size < 1e9:
        return f"{short(value / 1e6)}M"
    if 1e9 <= size < 1e12:
        return f"{short(value / 1e9)}G"
    return short(value).replace("-", "−", 1) if value < 0 else short(value)


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers between two positive ones: powers of ten, with 3, or 2 and 5, between them where there is room."""
    if not 0 < low < high:
        return [low]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    candidates: list[list[float]] = []
    for steps in _STEPS:
        ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        candidates.append([tick for tick in ticks if low * 0.999 <= tick <= high * 1.001])
    fitting = [ticks for ticks in candidates if 3 <= len(ticks) <= most]
    if fitting:
        return fitting[-1] if len(fitting[0]) < 4 else fitting[0]
    if len(candidates[0]) > most:  # many decades: every second, third, …
        powers = candidates[0]
        return powers[:: math.ceil(len(powers) / most)]
    return [tick for tick in MaxNLocator(nbins=5).tick_values(low, high) if low <= tick <= high]


def set_scale(axis: Axis, scale: Scale, low: float, high: float, most: int = 7, *, whole: bool = False) -> None:
    """Limits, scale and ticks of an axis of its axes. low < high; positive for a logarithmic scale. whole: what it
    holds is counted, so there is nothing at 2.5."""
    axes: Axes = axis.axes
    across = axis is axes.xaxis
    (axes.set_xscale if across else axes.set_yscale)(scale)
    (axes.set_xlim if across else axes.set_ylim)(low, high)
    if scale == "log":
        axis.set_major_locator(FixedLocator(log_ticks(low, high, most)))
    else:
        axis.set_major_locator(MaxNLocator(nbins=most - 1, steps=[1, 2, 2.5, 5, 10], integer=whole))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def chosen_scale(asked: str | None, values: Sequence[float], wide: float = WIDE) -> Scale:
    """The scale asked for; None: logarithmic where all values are positive and spread widely."""
    if asked is not None:
        return "log" if asked == "log" else "linear"
    finite = [value for value in values if math.isfinite(value)]
    return "log" if finite and min(finite) > 0 and max(finite) >= wide * min(finite) else "linear"


def padded(low: float, high: float, scale: Scale, share: float = 0.05) -> tuple[float, float]:
    """Limits with some room at both ends."""
    if scale == "log":
        room = max(share * math.log(high / low), 0.02)
        return low * math.exp(-room), high * math.exp(room)
    room = share * (high - low) or share * abs(high) or share
    return low - room, high + room
