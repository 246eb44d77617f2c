"""One training session of the lab: idle → running ⇄ paused → (stopping) → idle, in a thread beside the kernel's.

Training is in worker processes; the thread only carries words to and fro. Each session has a store of its own in a
scratch folder, so that running again trains again, from the same start; what is kept is copied out of it.
"""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kit.conduct import conduct_resolved, executor_named
from kit.errors import InvalidValueError, KitError, WorkError
from kit.laboratory.form import Form
from kit.laboratory.stream import Metrics
from kit.laboratory.watch import Watch
from kit.outcome import STATUSES
from kit.resolve import Resolver
from kit.store import Store

if TYPE_CHECKING:
    from kit.registry import Registry
    from kit.results import Results

State = Literal["idle", "running", "paused", "stopping"]
STOP_SECONDS = 1.0  # what trains has answered by then
READY = "Ready."
PREPARING = "Preparing: the data are read and the workers started."
TRAINING = "Training."
STOPPED = "Stopped; everything so far is shown."


class Session:
    """`state` and `sentence` say where it stands; `changed` is called, from any thread, when they do so anew."""

    def __init__(self, registry: Registry, executor: str, changed: Callable[[], None]) -> None:
        self.registry, self.executor, self.changed = registry, executor, changed
        self.state: State = "idle"
        self.sentence = READY
        self.fault = ""  # why the last one could not be carried out
        self.form: Form | None = None  # as it was when the last one began
        self.metrics = Metrics()
        self.watch = Watch({}, 0, self.metrics)
        self.results: Results | None = None
        self.store: Store | None = None
        self.future: Future[Results] = Future()
        self.sessions = 0
        self._stop, self._pause = threading.Event(), threading.Event()
        self._lock = threading.RLock()
        self._scratch = Path(tempfile.mkdtemp(prefix="kit-lab-"))
        atexit.register(shutil.rmtree, self._scratch, ignore_errors=True)

    @property
    def active(self) -> bool:
        return self.state != "idle"

    def start(self, form: Form) -> Future[Results]:
        """Begin; the future gives the results, or the error that is also `fault`. Raises `InvalidValueError` while
        another one is active."""
        with self._lock:
            if self.active:
                raise InvalidValueError("The lab is training already; stop it first.")
            self._stop, self._pause = threading.Event(), threading.Event()
            self.form, self.future, self.results, self.fault = form, Future(), None, ""
            self.watch = Watch({}, len(form.lanes), self.metrics)
            self.sessions += 1
            self._set("running", PREPARING)
            threading.Thread(target=self._carry_out, args=(form, self.future), daemon=True, name="kit-lab").start()
            return self.future

    def pause(self) -> None:
        with self._lock:
            if self.state == "running":
                self._pause.set()
                self.watch.tally.rest(True)
                self._set("paused", "Paused; nothing trains until you resume.")

    def resume(self) -> None:
        with self._lock:
            if self.state == "paused":
                self._pause.clear()
                self.watch.tally.rest(False)
                self._set("running", TRAINING if self.watch.training else PREPARING)

    def stop(self) -> None:
        with self._lock:
            if self.state in ("running", "paused"):
                self._stop.set()
                self._set("stopping", "Stopping; everything so far is kept on the screen.")
                waited = threading.Timer(STOP_SECONDS, self._still_stopping, (self.future,))
                waited.daemon = True
                waited.start()

    def _still_stopping(self, future: Future[Results]) -> None:
        with self._lock:
            if self.state == "stopping" and self.future is future:
                self._set("stopping", "Stopping: a worker is at a step that takes long, and answers after it.")

    def forget_fault(self) -> None:
        """What stood in the way is being mended: say no more of it."""
        with self._lock:
            if self.fault and not self.active:
                self.fault = ""
                self._set("idle", READY)

    def heard(self) -> None:
        """Say that it trains, once the first point has come."""
        with self._lock:
            if self.state == "running" and self.sentence == PREPARING and self.watch.training:
                self._set("running", TRAINING)

    def _set(self, state: State, sentence: str) -> None:
        self.state, self.sentence = state, sentence
        self.changed()

    def _carry_out(self, form: Form, future: Future[Results]) -> None:
        try:
            results = self._train(form)
        except Exception as error:
            future.set_exception(self._failed(error))
            return
        with self._lock:
            self.watch.tally.close()
            self.results = results
            self._set("idle", STOPPED if self._stop.is_set() else ending(results))
        future.set_result(results)

    def _train(self, form: Form) -> Results:
        resolver, runner = Resolver(self.registry), executor_named(self.executor, self.registry)
        experiments = form.experiments()
        if prepare := getattr(runner, "prepare", None):  # an executor need not have it
            prepare(set(form.backends()))
        lanes = [[resolver.resolve(experiment) for experiment in lane] for lane in experiments]
        places: dict[str, list[tuple[int, int]]] = {}
        for lane, runs in enumerate(lanes):
            for replicate, run in enumerate(runs):
                places.setdefault(run.run_id, []).append((lane, replicate))
        flat = [run for runs in lanes for run in runs]
        watch = Watch(places, len(lanes), self.metrics)
        watch.expect({run.run_id: run.specification for run in flat})
        watch.tally.rest(self._pause.is_set())
        with self._lock:
            self.watch, self.store = watch, self._fresh_store()
        self.changed()
        return conduct_resolved(
            flat,
            self.store,
            registry=self.registry,
            runner=runner,
            progress=watch,
            axes=("optimizer", "replicate"),
            stop=self._stop,
            pause=self._pause,
        )

    def _fresh_store(self) -> Store:
        """An empty store that remembers which loops were fastest, so that running again gives the same bits."""
        place = Store(self._scratch / str(self.sessions))
        if self.store is not None and self.store.layout.strategies.is_dir():
            shutil.copytree(self.store.layout.strategies, place.layout.strategies)
        return place

    def _failed(self, error: Exception) -> KitError:
        """Say why nothing was trained; the error for whoever waits."""
        if isinstance(error, KitError):
            said = error
        else:  # a plugin's own fault: its place is for the log, the sentence for the lab
            logging.getLogger(__name__).info("A session of the lab failed.", exc_info=error)
            said = WorkError(f"This could not be carried out: {type(error).__name__}: {error}")
            said.__cause__ = error
        with self._lock:
            self.watch.tally.close()
            stopped = self._stop.is_set() and isinstance(error, WorkError)
            self.fault = "" if stopped else str(said)
            self._set("idle", "Stopped before any run began." if stopped else self.fault)
        return said


def ending(results: Results) -> str:
    """How it ended: `Done: 9 runs.`, `Ended: 6 done, 3 diverged.`"""
    from collections import Counter

    from kit.results.words import counted, plural

    counts = Counter(run.status for run in results)
    if set(counts) == {"done"}:
        return f"Done: {plural(len(results), 'run')} trained to the end."
    return f"Ended: {counted({status: counts[status] for status in STATUSES})}."
