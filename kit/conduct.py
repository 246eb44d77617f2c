"""Carrying out a study: resolve, skip what is done, group into stacks, run them, keep everything, give the results."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import KitError, StoreError, WorkError
from kit.executors import Executor, Pending
from kit.progress import Progress, chosen_progress
from kit.records import resolve
from kit.registry import Registry
from kit.resolve import Resolved, Resolver
from kit.store import AttemptLog, Store, read_checkpoint
from kit.task import StackTask, TrialTask, program_key, stack_key

if TYPE_CHECKING:
    from kit.results import Results
    from kit.study import Study

STACK_LIMIT = 128  # trials in one program
DEFAULT_STORE = "runs"
CONTINUED = ("lost", "stopped")  # what is taken up again from its checkpoint; a failed run starts anew


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
) -> Results:
    """See `Study.run`."""
    registry = registry or Registry.load()
    resolver = Resolver(registry)
    return conduct_resolved(
        [resolver.resolve(experiment) for experiment in study.experiments],
        store_at(store),
        registry=registry,
        executor=executor,
        progress=progress,
        axes=list(study.axes),
        stop=study.stop_event,
        pause=study.pause_event,
    )


def conduct_resolved(
    resolved: list[Resolved],
    place: Store,
    *,
    registry: Registry,
    executor: str,
    progress: bool | Progress,
    axes: Sequence[str] = (),
    stop: threading.Event | None = None,
    pause: threading.Event | None = None,
    notes: Sequence[str] = (),
) -> Results:
    """Carry out what the store does not hold as done; the results of all, in the order given, each run once.

    stop: set by whoever wants it to end; what trains answers within a second. pause: set while it shall wait.
    notes: sentences for the results.
    """
    from kit.results import Results

    record = registry.find("executor", executor)
    stop = stop or threading.Event()
    unique = {item.run_id: item for item in resolved}
    for item in unique.values():
        place.add(item.run_id, item.specification)
    missing = [item for item in unique.values() if place.status(item.run_id) != "done"]
    watcher = chosen_progress(progress)
    watcher.begin([(item.run_id, item.specification) for item in missing], found=len(unique) - len(missing))
    conductor = Conductor(place, registry, watcher, pause or threading.Event())
    pending = [conductor.pending(group) for group in stacks(missing, registry, place)]
    runner: Executor = resolve(record.build)(registry)
    try:
        with interruptible(stop, watcher):
            runner.run(pending, conductor, stop.is_set)
    finally:
        conductor.settle()
        watcher.close()
    begun = [run for run in unique if place.status(run) is not None]
    if stop.is_set() and len(begun) < len(unique):
        conductor.refusals.append(f"Stopped before {len(unique) - len(begun)} of {len(unique)} runs began.")
    if conductor.refusals and not begun:
        raise WorkError(conductor.refusals[0])
    return Results(place.outcomes(begun), axes=list(axes), store=place, notes=[*notes, *conductor.refusals])


def stacks(missing: list[Resolved], registry: Registry, place: Store) -> list[list[tuple[Resolved, Start]]]:
    """Groups that can train as one program. A budget in seconds is each run's own, so such a run trains alone."""
    groups: dict[str, list[tuple[Resolved, Start]]] = {}
    for item in missing:
        start = start_of(item, place)
        key = stack_key(item.specification, varying(item.specification, registry))
        key += f"|{start.step}|{start.strategy}"
        if "seconds" in item.specification["budget"]:
            key += item.run_id
        groups.setdefault(key, []).append((item, start))
    return [group[i : i + STACK_LIMIT] for group in groups.values() for i in range(0, len(group), STACK_LIMIT)]


