"""Hears what an executor says, and keeps the store and whoever watches in step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kit.errors import KitError, StoreError
from kit.executors import Pending
from kit.progress import Progress
from kit.registry import Registry
from kit.resolve import Resolved
from kit.stacks import Group, stacks, varying
from kit.store import AttemptLog, Store
from kit.task import StackTask, TrialTask, program_key

RETRIES = 3  # how often a run whose worker vanished is taken up again within a study
STOPPED_FIRST = "Stopped on request before its first step."
STOPPED_AGAIN = "Stopped on request; everything so far is kept."
COMPANY = 1  # … and up to which of them beside others: one of a stack's trials may be what kills the worker


class Conductor:
    """See `kit.executors.Listener`. `refusals`: sentences about what did not come to be."""

    def __init__(
        self,
        place: Store,
        registry: Registry,
        watcher: Progress,
        stop: threading.Event | None = None,
        pause: threading.Event | None = None,
    ) -> None:
        self.place, self.registry, self.watcher = place, registry, watcher
        self.stop, self.pause = stop or threading.Event(), pause or threading.Event()
        self.items: dict[str, Resolved] = {}
        self.programs: dict[str, str] = {}  # run_id -> key of its program, for the strategy to remember
        self.open: dict[str, TrialTask] = {}  # begun, not yet settled
        self.losses: Counter[str] = Counter()  # run_id -> how many of its workers have vanished
        self.company: dict[str, str] = {}  # run_id -> with whom it may train: those of the same word
        self.broken: list[str] = []  # runs of stacks that a fault has broken up, to be run again
        self.refusals: list[str] = []

    def pending(self, items: Iterable[Resolved]) -> list[Pending]:
        """Runs as stacks that an executor can take."""
        items = list(items)
        self.items |= {item.run_id: item for item in items}
        alone = {run_id: run_id for run_id, losses in self.losses.items() if losses > COMPANY}
        return [self._pending(group) for group in stacks(items, self.registry, self.place, self.company | alone)]

    def _pending(self, group: Group) -> Pending:
        first = group[0][0].specification
        weight = len(group) * float(first["budget"].get("steps") or 1e4) * first["batch_size"] ** 0.5
        return Pending(
            backend=first["backend"],
            weight=weight,
            make=lambda threads, facts: self.make(group, threads, facts),
            devices=int(first.get("devices", 1)),
        )

    def make(self, group: Group, threads: int, facts: dict[str, Any]) -> StackTask:
        """Claim an attempt of every run and give the task. Raises `StoreError`."""
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
            if start.anew:
                self.refusals.append(f"Run {item.run_id} starts anew. {start.anew}")
        things = {role: thing for role, thing in group[0][0].things.items() if role != "initial"}
        starts = {item.run_id: item.things["initial"] for item, _ in group if "initial" in item.things}
        if starts:
            things["initial"] = starts
        task = StackTask(trials=tuple(trials), things=cloudpickle.dumps(things) if things else b"", threads=threads)
        machine = {name: value for name, value in facts.items() if name != "pid"}
        key = program_key(task, varying(trials[0].specification, self.registry), machine)
        self.programs.update({trial.run_id: key for trial in trials})
        strategy = group[0][1].strategy or self.place.strategy(key)
        return StackTask(trials=task.trials, things=task.things, threads=threads, strategy=strategy)

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        if record["kind"] == "strategy":
            try:
                self.place.remember_strategy(self.programs[run_id], record["name"])
            except StoreError as error:  # the run goes on; only a rerun will have to choose anew
                self.watcher.note(str(error))
        if record.get("apart") and not self.stop.is_set():
            self.broken.append(run_id)
        else:
            self.watcher.record(run_id, record)
        if record["kind"] == "end":
            self.close(run_id)
            if self.place.summary(run_id).reason != record["reason"]:
                self.refusals.append(f"Run {run_id}: {record['reason']} Its ending could not be written.")

    def finished(self, task: StackTask) -> None:
        for trial in task.trials:
            self.close(trial.run_id)
        self._halve([trial.run_id for trial in task.trials if trial.run_id in self.broken])

    def _halve(self, runs: list[str]) -> None:
        """Part the company of runs one of which may have raised what failed them all: halves find it in few steps, and
        the rest goes on as stacks."""
        middle = -(-len(runs) // 2)
        for half in filter(None, (runs[:middle], runs[middle:])):
            self.company |= dict.fromkeys(half, f"{half[0]} and company")
        if runs:
            whose = f"{len(runs)} runs are" if len(runs) > 1 else f"Run {runs[0]} is"
            self.watcher.note(f"{self.place.summary(runs[0]).reason} {whose} tried in smaller company.")

    def apart(self) -> list[Resolved]:
        """The runs of stacks that were broken up since this was asked last."""
        runs, self.broken = self.broken, []
        return [self.items[run_id] for run_id in runs]

    def lost(self, task: StackTask, sentence: str) -> list[Pending]:
        """End every trial that has no ending as `lost`; those that may be taken up again are given back."""
        again = []
        for trial in task.trials:
            if trial.run_id not in self.open:
                continue
            self.losses[trial.run_id] += 1
            if self.losses[trial.run_id] <= RETRIES and not self.stop.is_set():
                again.append(self.items[trial.run_id])
                self._end(trial, "lost", sentence)
            else:
                self.watcher.record(trial.run_id, self._end(trial, "lost", f"{sentence} Run it again to continue."))
        if again:
            whose = f"{len(again)} of its runs are" if len(again) > 1 else f"Run {again[0].run_id} is"
            self.watcher.note(f"{sentence} {whose} taken up again.")
        return self.pending(again)

    def stopped(self, task: StackTask) -> None:
        """End every trial as `stopped`: none has trained in this attempt, so nothing is lost with its worker."""
        for trial in task.trials:
            if trial.run_id in self.open:
                reason = STOPPED_AGAIN if trial.from_step else STOPPED_FIRST
                self.watcher.record(trial.run_id, self._end(trial, "stopped", reason))

    def _end(self, trial: TrialTask, status: str, reason: str) -> dict[str, Any]:
        """The ending of a trial whose worker, the log's one writer, is gone."""
        record = {"kind": "end", "status": status, "reason": reason, "cost": {}}
        try:
            log = AttemptLog(Path(trial.folder))
            log.append(record)
            log.close()
        except KitError:
            pass  # a store that cannot be written: without an ending the run counts as lost
        self.close(trial.run_id)
        return record

    def refused(self, pending: Pending, sentence: str) -> None:
        if sentence not in self.refusals:
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
