"""What a stack leaves behind while it trains: for each trial a log, checkpoints and an ending, and word to whoever
watches.

The stack's training time is shared out evenly: each of N trials is charged an Nth of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.engine import State
from kit.errors import StoreError
from kit.memory import peak_memory_bytes
from kit.store import AttemptLog, Checkpoint, read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from kit.engine import Engine, Program
    from kit.job import Job

FLUSH_SECONDS = 0.1  # points are written, and so acknowledged, at least this often
CHECKPOINT_SECONDS = 10.0  # at least this long between checkpoints, …
CHECKPOINT_SHARE = 0.01  # … and at most this share of the time spent on them
# What the first is taken to cost, before one was written: parameters, their averages and two slots, to a slow disk.
GUESSED_COPIES, GUESSED_BYTES_PER_SECOND = 4, 2e8

Snapshot = tuple[State, dict[str, Any], dict[str, Any]]
Report = Callable[[str, dict[str, Any]], None]


class Recorder:
    """Writes for every trial of a stack. `ended[n]` is True once trial n has its ending."""

    def __init__(self, job: Job, engine: Engine, report: Report) -> None:
        self.job, self.engine, self.report = job, engine, report
        self.trials = job.task.trials
        self.logs = [AttemptLog(Path(trial.folder)) for trial in self.trials]
        self.ended = [False] * len(self.trials)
        self.pending: list[tuple[int, Any, Any, float, float]] = []
        self.flushed = self.checkpointed = time.monotonic()
        self.checkpoint_cost = 0.0
        self.compile_seconds = 0.0
        self.strategy = ""
        self.unsaved = ""  # why the run cannot be continued, in a sentence

    def expect(self, start: State) -> None:
        """Where the stack starts: its size tells what the first checkpoint will cost."""
        stored = sum(value.nbytes for value in start.parameters.values())
        self.checkpoint_cost = GUESSED_COPIES * stored / GUESSED_BYTES_PER_SECOND

    def write(self, n: int, record: dict[str, Any]) -> None:
        self.logs[n].append(record)
        self.report(self.trials[n].run_id, record)

    def start(self, facts: dict[str, Any]) -> None:
        for n, trial in enumerate(self.trials):
            opening = {"attempt": trial.attempt, "from_step": trial.from_step, "time": time.time()}
            self.write(n, {"kind": "start", **opening, "stack": len(self.trials), **facts})

    def note_strategy(self, program: Program) -> None:
        """Once, when the program has chosen: which loop, and what the candidates took."""
        self.compile_seconds = program.compile_seconds
        if program.strategy and program.strategy != self.strategy:
            self.strategy = program.strategy
            for n in range(len(self.trials)):
                self.write(n, {"kind": "strategy", "name": self.strategy, "timings": dict(program.timings)})

    def points(self, step: int, losses: Any, gradients: Any, before: float, after: float) -> None:
        """losses: (K, N), of the steps after `step`; gradients: (K, N), those of a batch taken by then since the start;
        before, after: the stack's training seconds at both ends."""
        self.pending.append((step, losses, gradients, before, after))
        if time.monotonic() - self.flushed >= FLUSH_SECONDS:
            self.flush()

    def points_of(self, n: int, step: int, losses: Any, gradients: Any, before: float, after: float) -> None:
        """One trial's points, written at once. losses, gradients: (K,), of the steps after `step`."""
        seconds = [before / len(self.trials), after / len(self.trials)]
        record = {"kind": "points", "first": step + 1, "metrics": {"batch_loss": losses}, "seconds": seconds}
        self.write(n, record | counted(step + 1 + np.arange(len(losses)), gradients))

    def flush(self) -> None:
        """Write what is pending: one record per trial."""
        if self.pending:
            step, *_, before, _ = self.pending[0]
            losses, gradients = (np.concatenate([item[i] for item in self.pending]) for i in (1, 2))
            after = self.pending[-1][4]
            self.pending = []
            for n, ended in enumerate(self.ended):
                if not ended:
                    self.points_of(n, step, losses[:, n], gradients[:, n], before, after)
        self.flushed = time.monotonic()

    def evaluation(self, step: int, gradients: Any, seconds: float, metrics: dict[str, Any], alive: Any) -> None:
        """metrics: name -> (N,); gradients: (N,), those of a batch taken so far."""
        self.flush()
        for n in np.flatnonzero(alive).tolist():
            record = {
                "kind": "evaluation",
                "step": step,
                "seconds": seconds / len(self.trials),
                "metrics": {name: float(value[n]) for name, value in metrics.items()},
            }
            self.write(n, record | counted(step, int(gradients[n])))

    def checkpoint_if_due(self, step: int, take: Callable[[], Snapshot]) -> None:
        now = time.monotonic()
        if now - self.checkpointed < max(CHECKPOINT_SECONDS, self.checkpoint_cost / CHECKPOINT_SHARE):
            return
        self.flush()
        snapshot = take()
        self.note_unsaved(snapshot[0])
        for n, ended in enumerate(self.ended):
            if not ended and not self.unsaved:  # there would be nothing to continue from
                self.checkpoint(n, step, snapshot)
        self.checkpointed = time.monotonic()
        self.checkpoint_cost = self.checkpointed - now

    def note_unsaved(self, state: State) -> None:
        """Once, when it is known that the run cannot be continued: whoever takes it up will start anew."""
        if state.unsaved and not self.unsaved:
            self.unsaved = state.unsaved
            for n, ended in enumerate(self.ended):
                if not ended:
                    self.write(n, {"kind": "unsaved", "reason": state.unsaved})

    def checkpoint(self, n: int, step: int, snapshot: Snapshot) -> None:
        state, evaluated, extra = snapshot
        arrays = {f"parameters/{name}": value[n] for name, value in state.parameters.items()}
        arrays |= {f"slots/{slot}/{name}": v[n] for slot, values in state.slots.items() for name, v in values.items()}
        arrays |= {f"buffers/{name}": value[n] for name, value in state.buffers.items()}
        arrays |= {f"evaluated/{name}": value[n] for name, value in evaluated.items()}
        own = {
            "seconds": extra["seconds"] / len(self.trials),
            "carry": {name: float(value[n]) for name, value in extra["carry"].items()},
            "first_loss": None if extra["first_loss"] is None else float(extra["first_loss"][n]),
            "strategy": self.strategy,
            "gradients": int(extra["gradients"][n]),
        }
        file = write_checkpoint(Path(self.trials[n].folder), step, arrays, own)
        self.write(n, {"kind": "checkpoint", "step": step, "file": str(file)})

    def end(
        self, n: int, status: str, reason: str, step: int, gradients: int, seconds: float, snapshot: Snapshot | None
    ) -> None:
        """A trial's last record. A diverged trial has no checkpoint: there is nothing to continue from.

        gradients: those of a batch taken in all.
        """
        if self.ended[n]:
            return
        self.flush()
        if snapshot is not None:
            self.note_unsaved(snapshot[0])
            self.checkpoint(n, step, snapshot)
            if self.unsaved and status != "done":
                reason = f"{reason} {self.unsaved} Run again, it starts from the beginning."
        self.ended[n] = True
        batch = int(self.job.first["batch_size"])
        device_peak = self.engine.peak_memory_bytes(self.job.device)
        cost = {
            "steps": step,
            "samples": step * batch,
            "gradient_evaluations": gradients * batch,
            "seconds": seconds / len(self.trials),
            "compile_seconds": self.compile_seconds / len(self.trials),
            "peak_memory_bytes": device_peak or peak_memory_bytes(),
        }
        self.write(n, {"kind": "end", "status": status, "reason": reason, "cost": cost})
        self.logs[n].close()

    def close(self) -> None:
        for log in self.logs:
            log.close()


