"""The lab in a notebook: the widget kept up with the session, and a picture beside it for whoever shows no widget."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kit.errors import KitError, MissingPackageError
from kit.laboratory import still
from kit.laboratory.documents import form_document, kept_document, runs_document
from kit.laboratory.landscape import landscape, window_of
from kit.laboratory.menus import menus
from kit.laboratory.tally import whole_words
from kit.laboratory.words import word
from kit.results.words import plural

if TYPE_CHECKING:
    from kit.laboratory.lab import Lab

POINTS_SECONDS = 0.13  # between two messages of points
TABLE_SECONDS = 0.9  # between two of everything that people read
DENSE = "batch_loss"  # has a point for every step: most of all that could be sent, and looked at seldom
INSTALL = "pip install 'descentkit[lab]'"


class Display:
    """Keeps a widget in step with a lab. Raises `MissingPackageError` where anywidget is not installed."""

    def __init__(self, lab: Lab) -> None:
        try:
            from kit.laboratory.widget import LabWidget
        except ModuleNotFoundError as error:
            raise MissingPackageError(f"The lab's widget needs {error.name}: {INSTALL}") from error
        self.lab = lab
        self.widget = LabWidget(self._hear, self._hello)
        self.unseen = {DENSE}  # metrics that no page has shown yet, and none is sent
        self.picture: bytes | None = None  # PNG, of the last session
        self.shown: list[Callable[..., None]] = []  # each publishes the lab anew where it stands
        self.settled = threading.Event()  # while nothing trains and the last picture stands
        self.settled.set()
        self._lock = threading.RLock()
        self._watched: Any = None  # the Watch whose points are being sent
        self._drawn: Any = None  # (window, model) of the contours that were sent
        self._ticking = False
        self._form()
        self._session()
        if lab.results is not None:
            self._picture()
        lab.listeners.append(self._changed)

    # --- from the lab to the page

    def _changed(self, what: str) -> None:
        {"form": self._form, "session": self._session, "overlays": self._overlays}[what]()

    def _form(self) -> None:
        form = self.lab.form
        with self._lock, self.widget.hold_sync():
            self.widget.menus = menus(form)
            self.widget.form = form_document(form)
            self.widget.kept = kept_document(self.lab)
            self._landscape()
            try:
                self.widget.code = self.lab.code()
            except KitError as error:
                self.widget.code = f"# {error}"
            self._table()

    def _session(self) -> None:
        with self._lock:
            watch = self.lab.session.watch
            if watch is not self._watched:
                self._watched = watch
                self.widget.generation += 1
                self._send_all()  # the kept curves stay; those of the session before go
            self._table()
            if self.lab.session.active and not self._ticking:
                self._ticking = True
                self.settled.clear()
                threading.Thread(target=self._tick, daemon=True, name="kit-lab-display").start()

    def _overlays(self) -> None:
        with self._lock:
            self.widget.kept = kept_document(self.lab)
            self.widget.generation += 1
            self._table()
            self._send_all()

    def _tick(self) -> None:
        """Send what is new until the session has ended."""
        table = 0.0
        while True:
            active = self.lab.session.active
            self.lab.session.heard()  # without our lock: a session that changes holds its own, and then asks for ours
            with self._lock:
                self._points()
                if not active or time.monotonic() - table >= TABLE_SECONDS:
                    table = time.monotonic()
                    self._table()
                if not active and not self.lab.session.active:
                    self._ticking = False
                    break
            time.sleep(POINTS_SECONDS)
        try:
            self._ended()
        finally:
            self.settled.set()

    def _points(self) -> None:
        fresh = self._watched.stream.pending(self.unseen)
        if fresh is not None:
            names = self.lab.session.metrics.names
            if len(names) != len(self.widget.metrics):
                self.widget.metrics = list(names)
                self._table()
            self.widget.points(self.widget.generation, fresh)

    def _table(self) -> None:
        session = self.lab.session
        shown = session.form or self.lab.form
        tally = session.watch.tally
        with self.widget.hold_sync():
            self.widget.runs = runs_document(session, self.lab.over_runs)
            self.widget.metrics = list(session.metrics.names)
            self.widget.table = tally.rows(shown.lane_names()) if tally.runs else []
            self.widget.words = still.curves_sentence(session)
            self.widget.status = {
                "state": session.state,
                "sentence": session.sentence,
                "fault": session.fault,
                "notes": latest(session.watch.notes),
                "share": round(tally.share, 3),
                "changed": self.lab.changed and bool(tally.runs),
                "progress": whole_words(tally, session.state in ("running", "paused")) if tally.runs else "",
            }
            if self.widget.landscape:
                self._landscape()

    def _landscape(self) -> None:
        form = (self.lab.session.active and self.lab.session.form) or self.lab.form
        reached = self._watched.tally.reached() if self._watched is not None else []
        window = window_of(form, reached)
        drawn = (window, form.parts["model"])
        if drawn != self._drawn:
            self._drawn = drawn
            self.widget.landscape = (window and landscape(form, window)) or {}

    def _hello(self, metric: str) -> None:
        """A page has come, or shows another metric."""
        self.unseen.discard(metric)
        self._send_all()

    def _send_all(self) -> None:
        """Everything that is seen, for a page that has just come, or that missed something."""
        with self._lock:
            heads, values = self._watched.stream.snapshot(self.unseen)
            more_heads, more_values = self.lab.over.snapshot(self.unseen)
            self.widget.points(self.widget.generation, (heads + more_heads, values + more_values), whole=True)

    def _ended(self) -> None:
        """The last picture into every place where the lab stands, for the saved notebook."""
        self._picture()
        for publish in list(self.shown):
            publish(self.bundle())

    def _picture(self) -> None:
        results = self.lab.results
        figure = still.figure_of(results) if results is not None else None
        self.picture = figure[0] if figure is not None else None
        self.widget.still = base64.b64encode(self.picture).decode() if self.picture is not None else ""

    def bundle(self) -> dict[str, Any]:
        """What a notebook stores of it: the widget's view, and a picture with a sentence."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {**still.bundle(self.lab.words(), self.picture), "application/vnd.jupyter.widget-view+json": view}

    # --- from the page to the lab

    def _hear(self, content: dict[str, Any]) -> str:
        try:
            word(self.lab, self.widget, content)
        except KitError as error:
            return str(error)
        except Exception as error:  # a plugin's record, or a page of another version: never a traceback in the lab
            return f"This could not be done: {type(error).__name__}: {error}"
        return ""


