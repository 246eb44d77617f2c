"""Where stacks run. The store is the truth; an executor only runs things and says what it hears.

What an executor is asked for, and the simplest one: `Inline` runs in the caller, for debugging; then the caller's
process loads the framework. The default is `kit.processes.Processes`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kit.errors import DeviceLostError, InvalidValueError, KitError
from kit.machine import cores

if TYPE_CHECKING:
    from kit.registry import Registry
    from kit.task import StackTask


@dataclass(frozen=True, kw_only=True, eq=False)
class Pending:
    """A stack that waits. `make` claims its attempts in the store and gives the task; it is called when a worker is
    free, with the number of threads and the worker's facts (versions), which a remembered strategy belongs to.

    It raises `KitError` where the store cannot be written.
    """

    backend: str
    weight: float  # a guess at its work, for the order
    make: Callable[[int, dict[str, Any]], StackTask]
    devices: int = 1  # among which its one run is divided


class Listener(Protocol):
    """Who hears what happens."""

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        """A log record was written."""

    def finished(self, task: StackTask) -> None:
        """Every trial of the task has its ending."""

    def lost(self, task: StackTask, sentence: str) -> Sequence[Pending]:
        """The worker went without giving every trial an ending. Gives what is to be run in its place, if anything."""

    def stopped(self, task: StackTask) -> None:
        """Its worker was ended on request, before any trial of the task had trained a step."""

    def refused(self, pending: Pending, sentence: str) -> None:
        """No worker could be had for it."""

    def pausing(self) -> bool:
        """Whether what trains shall wait. An executor that can tells its workers; nothing new is begun meanwhile."""


class Executor(Protocol):
    """Runs what is pending; returns when all of it has ended, or, once `stopping()` is true, what was begun has.

    Every task is answered by exactly one `finished`, `lost` or `stopped`, every pending that never became one by
    `refused`; what `lost` gives back is run like the rest. Nothing is retried otherwise. A run is deterministic only
    for its number of threads, so that is `threads_each`, whatever else happens to train.
    """

    def run(self, pending: Sequence[Pending], listener: Listener, stopping: Callable[[], bool]) -> None: ...

    def prepare(self, backends: Collection[str]) -> None:
        """These will be needed: begin what takes long, wait for nothing, and leave every complaint to `run`."""


class Inline:
    """In the caller's process and thread. A process holds one framework only: a second one is refused."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def prepare(self, backends: Collection[str]) -> None:
        """Nothing: what takes long would be done here and now."""

    def run(self, pending: Sequence[Pending], listener: Listener, stopping: Callable[[], bool]) -> None:
        from kit.records import resolve
        from kit.run import carry_out, versions

        backends = sorted({item.backend for item in pending})
        if len(backends) > 1:
            raise InvalidValueError(
                f"executor 'inline' runs in this process, which can hold one framework; "
                f"the study has {', '.join(backends)}. "
                "Use executor='processes'."
            )
        threads = threads_each(self.registry, cores())
        queue = deque(pending)
        while queue and not stopping():
            item = queue.popleft()
            self._refuse_company(item.backend)
            engine = resolve(self.registry.find("backend", item.backend).engine)(threads=threads)
            try:
                task = item.make(threads, {"versions": versions(engine)})
            except KitError as error:
                listener.refused(item, str(error))
                continue
            try:
                carry_out(task, engine, self.registry, listener.record, stopping, listener.pausing)
            except DeviceLostError as error:
                queue.extendleft(listener.lost(task, str(error)))
            else:
                listener.finished(task)

    def _refuse_company(self, backend: str) -> None:
        """Raises `InvalidValueError` where this process has loaded another backend's framework."""
        others = {
            module
            for offer in self.registry.backends
            for module in offer.record.requires
            if offer.record.name != backend
        }
        loaded = sorted(others & set(sys.modules))
        if loaded:
            raise InvalidValueError(
                f"This process has already loaded {loaded[0]}; "
                f"'{backend}' needs a process of its own: executor='processes'."
            )


def threads_each(registry: Registry, total: int) -> int:
    """Threads of every worker, of the `total` cores of its machine.

    Another number of threads changes a run's last bits, so it depends on the machine and on what is installed, never on
    what else happens to train: a run that is continued, alone, gets as many as it began with.
    """
    return max(1, total // max(1, len(registry.backends)))
