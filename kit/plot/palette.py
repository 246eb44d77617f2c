"""Colours, markers and dashes: which lane looks how, in every figure alike.

The colours are Okabe & Ito's (2008), which people with the common colour-vision deficiencies tell apart; on white a
brown stands for the yellow, and on black all are lightened, where the originals fade. Colour is never the only sign:
each method has a marker too, and its name stands at its line. Beyond eight methods colours come again with dashes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kit.errors import unknown
from kit.results.labels import is_of_method
from kit.results.lanes import Lane

ThemeName = Literal["light", "dark", "report"]


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of a figure."""

    name: str
    surface: str
    ink: str  # text
    muted: str  # secondary text, axes
    grid: str
    series: tuple[str, ...]


_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LIGHT = Theme(
    name="light",
    surface="#ffffff",
    ink="#1d2027",
    muted="#5c6370",
    grid="#e3e5e9",
    series=(*_OKABE_ITO, "#000000", "#783018"),
)
DARK = Theme(
    name="dark",
    surface="#15171c",
    ink="#eceef2",
    muted="#a4abb8",
    grid="#30343c",
    series=("#3d94e0", "#e8702a", "#1bb98b", "#dd92bb", "#f0ad1e", "#9bd8f7", "#ffffff", "#f0e442"),
)
# Stand-ins that the report replaces by CSS variables, so that one drawing serves light, dark and print.
REPORT = Theme(
    name="report",
    surface="#fe0001",
    ink="#fe0002",
    muted="#fe0003",
    grid="#fe0004",
    series=tuple(f"#fe001{i}" for i in range(8)),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK, REPORT)}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
# Nine colours of viridis (Smith & van der Walt 2015) between extremes that fade on white or on black.
_SEQUENCE = (
    "#46307e",
    "#3f4788",
    "#365c8d",
    "#2e6e8e",
    "#277f8e",
    "#21918c",
    "#1fa187",
    "#2db27d",
    "#52c569",
    "#86d549",
)


def theme_named(name: str) -> Theme:
    """Raises `UnknownNameError` for a theme that is none."""
    if name not in THEMES:
        raise unknown("theme", name, [LIGHT.name, DARK.name])
    return THEMES[name]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a lane is drawn."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()

    @property
    def line_style(self) -> tuple[float, tuple[float, ...]] | Literal["solid"]:
        return (0.0, self.dashes) if self.dashes else "solid"


def method_key(lane: Lane) -> str:
    """What gives a lane its colour: the method without its learning rate, whatever it is tried on."""
    return lane.named(("learning_rate", *(name for name in lane.telling if not is_of_method(name))))


def colour_keys(lanes: Sequence[Lane]) -> tuple[str, ...]:
    """The methods in the order in which they take their colours; where there is one method only, whatever else tells
    the lanes apart."""
    keys = tuple(dict.fromkeys(method_key(lane) for lane in lanes))
    return keys if len(keys) > 1 else tuple(dict.fromkeys(lane.method for lane in lanes))


def told_apart(lanes: Sequence[Lane], look_of: Mapping[str, Look]) -> dict[str, Look]:
    """The looks of lanes in one panel, with dashes where a method stands there more than once (on other data, in
    another framework)."""
    found: dict[str, Look] = {}
    for lane in lanes:
        look = look_of[lane.name]
        dashes = [look.dashes, *(dashes for dashes in DASHES if dashes != look.dashes)]
        free = [again for d in dashes if (again := replace(look, dashes=d)) not in found.values()]
        found[lane.name] = free[0] if free else look
    return found


def looks(lanes: Sequence[Lane], palette: Sequence[str], theme: Theme) -> dict[str, Look]:
    """Lane name -> look. A lone learning rate that varies is a sequence of colours, low to high."""
    varying = {name for lane in lanes for name in lane.telling} - {"backend"}
    if varying == {"learning_rate"}:  # the lanes are told apart by it alone
        rates = sorted({rate for lane in lanes if (rate := lane.labels["learning_rate"]) is not None})
        return {lane.name: _on_scale(rates, lane.labels["learning_rate"]) for lane in lanes}
    found = {}
    for lane in lanes:
        key = next((key for key in (method_key(lane), lane.method) if key in palette), lane.method)
        i = palette.index(key) if key in palette else len(palette)
        found[lane.name] = look(i, theme)
    return found


def look(i: int, theme: Theme) -> Look:
    """The i-th look: colours first, then dashes with the colours over again; markers run through all twelve."""
    turn, colour = divmod(i, len(theme.series))
    return Look(colour=theme.series[colour], marker=MARKERS[i % len(MARKERS)], dashes=DASHES[turn % len(DASHES)])


def _on_scale(rates: Sequence[float], rate: float | None) -> Look:
    number = 0 if rate is None else rates.index(rate)
    return Look(colour=sequence(number / max(1, len(rates) - 1)), marker=MARKERS[number % len(MARKERS)])


def sequence(place: float) -> str:
    """The colour at a place in [0, 1] of the sequence."""
    position = min(max(place, 0.0), 1.0) * (len(_SEQUENCE) - 1)
    low = min(math.floor(position), len(_SEQUENCE) - 2)
    share = position - low
    ends = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in _SEQUENCE[low : low + 2]]
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in zip(*ends, strict=True))