def counted(steps: Any, gradients: Any) -> dict[str, Any]:
    """What a record says of the gradients taken so far: nothing where it was one each step."""
    return {} if np.array_equal(steps, gradients) else {"gradients": gradients}


def resumed(job: Job) -> tuple[State, dict[str, Any], str] | None:
    """What the trials' checkpoints hold, stacked: state, extra (name -> (N,) or scalar), strategy; None for a fresh
    start."""
    folders = [trial.resume_folder for trial in job.task.trials]
    if any(folder is None for folder in folders):
        return None
    checkpoints: list[Checkpoint] = []
    for folder in folders:
        checkpoint = read_checkpoint(Path(str(folder)))
        if checkpoint is None:
            raise StoreError(f"The checkpoint in {folder}, from which the run was to continue, is gone.")
        checkpoints.append(checkpoint)
    state = State(parameters={})
    for key in checkpoints[0].arrays:
        part, _, name = key.partition("/")
        stacked = np.stack([checkpoint.arrays[key] for checkpoint in checkpoints])
        if part == "parameters":
            state.parameters[name] = stacked
        elif part == "buffers":
            state.buffers[name] = stacked
        elif part == "slots":
            slot, _, parameter = name.partition("/")
            state.slots.setdefault(slot, {})[parameter] = stacked
    extras = [checkpoint.extra for checkpoint in checkpoints]
    extra = {
        "seconds": sum(e["seconds"] for e in extras),
        "carry": {name: np.array([e["carry"][name] for e in extras]) for name in extras[0]["carry"]},
        "first_loss": None if extras[0]["first_loss"] is None else np.array([e["first_loss"] for e in extras]),
        "gradients": np.array([e.get("gradients", c.step) for e, c in zip(extras, checkpoints, strict=True)]),
    }
    return state, extra, str(extras[0]["strategy"])
