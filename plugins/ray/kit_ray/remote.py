"""What runs in Ray's worker processes. A process serves one backend for its life: its environment names it."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit.engine import Engine
    from kit.ranks import Ranks
    from kit.records import Parallel
    from kit.registry import Registry
    from kit.task import StackTask

STOP, PAUSE = "asked-to-stop", "asked-to-pause"  # files beside a task's first log: the word of whoever watches


def facts(backend: str, threads: int, path: list[str]) -> dict[str, Any]:
    """The versions of what computes here, on which a remembered strategy depends."""
    from kit.run import versions

    return {"versions": versions(engine(backend, threads, tuple(path))[0])}


def train(task: StackTask, path: list[str]) -> None:
    """Train a stack to its end. Whoever watches reads its logs, and asks by files: the store is what both can reach."""
    from kit.errors import DeviceLostError
    from kit.run import carry_out

    mine, registry = engine(task.backend, task.threads, tuple(path))
    folder = Path(task.trials[0].folder)
    try:
        asked = [(folder / word).exists for word in (STOP, PAUSE)]
        carry_out(task, mine, registry, lambda run_id, record: None, *asked, launch=launch)
    except DeviceLostError as error:
        if "parallel" in task.trials[0].specification:  # the device was a rank's: this process is sound
            raise
        print(error, file=sys.stderr, flush=True)
        os._exit(1)  # Ray would give this process its next task


def launch(task: StackTask, way: Parallel, devices: int) -> Ranks:
    """See `kit.ranks.Launch`. Ray Train is imported only where a run is divided."""
    from kit_ray.train import TrainRanks

    return TrainRanks(task, way, devices)


@cache
def engine(backend: str, threads: int, path: tuple[str, ...]) -> tuple[Engine, Registry]:
    """Made once per process, which keeps what it compiled."""
    sys.path[:] = list(dict.fromkeys([*path, *sys.path]))
    from kit.records import resolve
    from kit.registry import Registry

    registry = Registry.load()
    return resolve(registry.find("backend", backend).engine)(threads=threads), registry


def environment(backend: str, threads: int) -> dict[str, str]:
    """The variables of a process of this backend. Ray gives a task only to a process with the very same ones, so that
    two frameworks never meet in one."""
    from kit.child import environment as of_worker

    given = of_worker(threads)
    chosen = {name: value for name, value in given.items() if name.startswith("KIT_") or value != os.environ.get(name)}
    # Ray Train would change the folder, look at its processes every two seconds, and give up on slow starts.
    train = {
        "CHDIR_TO_TRIAL_DIR": "0",
        "TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
        "TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    }
    return {**chosen, **{f"RAY_{name}": value for name, value in train.items()}, "KIT_RAY_BACKEND": backend}