def varying(specification: dict[str, Any], registry: Registry) -> set[str]:
    """The optimizer's options that members of a stack may have each their own."""
    optimizer = specification["optimizer"]
    if optimizer["kind"] == "native":
        return {name for name, value in optimizer["options"].items() if isinstance(value, float)}
    record = registry.find("optimizer", optimizer["name"], specification["backend"])
    return {h.name for h in record.hyperparameters if not h.structural}


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: at step 0, or at a checkpoint of an earlier one."""

    folder: str | None = None
    step: int = 0
    strategy: str = ""


def start_of(item: Resolved, place: Store) -> Start:
    if place.status(item.run_id) not in CONTINUED:
        return Start()
    folder = place.latest_attempt(item.run_id)
    checkpoint = None if folder is None else read_checkpoint(folder)
    if checkpoint is None:
        return Start()
    return Start(str(folder), checkpoint.step, str(checkpoint.extra.get("strategy", "")))


class Conductor:
    """Hears what an executor says, and keeps store and progress in step. See `kit.executors.Listener`."""

    def __init__(self, place: Store, registry: Registry, watcher: Progress, pause: threading.Event) -> None:
        self.place, self.registry, self.watcher, self.pause = place, registry, watcher, pause
        self.programs: dict[str, str] = {}  # run_id -> key of its program, for the strategy to remember
        self.open: dict[str, TrialTask] = {}  # begun, not yet settled
        self.refusals: list[str] = []

    def pending(self, group: list[tuple[Resolved, Start]]) -> Pending:
        first = group[0][0].specification
        weight = len(group) * float(first["budget"].get("steps") or 1e4) * first["batch_size"] ** 0.5
        return Pending(
            backend=first["backend"],
            weight=weight,
            make=lambda threads, facts: self.make(group, threads, facts),
        )

    def make(self, group: list[tuple[Resolved, Start]], threads: int, facts: dict[str, Any]) -> StackTask:
        """Claim an attempt of every run and give the task."""
        import cloudpickle

        trials = []
        for item, start in group:
            attempt = self.place.begin(item.run_id)
            trial = TrialTask(
                run_id=item.run_id,
                specification=item.specification,
                folder=str(Path(attempt.folder).absolute()),
                attempt=attempt.number,
                resume_folder=start.folder and str(Path(start.folder).absolute()),
                from_step=start.step,
            )
            self.open[item.run_id] = trial
            trials.append(trial)
        things = {role: thing for role, thing in group[0][0].things.items() if role != "initial"}
        starts = {item.run_id: item.things["initial"] for item, _ in group if "initial" in item.things}
        if starts:
            things["initial"] = starts
        task = StackTask(trials=tuple(trials), things=cloudpickle.dumps(things) if things else b"", threads=threads)
        machine = {name: value for name, value in facts.items() if name != "pid"}
        key = program_key(task, varying(trials[0].specification, self.registry), machine)
        self.programs.update({trial.run_id: key for trial in trials})
        return StackTask(trials=task.trials, things=task.things, threads=threads, strategy=self.place.strategy(key))

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        if record["kind"] == "strategy":
            try:
                self.place.remember_strategy(self.programs[run_id], record["name"])
            except StoreError as error:  # the run goes on; only a rerun will have to choose anew
                self.watcher.note(str(error))
        self.watcher.record(run_id, record)
        if record["kind"] == "end":
            self.close(run_id)
            if self.place.status(run_id) != record["status"]:
                self.refusals.append(f"Run {run_id}: {record['reason']} Its ending could not be written.")

    def finished(self, task: StackTask) -> None:
        for trial in task.trials:
            self.close(trial.run_id)

    def lost(self, task: StackTask, sentence: str) -> None:
        """Give every trial that has no ending the ending `lost`; the worker, the log's one writer, is gone."""
        for trial in task.trials:
            if trial.run_id in self.open:
                record = {
                    "kind": "end",
                    "status": "lost",
                    "reason": sentence + " Run it again to continue.",
                    "cost": {},
                }
                try:
                    log = AttemptLog(Path(trial.folder))
                    log.append(record)
                    log.close()
                except KitError:
                    pass  # a store that cannot be written: without an ending the run counts as lost all the same
                self.watcher.record(trial.run_id, record)
                self.close(trial.run_id)

    def refused(self, pending: Pending, sentence: str) -> None:
        self.refusals.append(sentence)
        self.watcher.note(sentence)

    def pausing(self) -> bool:
        return self.pause.is_set()

    def close(self, run_id: str) -> None:
        """Into the index; once."""
        trial = self.open.pop(run_id, None)
        if trial is not None:
            self.place.finish(run_id, trial.attempt)

    def settle(self) -> None:
        """After an error of the executor: whatever was begun is indexed as its log has it."""
        for run_id in list(self.open):
            self.close(run_id)


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
