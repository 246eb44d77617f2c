"""Where stacks run. The store is the truth; an executor only runs things and says what it hears.

`Processes` is the default: one warm worker per backend, more where cores allow, threads divided so that the cores
are never
oversubscribed. `Inline` runs in the caller, for debugging: then the caller's process loads the framework.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Protocol

from kit.errors import InvalidValueError, KitError, WorkError
from kit.machine import cores
from kit.pool import POOL, Worker, received

if TYPE_CHECKING:
    from kit.registry import Registry
    from kit.task import StackTask


@dataclass(frozen=True, kw_only=True, eq=False)
class Pending:
    """A stack that waits. `make` claims its attempts in the store and gives the task; it is called when a worker is
    free.

    It gets the number of threads and the worker's facts (versions), which a remembered strategy belongs to.
    """

    backend: str
    weight: float  # a guess at its work, for the order
    make: Callable[[int, dict[str, Any]], StackTask]


class Listener(Protocol):
    """Who hears what happens."""

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        """A log record was written."""

    def finished(self, task: StackTask) -> None:
        """Every trial of the task has its ending."""

    def lost(self, task: StackTask, sentence: str) -> None:
        """The worker went without giving every trial an ending."""

    def refused(self, pending: Pending, sentence: str) -> None:
        """No worker could be had for it."""

    def pausing(self) -> bool:
        """Whether what trains shall wait. An executor that can tells its workers; nothing new is begun meanwhile."""


class Executor(Protocol):
    """Runs what is pending; returns when all of it has ended, or, once `stopping()` is true, what was begun has."""

    def run(self, pending: Sequence[Pending], listener: Listener, stopping: Callable[[], bool]) -> None: ...


class Inline:
    """In the caller's process and thread. A process holds one framework only: a second one is refused."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

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
        for item in pending:
            if stopping():
                return
            record = self.registry.find("backend", item.backend)
            others = {
                module
                for offer in self.registry.backends
                for module in offer.record.requires
                if offer.record.name != item.backend
            }
            loaded = sorted(others & set(sys.modules))
            if loaded:
                raise InvalidValueError(
                    f"This process has already loaded {loaded[0]}; "
                    f"'{item.backend}' needs a process of its own: executor='processes'."
                )
            engine = resolve(record.engine)(threads=cores())
            task = item.make(cores(), {"versions": versions(engine)})
            carry_out(task, engine, self.registry, listener.record, stopping, listener.pausing)
            listener.finished(task)


@dataclass(kw_only=True, eq=False)
class Lane:
    """The places of one backend: what waits for it, who is being started for it."""

    queue: deque[Pending]
    places: int
    starting: list[Future[Worker]] = field(default_factory=list)


class Processes:
    """Worker processes. See the module's head."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def run(self, pending: Sequence[Pending], listener: Listener, stopping: Callable[[], bool]) -> None:
        lanes: dict[str, Lane] = {}
        for item in sorted(pending, key=lambda p: -p.weight):
            lanes.setdefault(item.backend, Lane(queue=deque(), places=0)).queue.append(item)
        # Another number of threads changes a run's last bits, so it depends on the machine and on what is installed,
        # never on what else happens to train: a run that is continued, alone, gets as many as it began with.
        threads = max(1, cores() // max(1, len(self.registry.backends)))
        for lane in lanes.values():
            lane.places = max(1, min(len(lane.queue), cores() // threads // len(lanes)))
        busy: dict[Any, tuple[Worker, StackTask]] = {}
        told = resting = False
        starters = ThreadPoolExecutor(max_workers=max(1, sum(lane.places for lane in lanes.values())))
        try:
            while True:
                if not stopping():
                    if listener.pausing() != resting:
                        resting = not resting
                        for worker, _ in busy.values():
                            worker.say("pause" if resting else "resume")
                    for backend, lane in () if resting else lanes.items():
                        self._dispatch(backend, lane, threads, busy, listener, starters)
                elif not told:
                    told = True
                    for worker, _ in busy.values():
                        worker.say("stop")
                waiting = not told and any(lane.queue for lane in lanes.values())
                if not busy and not waiting:
                    return
                for connection in wait(list(busy), timeout=0.05 if busy else 0) or ():
                    self._hear(connection, busy, listener)
                if not busy:
                    time.sleep(0.02)
        finally:
            for worker, _ in busy.values():  # only after an error: what still trains would hold the cores
                worker.kill()
            for future in [future for lane in lanes.values() for future in lane.starting]:
                future.add_done_callback(_keep)
            starters.shutdown(wait=False, cancel_futures=True)

    def _dispatch(
        self,
        backend: str,
        lane: Lane,
        threads: int,
        busy: dict[Any, tuple[Worker, StackTask]],
        listener: Listener,
        starters: ThreadPoolExecutor,
    ) -> None:
        """Give every free place of a backend its next stack; a worker that is missing is started beside the others'
        work."""
        free = lane.places - sum(worker.backend == backend for worker, _ in busy.values())
        while len(lane.starting) < min(free, len(lane.queue)):
            lane.starting.append(starters.submit(POOL.take, backend, threads))
        for future in [future for future in lane.starting if future.done()]:
            lane.starting.remove(future)
            item = lane.queue.popleft()
            try:
                worker = future.result()
            except (KitError, OSError) as error:
                listener.refused(item, str(error))
                continue
            try:
                task = item.make(threads, worker.facts)
            except KitError as error:
                POOL.give(worker)
                listener.refused(item, str(error))
                continue
            busy[worker.connection] = (worker, task)
            worker.say("run", task)  # if it has died, the next word from it says so

    def _hear(self, connection: Any, busy: dict[Any, tuple[Worker, StackTask]], listener: Listener) -> None:
        worker, task = busy[connection]
        try:
            word, content = received(connection)
        except (EOFError, OSError):
            del busy[connection]
            sentence = (
                f"The {worker.backend} worker (process {worker.process.pid}) {worker.died()}. {worker.last_words()}"
            )
            worker.close()
            listener.lost(task, sentence.strip())
            return
        except WorkError as error:
            del busy[connection]
            worker.kill()
            listener.lost(task, str(error))
            return
        if word == "record":
            listener.record(*content)
        elif word == "finished":
            del busy[connection]
            POOL.give(worker)
            listener.finished(task)


def _keep(future: Future[Worker]) -> None:
    """A worker whose start nobody waited for any more goes to the pool."""
    if not future.cancelled() and future.exception() is None:
        POOL.give(future.result())
