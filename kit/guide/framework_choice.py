"""The choice at the top of every notebook: the framework in which it trains."""

from __future__ import annotations

import os
from typing import Any

from kit.errors import InvalidValueError, unknown
from kit.guide.saying import bundle, controls, put

ANSWER = "KIT_GUIDE_FRAMEWORK"  # of the environment: the choice of a headless run


class Framework:
    """What was chosen: `name`, read when it is used, so that cells run afterwards follow the choice."""

    def __init__(self, names: tuple[str, ...], name: str) -> None:
        self.names = names
        self._name, self._widget = name, self._control(name)

    def _control(self, name: str) -> Any:
        widgets = controls()
        if widgets is None:
            return None
        options = [[each, each] for each in self.names]
        return widgets.Choice(question="Framework:", options=options, answer=name, inline=True)

    @property
    def name(self) -> str:
        """The backend's name, such as `torch`."""
        return self._name if self._widget is None else str(self._widget.answer)

    @name.setter
    def name(self, name: str) -> None:
        if name not in self.names:
            raise unknown("framework installed here", name, self.names)
        self._name = name
        if self._widget is not None:
            self._widget.answer = name

    def _ipython_display_(self) -> None:
        # The same words wherever it runs, so that a recorded output holds for every framework.
        put(bundle(["The framework in which this notebook trains can be chosen here when it runs."], self._widget))

    def __repr__(self) -> str:
        return f"Framework({self.name!r} of {', '.join(self.names)})"


def frameworks() -> tuple[str, ...]:
    """The backends that are installed and trusted to train, by name.

    Raises `InvalidValueError` where there is none, saying what to install.
    """
    from kit.registry import Registry

    names = tuple(Registry.load().names("backend"))
    if not names:
        raise InvalidValueError(
            "No backend is installed, so nothing can be trained. Install descentkit-torch or descentkit-tensorflow, "
            "restart the kernel, and run this cell again; `kit doctor` says more."
        )
    return names


def framework(default: str | None = None) -> Framework:
    """The choice, shown where it is the last line of a cell: radio buttons, one for each that is installed.

    default: what stands there first; the environment's KIT_GUIDE_FRAMEWORK goes before it, and the first that is
    installed after. Raises `UnknownNameError` for one that is not installed, `InvalidValueError` where none is.
    """
    names = frameworks()
    name = os.environ.get(ANSWER) or default or names[0]
    if name not in names:
        raise unknown("framework installed here", name, names)
    return Framework(names, name)
