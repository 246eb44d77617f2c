"""Carrying out a study: resolve, skip what is done, group into stacks, run them, keep everything, give the results."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.conductor import Conductor
from kit.errors import KitError, WorkError
from kit.executors import Executor
from kit.progress import Progress, chosen_progress
from kit.records import resolve
from kit.registry import Registry
from kit.resolve import Resolved, Resolver
from kit.stacks import CONTINUED
from kit.store import Store

if TYPE_CHECKING:
    from kit.results import Results
    from kit.study import Study

DEFAULT_STORE = "runs"
ENDED = ("done", "diverged")  # what would come out the same if it were run again
GRACE_SECONDS = 2.0


def store_at(path: str | Path | None) -> Store:
    """The store of a folder; None: the environment's KIT_STORE, or `runs` here."""
    return Store(path or os.environ.get("KIT_STORE") or DEFAULT_STORE)


def conduct(
    study: Study,
    *,
    store: str | Path | None,
    executor: str,
    progress: bool | Progress,
    registry: Registry | None,
    retry_failed: bool,
) -> Results:
    """See `Study.run`."""
    registry = registry or Registry.load()
    resolver, place, runner = Resolver(registry), store_at(store), executor_named(executor, registry)
    prepare = getattr(runner, "prepare", None)  # an executor need not have it
    if prepare and len(place) < len(study):  # else nothing may be left to train
        with contextlib.suppress(KitError):  # said when the experiment is resolved
            prepare({resolver.backend(experiment) for experiment in study.experiments})
    return conduct_resolved(
        [resolver.resolve(experiment) for experiment in study.experiments],
        place,
        registry=registry,
        runner=runner,
        progress=progress,
        axes=list(study.axes),
        stop=study.stop_event,
        pause=study.pause_event,
        retry_failed=retry_failed,
    )


def executor_named(name: str, registry: Registry) -> Executor:
    """Raises `UnknownNameError` for one that is not installed."""
    made: Executor = resolve(registry.find("executor", name).build)(registry)
    return made


def conduct_resolved(
    resolved: list[Resolved],
    place: Store,
    *,
    registry: Registry,
    runner: Executor,
    progress: bool | Progress,
    axes: Sequence[str] = (),
    stop: threading.Event | None = None,
    pause: threading.Event | None = None,
    notes: Sequence[str] = (),
    retry_failed: bool = False,
) -> Results:
    """Carry out what the store does not hold as ended; the results of all, in the order given, each run once.

    stop: set by whoever wants it to end; what trains answers within a second. pause: set while it shall wait.
    notes: sentences for the results.
    """
    from kit.results import Results

    unique = {item.run_id: item for item in resolved}
    for item in unique.values():
        place.add(item.run_id, item.specification)
    statuses = place.statuses(unique)
    kept = ENDED if retry_failed else (*ENDED, "failed")
    missing = [item for run_id, item in unique.items() if statuses[run_id] not in kept]
    watcher = chosen_progress(progress)
    watcher.begin([(item.run_id, item.specification) for item in missing], found=len(unique) - len(missing))
    stop = stop or threading.Event()
    conductor = Conductor(place, registry, watcher, stop, pause)
    try:
        with interruptible(stop, watcher):
            carry_out(missing, runner, conductor)
    finally:
        conductor.settle()
        watcher.close()
    found = place.statuses(unique)
    begun = [run_id for run_id, status in found.items() if status not in (None, "running")]
    remarks = [*notes, *conductor.refusals]
    if stop.is_set() and len(begun) < len(unique):
        remarks.append(f"Stopped before {len(unique) - len(begun)} of {len(unique)} runs began.")
    if "failed" in kept and (failed := list(statuses.values()).count("failed")):
        runs = "1 run had failed before and was" if failed == 1 else f"{failed} runs had failed before and were"
        remarks.append(f"{runs} not tried again; retry_failed=True (--retry-failed) does.")
    if remarks and not begun:
        raise WorkError(remarks[0])
    return Results(place.outcomes(begun), axes=list(axes), store=place, notes=remarks)


def carry_out(items: list[Resolved], runner: Executor, conductor: Conductor) -> None:
    """Run what nobody trains, and again what a fault of another in its stack has stopped. What another process trains
    in the same store is waited for, and taken up if it dies."""
    place, stop = conductor.place, conductor.stop
    theirs = _running(items, place)
    until = time.monotonic() + GRACE_SECONDS
    while theirs and time.monotonic() < until:  # the workers of a caller that has just been killed are on their way out
        stop.wait(GRACE_SECONDS / 40)
        theirs = _running(theirs, place)
    mine = [item for item in items if item not in theirs]
    if theirs:
        conductor.watcher.note(f"{len(theirs)} of the runs are being trained by another process; they are waited for.")
    while mine or theirs:
        if mine:
            runner.run(conductor.pending(mine), conductor, stop.is_set)
        if stop.is_set():
            return
        statuses = place.statuses(item.run_id for item in theirs)
        mine = conductor.apart() + [item for item in theirs if statuses[item.run_id] in CONTINUED]
        theirs = [item for item in theirs if statuses[item.run_id] == "running"]
        if theirs and not mine:
            stop.wait(GRACE_SECONDS)


def _running(items: Iterable[Resolved], place: Store) -> list[Resolved]:
    return [item for item in items if place.status(item.run_id) == "running"]


@contextmanager
def interruptible(stop: threading.Event, watcher: Progress) -> Iterator[None]:
    """Ctrl-C once: stop cleanly. Twice: give up at once. Only the main thread can hear it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def answer(signum: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        watcher.note("Stopping; everything so far is kept. Ctrl-C again gives up at once.")

    previous = signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
