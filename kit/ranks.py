"""One run over several devices, as the worker sees it that conducts it.

The worker trains nothing itself: it reads the store's task, draws batches, writes the log, and has every process that
trains (a *rank*) do the same call at the same time; what they exchange among themselves is the framework's own affair.
A rank writes into no store. When one is gone the others are ended, and so is the attempt: the run is `lost`, and taken
up again from its checkpoint. When the worker is gone, so are they.

Where ranks are started is the executor's affair: on this machine (`kit.crew`), or wherever its `Launch` starts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from kit.engine import DeviceReport, Engine, Split, State
from kit.errors import DeviceLostError
from kit.parallel import way_of

if TYPE_CHECKING:
    from kit.records import Parallel
    from kit.registry import Registry
    from kit.task import StackTask


class Ranks(Protocol):
    """The processes that train a run together. Each does what `kit.rank.Member` does with the words.

    Raises `DeviceLostError` when one is gone, `WorkError` with what one of them says it cannot do; both end all.
    """

    def ask(self, word: str, *content: Any) -> Any:
        """The first rank's answer, once all have answered."""

    def ask_each(self, word: str, *content: Any) -> list[Any]:
        """Every rank's answer."""

    def close(self) -> None:
        """End them. They hold nothing that is not in the store."""


# Starts as many ranks as a way to train needs for so many devices.
Launch = Callable[["StackTask", "Parallel", int], Ranks]


def engine_for(task: StackTask, engine: Engine, registry: Registry, launch: Launch) -> Engine:
    """The engine that trains a task: a worker's own, or, where several devices are to share it, their conductor."""
    specification = task.trials[0].specification
    way = way_of(specification, registry.find("backend", task.backend))
    return engine if way is None else Conducted(engine, task, way, int(specification["devices"]), launch)


class Conducted:
    """An engine whose program is carried out by ranks. See `kit.engine.Engine`."""

    def __init__(self, engine: Engine, task: StackTask, way: Parallel, devices: int, launch: Launch) -> None:
        self.engine, self.name, self.task, self.way, self.devices_used = engine, engine.name, task, way, devices
        self.launch = launch
        self.ranks: Ranks | None = None

    def versions(self) -> dict[str, str]:
        return self.engine.versions()

    def devices(self) -> list[DeviceReport]:
        return self.engine.devices()

    def strategies(self, *_: Any) -> tuple[str, ...]:
        return (self.way.name,)

    def initial_parameters(self, problem: Any, seeds: Any) -> Any:
        return self.engine.initial_parameters(problem, seeds)

    def peak_memory_bytes(self, device: str) -> int | None:
        """Of the rank that took the most."""
        return None if self.ranks is None else max(self.ranks.ask_each("memory"))

    def lost_device(self, error: BaseException) -> bool:
        """A rank that is gone is a device that is gone."""
        return isinstance(error, DeviceLostError)

    def compile(self, problem: Any, optimizer: Any, stack: Any, *, steps: int, **_: Any) -> ConductedProgram:
        """Starts the ranks, each of which makes its own program from the task."""
        self.ranks = self.launch(self.task, self.way, self.devices_used)
        self.ranks.ask("compile", steps)
        return ConductedProgram(self.ranks, self.way.name)

    def close(self) -> None:
        if self.ranks is not None:
            self.ranks.close()


class ConductedProgram:
    """Every call is every rank's; the answer is the first one's. See `kit.engine.Program`."""

    def __init__(self, ranks: Ranks, strategy: str) -> None:
        self.ranks, self.strategy = ranks, strategy
        self.timings: dict[str, float] = {}
        self.compile_seconds = 0.0
        self.evaluations: Any = None

    def load(self, state: State) -> None:
        self.ranks.ask("call", "load", (state,), {})

    def state(self) -> State:
        found: State = self.ranks.ask("call", "state", (), {})
        return found

    def evaluated_parameters(self) -> dict[str, Any]:
        return dict(self.ranks.ask("call", "evaluated_parameters", (), {}))

    def advance(
        self, indices: Any, scalars: Any, *, samples: Any = None, noise: Mapping[str, Any] | None = None
    ) -> Any:
        given = {"samples": samples, "noise": noise}
        losses, self.compile_seconds, self.evaluations = self.ranks.ask("advance", (indices, scalars), given)
        return losses

    def evaluate(self, split: Split) -> dict[str, Any]:
        return dict(self.ranks.ask("call", "evaluate", (split,), {}))

    def gradients(self, indices: Any, samples: Any = None) -> dict[str, Any]:
        return dict(self.ranks.ask("call", "gradients", (indices, samples), {}))

    def close(self) -> None:
        self.ranks.close()
