"""The lab's widget: its traits go to the page when they change, points as messages; the page's words come back.

What runs in the page are the files of `browser/`, joined in this order into the one module that anywidget loads.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from kit.plot.palette import DARK, LIGHT

BROWSER = Path(__file__).parent / "browser"
SCRIPTS = (
    *("curves.js", "scales.js", "marks.js", "lines.js", "chart.js", "paths.js"),  # points, and how they are drawn
    *("keys.js", "page.js", "element.js", "form.js"),  # what the page knows, and its controls
    *("bar.js", "problem.js", "lanes.js", "figures.js", "table.js", "results.js", "lab.js"),  # from top to bottom
)
PALETTE = {theme.name: list(theme.series) for theme in (LIGHT, DARK)}

Word = Callable[[dict[str, Any]], str]  # what the page asked -> why it cannot be, or ""


def source() -> str:
    return "\n".join((BROWSER / name).read_text(encoding="utf-8") for name in SCRIPTS)


def synced(trait: Any) -> Any:
    """A trait that the page has too."""
    return trait.tag(sync=True)


class LabWidget(anywidget.AnyWidget):
    """Holds what the page shows. `hear` answers a word of the page with a sentence where it cannot be done."""

    _esm: ClassVar[str] = source()
    _css: ClassVar[str] = (BROWSER / "lab.css").read_text(encoding="utf-8")

    key = synced(traitlets.Unicode())  # tells the page's labs apart
    palette = synced(traitlets.Dict(PALETTE))
    form = synced(traitlets.Dict())
    menus = synced(traitlets.Dict())
    status = synced(traitlets.Dict())  # state, sentence, fault, share, progress
    table = synced(traitlets.List())
    runs = synced(traitlets.Dict())  # number -> lane, look, name, batch, status
    metrics = synced(traitlets.List())
    generation = synced(traitlets.Int(0))  # points of another one are not of these runs
    words = synced(traitlets.Unicode())  # the curves in a sentence
    code = synced(traitlets.Unicode())
    kept = synced(traitlets.List())  # [{name, on}]
    landscape = synced(traitlets.Dict())
    still = synced(traitlets.Unicode())  # PNG, base64: for a page without a kernel

    def __init__(self, hear: Word, hello: Callable[[str], None]) -> None:
        super().__init__(key=uuid.uuid4().hex)
        self._hear, self._hello = hear, hello
        self.on_msg(self._heard)

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:
        """Every word is answered, so that a page whose kernel is gone or busy can say so."""
        if not isinstance(content, dict):
            return
        fault = self._hear(content)
        self.send({"kind": "answer", "id": content.get("id"), "fault": fault})
        if content.get("do") == "hello":
            self._hello(str(content.get("metric", "")))

    def points(self, generation: int, packed: tuple[bytes, bytes], whole: bool = False) -> None:
        """Send points: new ones, or the whole."""
        self.send({"kind": "snapshot" if whole else "points", "generation": generation}, buffers=list(packed))
