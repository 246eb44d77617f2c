"""A hyperparameter as a plain ipywidgets control: what a notebook can show of it."""

from __future__ import annotations

from typing import Any

from kit.records import Hyperparameter


def widget_for(h: Hyperparameter) -> Any:
    """The control at its default. Raises whatever ipywidgets raises for a default that cannot be shown."""
    import ipywidgets

    if h.choices:
        return ipywidgets.Dropdown(options=list(h.choices), value=h.default, description=h.name)
    if isinstance(h.default, bool):
        return ipywidgets.Checkbox(value=h.default, description=h.name)
    if isinstance(h.default, int):
        return ipywidgets.IntText(value=h.default, description=h.name)
    if isinstance(h.default, float):
        return ipywidgets.FloatText(value=h.default, description=h.name)
    if isinstance(h.default, str | tuple):
        return ipywidgets.Text(value=str(h.default), description=h.name)
    raise TypeError(f"a default of type {type(h.default).__name__} has no control")