def latest(notes: list[str]) -> list[str]:
    """The last note, and how many came before: workers that die again and again would fill the page."""
    before = f" ({plural(len(notes) - 1, 'note')} before.)" if len(notes) > 1 else ""
    return [f"{notes[-1]}{before}"] if notes else []


def show(lab: Lab) -> None:
    """Show a lab where the notebook's cell puts its output, and again when a session has ended."""
    from IPython import display as notebook

    send: Callable[..., None] = notebook.publish_display_data
    identifier = uuid.uuid4().hex

    def publish(data: dict[str, Any], update: bool = True) -> None:
        send(data, transient={"display_id": identifier}, update=update)

    try:
        display = lab.display
    except MissingPackageError as error:
        plain_display(lab, publish, str(error))
        return
    display.shown.append(publish)
    publish(display.bundle(), update=False)


def plain_display(lab: Lab, publish: Callable[..., None], why: str) -> None:
    """A picture and sentences, where there are no widgets."""

    def again(what: str) -> None:
        if what == "session" and not lab.session.active:
            figure = still.figure_of(lab.results) if lab.results is not None else None
            publish(still.bundle(lab.words(), figure[0] if figure else None))

    publish(still.bundle(f"{lab.words()} {why}", None), update=False)
    lab.listeners.append(again)
