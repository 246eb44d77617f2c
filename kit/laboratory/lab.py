"""The lab: what `kit.lab(…)` gives. It joins the form, the session and whatever shows them.

    lab = kit.lab(["sgd", "adam"], dataset="digits")
    lab                                # in a notebook: the widget
    results = await lab.run()          # the same without a hand on the button
    print(lab.code())                  # the Python that does what the controls say

All that the widget's buttons do can be done from here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kit.choice import Choice
from kit.errors import WorkError
from kit.laboratory import still
from kit.laboratory.code import code_of
from kit.laboratory.kept import Kept, Overlay
from kit.laboratory.overlay import overlaid
from kit.laboratory.session import Session, State

if TYPE_CHECKING:
    from kit.laboratory.display import Display
    from kit.laboratory.form import Form
    from kit.results import Results
    from kit.store import Store
    from kit.study import Study

REPORT = "lab-report"
SETTLE_SECONDS = 20.0  # for drawing the last picture, at most
What = Literal["form", "session", "overlays"]


class Lab:
    """See the module's head. Methods may be called from any thread; one that changes what is trained next raises a
    `KitError` for what cannot be, and leaves everything as it was."""

    def __init__(self, form: Form, store: Store, executor: str = "processes") -> None:
        self.form = form
        self.kept = Kept(store)
        self.session = Session(form.registry, executor, lambda: self._tell("session"))
        self.laid_over: list[str] = []  # names of kept sessions
        self.over, self.over_runs = overlaid([], self.session.metrics)
        self.listeners: list[Callable[[What], None]] = []
        self._display: Display | None = None
        self._lock = threading.RLock()

    # --- training

    @property
    def state(self) -> State:
        """`idle`, `running`, `paused` or `stopping`; `sentence` says more."""
        return self.session.state

    @property
    def sentence(self) -> str:
        return self.session.sentence

    @property
    def changed(self) -> bool:
        """Whether the controls say something else than what was trained last."""
        return not self.session.active and self.session.form not in (None, self.form)

    @property
    def results(self) -> Results | None:
        """Of the last session that ended; None before."""
        return self.session.results

    async def run(self) -> Results:
        """Train what the controls say and give the results; the notebook's kernel stays free meanwhile.

        Where the lab trains already, its present session is waited for. Raises `KitError` for what cannot be trained;
        what goes wrong in a run is its status. Cancelling stops the training.
        """
        if not self.session.active:
            self.start()
        future = asyncio.wrap_future(self.session.future)
        try:
            results = await asyncio.shield(future)
            if self._display is not None:  # its last picture belongs to the notebook that this cell is in
                await asyncio.to_thread(self._display.settled.wait, SETTLE_SECONDS)
            return results
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([future])
            raise

    def start(self) -> None:
        """Begin to train, from the start, and return at once. Raises `InvalidValueError` while it trains already."""
        self.session.start(self.form)

    def wait(self, timeout: float | None = None) -> Results:
        """Block until the session has ended. Raises `TimeoutError`, and what `run` raises."""
        return self.session.future.result(timeout)

    def pause(self) -> None:
        """What trains waits, without a core, until `resume`."""
        self.session.pause()

    def resume(self) -> None:
        self.session.resume()

    def stop(self) -> None:
        """End within a second; everything so far is kept on the screen."""
        self.session.stop()

    # --- what to train

    def change(self, change: Callable[[Form], Form]) -> None:
        """Replace the form; raises what `change` raises, and then nothing has changed."""
        with self._lock:
            self.form = change(self.form)
        self._tell("form")
        self.session.forget_fault()

    def set(self, **settings: Any) -> None:
        """`lab.set(dataset="iris", batch_size=32)`: parts of the problem by name, and settings. Raises `KitError`."""
        from kit.laboratory.controls import text_of
        from kit.laboratory.form import PARTS

        def change(form: Form) -> Form:
            for name, value in settings.items():
                if name in (*PARTS, "backend", "device"):
                    form = form.with_part(name, str(value))
                else:
                    form = form.with_setting(name, text_of(value))
            return form

        self.change(change)

    def new_seed(self) -> None:
        """The next seed: another split, start and order, the same for all lanes."""
        self.change(lambda form: form.new_seed())

    def add_lane(self, optimizer: Any = "adam", **options: Any) -> None:
        """One optimizer more. Raises `KitError` for one that there is not, or when there are six."""
        choice = Choice.of(optimizer, **options)
        self.change(lambda form: form.with_added(choice))

    def duplicate_lane(self, number: int) -> None:
        """A copy of lane `number`, from 0."""
        self.change(lambda form: form.with_copy(number))

    def remove_lane(self, number: int) -> None:
        self.change(lambda form: form.without(number))

    def study(self) -> Study:
        """What the controls say, as a value. Raises `KitError` for what cannot be trained."""
        return self.form.study()

    def code(self) -> str:
        """The Python that does what the controls say. Raises `KitError` where a control holds no value."""
        return code_of(self.form, str(self.kept.store.path))

    # --- what came of it

    def keep(self, name: str | None = None) -> str:
        """Copy the runs of the last session into the store, under a name; gives the name.

        Raises `WorkError` where nothing was trained yet or it still is, `InvalidValueError` for a name that is taken.
        """
        session = self.session
        if session.active or session.store is None or session.results is None or session.form is None:
            raise WorkError("There is nothing to keep yet: run the lab, and keep when it has ended.")
        ran = {run.run_id for run in session.results}
        lanes = [
            (lane, [run for run, places in session.watch.places.items() if any(i == p[0] for p in places)])
            for i, lane in enumerate(session.form.lane_names())
        ]
        found = [(lane, [run for run in runs if run in ran]) for lane, runs in lanes]
        with self._lock:
            kept = self.kept.keep(name if name is not None else self.kept.free_name(), session.store, found)
        self._tell("overlays")
        return kept

    def lay_over(self, name: str, on: bool = True) -> None:
        """Show what was kept under a name over the present curves, or no longer. Raises `KitError`."""
        with self._lock:
            wanted = [other for other in self.laid_over if other != name] + ([name] if on else [])
            lanes: list[Overlay] = [lane for each in wanted for lane in self.kept.read(each)]
            self.over, self.over_runs = overlaid(lanes, self.session.metrics)
            self.laid_over = wanted
        self._tell("overlays")

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report of the last session. path: a file; None: `lab-report.html` here, or the next name
        that is free. Raises `WorkError` where nothing was trained yet."""
        if self.results is None or self.session.form is None:
            raise WorkError("There is nothing to report yet: run the lab first.")
        return self.results.report(path or free_file(REPORT, ".html"), study=self.session.form.study())

    def words(self) -> str:
        """The lab in words: what it trains, and what came of it so far, from the data."""
        said = still.curves_sentence(self.session)
        return " ".join(filter(None, [still.setting_sentence(self.session.form or self.form), said or self.sentence]))

    # --- how it is shown

    @property
    def widget(self) -> Any:
        """The widget itself. Raises `MissingPackageError` where anywidget is not installed."""
        return self.display.widget

    @property
    def display(self) -> Display:
        from kit.laboratory.display import Display

        with self._lock:
            if self._display is None:
                self._display = Display(self)
            return self._display

    def _ipython_display_(self) -> None:
        from kit.laboratory.display import show

        show(self)

    def __repr__(self) -> str:
        return f"<kit.lab: {self.words()}>"

    def _tell(self, what: What) -> None:
        for listener in self.listeners:
            listener(what)


def free_file(stem: str, ending: str) -> Path:
    """The first of `stem.ending`, `stem-2.ending`, … that is not there yet."""
    path, number = Path(f"{stem}{ending}"), 2
    while path.exists():
        path, number = Path(f"{stem}-{number}{ending}"), number + 1
    return path
