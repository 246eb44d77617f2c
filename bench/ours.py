"""A run of ours that can be measured in slices: the very run loop, log and engine, in this process.

What a worker does is in it: points and checkpoints are written to a store, and every record is sent through a pipe to a
process that reads it, as a worker's parent does.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kit.conductor import Conductor
from kit.job import build, initial_state
from kit.progress import chosen_progress
from kit.recorder import Recorder
from kit.records import resolve
from kit.registry import Registry
from kit.resolve import Resolver
from kit.run import CHUNK_SECONDS, Loop
from kit.stacks import Start
from kit.store import Store

FIRST_CHUNK = 64  # steps
ENDLESS = 1_000_000_000  # steps: the budget is never spent in a benchmark


def listen(connection: Connection) -> None:
    """What a worker's parent does, but for keeping what it hears."""
    try:
        while True:
            connection.recv()
    except EOFError:
        pass


class Sliced(Loop):
    """The run loop, left and taken up again: it gives the trials no ending."""

    def finish(self, *_: Any) -> None:
        pass


class Ours:
    """Experiments that train as one stack. `run(seconds)` trains at least so long; (seconds, steps) that it took."""

    def __init__(self, experiments: list[Any], folder: Path, threads: int) -> None:
        registry, store = Registry.load(), Store(folder)
        resolved = [Resolver(registry).resolve(experiment) for experiment in experiments]
        for item in resolved:
            store.add(item.run_id, item.specification)
        conductor = Conductor(store, registry, chosen_progress(False))
        self.task = conductor.make([(item, Start()) for item in resolved], threads, {})
        self.engine = resolve(registry.find("backend", self.task.backend).engine)(threads=threads)
        job = build(self.task, registry)
        mine, other = multiprocessing.get_context("spawn").Pipe()
        self.parent = multiprocessing.get_context("spawn").Process(target=listen, args=(other,), daemon=True)
        self.parent.start()
        other.close()
        recorder = Recorder(job, self.engine, lambda run, record: mine.send(("record", (run, record))))
        recorder.start({"threads": threads})
        self.program = self.engine.compile(
            job.problem, job.optimizer, job.stack, device=job.device, dtype=job.dtype, steps=self.task.steps or ENDLESS
        )
        self.deadline = 0.0
        self.loop = Sliced(job, recorder, lambda: time.perf_counter() >= self.deadline, lambda: False)
        self.loop.per_step = CHUNK_SECONDS / FIRST_CHUNK  # else the first chunk would be the whole endless budget
        self.program.load(initial_state(job, self.engine))

    def run(self, seconds: float) -> tuple[float, int]:
        step, began = self.loop.step, time.perf_counter()
        self.deadline = began + seconds
        self.loop.train(self.program)
        return time.perf_counter() - began, self.loop.step - step

    @property
    def log(self) -> Path:
        """Of the first trial."""
        return Path(self.task.trials[0].folder) / "log.jsonl"

    def losses(self) -> Any:
        """The batch losses so far of the first trial, as its log has them."""
        from kit.store import read_log

        self.loop.recorder.flush()
        records = read_log(self.log)
        return [float(v) for record in records if record["kind"] == "points" for v in record["metrics"]["batch_loss"]]
