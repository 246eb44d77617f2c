"""The guide's widgets: a choice, a number, sentences, training under way. Their state lives in the kernel, so a page
that is reloaded finds it again.

Widgets of our own and not those of ipywidgets, because JupyterLab takes a key that is pressed in one of those for a
shortcut: ArrowDown left the radio buttons for the next cell. What runs in the page is in `browser/`, plain JavaScript,
a file for each; anywidget loads it together with what all share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from kit.laboratory.widget import BROWSER as LABORATORY
from kit.laboratory.widget import synced

BROWSER = Path(__file__).parent / "browser"
STYLE = (BROWSER / "guide.css").read_text(encoding="utf-8")


def _source(name: str) -> str:
    files = (LABORATORY / "keys.js", LABORATORY / "element.js", BROWSER / "elements.js", BROWSER / name)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


class Control(anywidget.AnyWidget):
    """What the page asks to be set is set; a page that is not ours cannot set anything else."""

    ASKED: ClassVar[frozenset[str]] = frozenset()  # the traits that the page may set

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._heard)

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:
        asked = content.get("set", {}) if isinstance(content, dict) else {}
        for name in self.ASKED & set(asked):
            setattr(self, name, asked[name])


class Choice(Control):
    """Radio buttons. options: pairs of a key and its text; answer: a key, or None while nobody has answered."""

    _esm: ClassVar[str] = _source("choice.js")
    _css: ClassVar[str] = STYLE
    ASKED = frozenset({"answer"})

    question = synced(traitlets.Unicode())
    options = synced(traitlets.List())
    answer = synced(traitlets.Unicode(None, allow_none=True))
    inline = synced(traitlets.Bool(False))  # side by side


class Number(Control):
    """A field for a number, as it was typed, and what is wrong with that."""

    _esm: ClassVar[str] = _source("number.js")
    _css: ClassVar[str] = STYLE
    ASKED = frozenset({"text"})

    question = synced(traitlets.Unicode())
    unit = synced(traitlets.Unicode())
    text = synced(traitlets.Unicode())
    fault = synced(traitlets.Unicode())


class Sentences(Control):
    """Sentences that may change where they stand."""

    _esm: ClassVar[str] = _source("sentences.js")
    _css: ClassVar[str] = STYLE

    said = synced(traitlets.List())


class Training(Control):
    """How far a training is, and a Stop button."""

    _esm: ClassVar[str] = _source("training.js")
    _css: ClassVar[str] = STYLE
    ASKED = frozenset({"stopping", "page", "late"})

    share = synced(traitlets.Float(0.0))  # of the whole, 0 to 1
    words = synced(traitlets.Unicode())
    stopping = synced(traitlets.Bool(False))
    said = synced(traitlets.List())  # how it ended, sentences; none before
    page = synced(traitlets.Unicode())  # of the browser in which it began; written there
    late = synced(traitlets.Bool(False))  # whether another page was opened in the middle; written there
