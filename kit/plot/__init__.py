"""Figures of results, in matplotlib. Each function returns a `Chart` (a `matplotlib.figure.Figure`) and leaves no
global state. matplotlib is imported when the first is drawn."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Chart": "kit.plot.chart",
    "plot_cost": "kit.plot.cost",
    "plot_curves": "kit.plot.curves",
    "plot_parity": "kit.plot.parity",
    "plot_sensitivity": "kit.plot.sensitivity",
    "plot_trajectories": "kit.plot.trajectories",
}
__all__ = ["Chart", "plot_cost", "plot_curves", "plot_parity", "plot_sensitivity", "plot_trajectories"]

if TYPE_CHECKING:
    from kit.plot.chart import Chart
    from kit.plot.cost import plot_cost
    from kit.plot.curves import plot_curves
    from kit.plot.parity import plot_parity
    from kit.plot.sensitivity import plot_sensitivity
    from kit.plot.trajectories import plot_trajectories


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kit.plot' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
