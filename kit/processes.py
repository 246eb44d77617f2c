"""The default executor: worker processes on this machine.

One warm worker per backend, more where cores allow, threads divided so that the cores are never oversubscribed. A
worker that dies, or says nothing for too long, is replaced; what it trained is the listener's to take up again.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as first_of
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from kit.child import received
from kit.errors import KitError, WorkError
from kit.executors import Listener, Pending, threads_each
from kit.machine import cores
from kit.patience import Patience
from kit.pool import POOL, Worker

if TYPE_CHECKING:
    from kit.registry import Registry
    from kit.task import StackTask

POLL_SECONDS = 0.05
# A worker that trains answers the word to stop within a chunk. One that has said no point by then is loading its data
# or compiling, which nothing interrupts; as it has trained nothing, ending it loses nothing.
ANSWER_SECONDS = 0.5


@dataclass(kw_only=True, eq=False)
class Lane:
    """The places of one backend: what waits for it, who is being started for it."""

    share: int  # the most places that it may have
    queue: deque[Pending] = field(default_factory=deque)
    starting: list[Future[Worker]] = field(default_factory=list)


@dataclass(kw_only=True, eq=False)
class Busy:
    """A worker at its task."""

    worker: Worker
    task: StackTask
    patience: Patience = field(default_factory=Patience)


class Processes:
    """Worker processes. See the module's head."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.threads = threads_each(registry, cores())
        self.lanes: dict[str, Lane] = {}
        self.busy: dict[Any, Busy] = {}  # by connection
        self.resting = False

    def prepare(self, backends: Collection[str]) -> None:
        """A worker of each begins to import its framework."""
        for backend in backends:
            with contextlib.suppress(OSError):  # it is tried again when it is needed, and then said
                POOL.warm(backend, self.threads)

    def run(self, pending: Sequence[Pending], listener: Listener, stopping: Callable[[], bool]) -> None:
        backends = {item.backend for item in pending}
        share = max(1, cores() // self.threads // max(1, len(backends)))
        self.lanes = {backend: Lane(share=share) for backend in sorted(backends)}
        for item in sorted(pending, key=lambda p: -p.weight):
            self.lanes[item.backend].queue.append(item)
        told: float | None = None  # when the workers were told to stop
        starters = ThreadPoolExecutor(max_workers=max(1, share * len(backends)))
        try:
            while True:
                if not stopping():
                    if listener.pausing() != self.resting:
                        self.resting = not self.resting
                        self._say("pause" if self.resting else "resume")
                    if not self.resting:
                        self._dispatch(listener, starters)
                elif told is None:
                    told = time.monotonic()
                    self._say("stop")
                    for busy in self.busy.values():
                        busy.patience.stopping = True
                elif time.monotonic() - told > ANSWER_SECONDS:
                    self._end_unbegun(listener)
                if not self.busy and (told is not None or not any(lane.queue for lane in self.lanes.values())):
                    return
                self._listen(listener)
        finally:
            for busy in self.busy.values():  # only after an error: what still trains would hold the cores
                busy.worker.kill()
            for future in [future for lane in self.lanes.values() for future in lane.starting]:
                future.add_done_callback(_keep)
            starters.shutdown(wait=False, cancel_futures=True)

    def _say(self, word: str) -> None:
        for busy in self.busy.values():
            busy.worker.say(word)

    def _dispatch(self, listener: Listener, starters: ThreadPoolExecutor) -> None:
        """Give every free place its next stack; a worker that is missing is started beside the others' work."""
        for backend, lane in self.lanes.items():
            for future in [future for future in lane.starting if future.done()]:
                lane.starting.remove(future)
                item = lane.queue.popleft()
                try:
                    worker = future.result()
                except (KitError, OSError) as error:
                    listener.refused(item, str(error))
                else:
                    self._begin(item, worker, listener)
            while self._free(backend, lane) and len(lane.queue) > len(lane.starting):
                if idle := POOL.take_idle(backend, self.threads):
                    self._begin(lane.queue.popleft(), idle, listener)
                else:
                    lane.starting.append(starters.submit(POOL.take, backend, self.threads))

    def _free(self, backend: str, lane: Lane) -> int:
        """Places that nobody trains in, and for which nobody is being started."""
        return lane.share - len(lane.starting) - sum(busy.worker.backend == backend for busy in self.busy.values())

    def _begin(self, item: Pending, worker: Worker, listener: Listener) -> None:
        try:
            task = item.make(self.threads, worker.facts)
        except KitError as error:
            POOL.give(worker)
            listener.refused(item, str(error))
            return
        self.busy[worker.connection] = Busy(worker=worker, task=task)
        worker.say("run", task)  # if it has died, the next word from it says so

    def _listen(self, listener: Listener) -> None:
        """Hear who has something to say, and notice who has said nothing for too long."""
        if not self.busy:
            starting = [future for lane in self.lanes.values() for future in lane.starting]
            if not starting or not first_of(starting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                time.sleep(POLL_SECONDS / 10)
            return
        began = time.monotonic()
        speaking = wait(list(self.busy), timeout=POLL_SECONDS) or ()
        for connection in speaking:
            self._hear(self.busy[connection], listener)
        for connection, busy in list(self.busy.items()):
            busy.worker.vitals.look()
            if connection not in speaking and not self.resting:
                busy.patience.waited(time.monotonic() - began)
            if busy.patience.exhausted:
                busy.worker.kill()
                self._lose(busy, f"{busy.worker.name} {busy.patience.said()}.", listener)

    def _hear(self, busy: Busy, listener: Listener) -> None:
        worker = busy.worker
        try:
            word, content = received(worker.connection)
        except (EOFError, OSError):
            sentence = f"{worker.name} {worker.died()}. {worker.last_words()}".strip()
            worker.close()
            self._lose(busy, sentence, listener)
        except WorkError as error:
            worker.kill()
            self._lose(busy, str(error), listener)
        else:
            if word == "record":
                busy.patience.heard(content[1])
                listener.record(*content)
            elif word == "finished":
                del self.busy[worker.connection]
                POOL.give(worker)
                listener.finished(busy.task)

    def _end_unbegun(self, listener: Listener) -> None:
        """End the workers whose runs have trained nothing yet, and begin to start others in their place."""
        for connection, busy in list(self.busy.items()):
            if not busy.patience.training:
                busy.worker.kill()
                del self.busy[connection]
                listener.stopped(busy.task)
                self.prepare([busy.task.backend])

    def _lose(self, busy: Busy, sentence: str, listener: Listener) -> None:
        """Its runs have no ending; what is to be run in their place comes next."""
        del self.busy[busy.worker.connection]
        for item in listener.lost(busy.task, sentence):
            self.lanes[item.backend].queue.appendleft(item)


def _keep(future: Future[Worker]) -> None:
    """A worker whose start nobody waited for any more goes to the pool."""
    if not future.cancelled() and future.exception() is None:
        POOL.give(future.result())
