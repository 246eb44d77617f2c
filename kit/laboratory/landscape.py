"""The function under a two-parameter problem, as a grid for contour lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.choice import frozen
from kit.errors import KitError
from kit.objectives import MINIMA, OBJECTIVES

if TYPE_CHECKING:
    from kit.laboratory.form import Form

COLUMNS, ROWS = 120, 90
LEVELS = 14
REACH = 3.0  # how far a path may stretch the window, in its first sizes
_ROOM = 0.25

Window = tuple[float, float, float, float]  # left, right, bottom, top


def window_of(form: Form, paths: Sequence[tuple[float, float]] = ()) -> Window | None:
    """What to show: the start, the minima and what paths have reached; None for a model without known function."""
    part = form.parts["model"]
    if part.name not in OBJECTIVES or part.faults():
        return None
    start = part.controls["start"].value() if "start" in part.controls else (0.0, 0.0)
    minima = MINIMA.get(part.name, ()) if not _changed(form) else ()
    points = np.array([start, *minima, *([(0.0, 0.0)] if not minima else [])], dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum(high - low, 0.5 * max(1.0, float((high - low).max())))
    middle = (low + high) / 2
    low, high = middle - (0.5 + _ROOM) * size, middle + (0.5 + _ROOM) * size
    if len(paths):
        reached = np.array(paths, dtype=np.float64)
        reached = reached[np.isfinite(reached).all(axis=1)]
        if len(reached):
            low = np.minimum(low, np.maximum(reached.min(axis=0) - 0.05 * size, middle - REACH * size))
            high = np.maximum(high, np.minimum(reached.max(axis=0) + 0.05 * size, middle + REACH * size))
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _changed(form: Form) -> bool:
    """Whether options other than the start differ from their defaults, so that the known minima may not hold."""
    return any(control.changed() for name, control in form.parts["model"].controls.items() if name != "start")


def landscape(form: Form, window: Window) -> dict[str, Any] | None:
    """The function on a grid: {"window", "columns", "rows", "values" float32 rows from the bottom, "levels",
    "minima"}; None where it cannot be had."""
    part = form.parts["model"]
    try:
        choice = part.choice()
    except KitError:
        return None
    if choice is None:
        return None
    left, right, bottom, top = window
    x, y = np.meshgrid(np.linspace(left, right, COLUMNS), np.linspace(bottom, top, ROWS))
    with np.errstate(all="ignore"):
        values = np.asarray(OBJECTIVES[part.name](x, y, **frozen(choice.options)), dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite) or finite.max() == finite.min():
        return None
    floor, span = float(finite.min()), float(finite.max() - finite.min())
    levels = floor + span * np.geomspace(2e-4, 0.9, LEVELS)
    return {
        "window": list(window),
        "columns": COLUMNS,
        "rows": ROWS,
        "values": values.astype(np.float32).tobytes(),
        "levels": [float(level) for level in levels if math.isfinite(level)],
        "minima": [] if _changed(form) else [list(point) for point in MINIMA.get(part.name, ())],
    }
