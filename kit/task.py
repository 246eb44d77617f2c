"""What travels to a worker: a stack of attempts, as resolved specifications and folders, and nothing that runs by
itself.

The user's own objects (a module class, a loss function, arrays) travel beside it, pickled by value with
cloudpickle, and
only between one's own processes: a store never holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kit.choice import canonical

# What may differ between the members of one stack, besides the optimizer's float hyperparameters.
PER_TRIAL = ("replicate", "schedule", "initial")


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """One attempt of one run."""

    run_id: str
    specification: dict[str, Any]
    folder: str  # of this attempt; exists, and is this worker's alone
    attempt: int = 1
    resume_folder: str | None = None  # of the attempt whose checkpoint to continue from
    from_step: int = 0


@dataclass(frozen=True, kw_only=True)
class StackTask:
    """Attempts that train as one program."""

    trials: tuple[TrialTask, ...]
    things: bytes  # cloudpickle of {role: object}; roles model, loss, optimizer, dataset, and initial by run_id
    strategy: str | None = None  # remembered from an earlier run of the same program
    threads: int = 1

    @property
    def backend(self) -> str:
        return str(self.trials[0].specification["backend"])

    @property
    def steps(self) -> int | None:
        """The budget in steps; None when it is in seconds."""
        steps = self.trials[0].specification["budget"].get("steps")
        return None if steps is None else int(steps)


def stack_key(specification: dict[str, Any], varying: set[str]) -> str:
    """Equal for specifications that can train as one stack. `varying`: the optimizer's float hyperparameters."""
    shared = {name: value for name, value in specification.items() if name not in PER_TRIAL}
    optimizer = dict(shared["optimizer"])
    optimizer["options"] = {k: v for k, v in optimizer["options"].items() if k not in varying}
    shared["optimizer"] = optimizer
    return canonical(shared)


def program_key(task: StackTask, varying: set[str], facts: dict[str, Any]) -> str:
    """What a remembered strategy belongs to: the program, its size, and where it runs."""
    replicates = len({t.specification["replicate"] for t in task.trials})
    shared = stack_key(task.trials[0].specification, varying)
    return canonical([shared, len(task.trials), replicates, task.threads, facts])
