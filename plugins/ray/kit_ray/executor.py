"""Stacks as Ray tasks. The store is the truth: a task writes its runs' logs, and this reads them.

Ray's own retries are off: what its worker's death leaves is given to the listener, which knows the checkpoints.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayError, RayTaskError

from kit.errors import KitError, WorkError
from kit.executors import Listener, Pending, threads_each
from kit.patience import Patience
from kit.store.tail import LogTail
from kit_ray import remote
from kit_ray.cluster import Cluster, connected

if TYPE_CHECKING:
    from kit.registry import Registry
    from kit.task import StackTask

POLL_SECONDS = 0.1
START_SECONDS = 300.0  # a node may have to import TensorFlow, on a busy disk


class Flight:
    """A task under way."""

    def __init__(self, task: StackTask, reference: Any, places: int) -> None:
        self.task, self.reference, self.places = task, reference, places
        self.tails = {trial.run_id: LogTail(Path(trial.folder)) for trial in task.trials}
        self.patience = Patience()

    def ask(self, word: str, wanted: bool = True) -> None:
        """Leave a word for the task, or take it back. One that cannot be written goes unheard."""
        path = Path(self.task.trials[0].folder) / word
        with suppress(OSError):
            path.touch() if wanted else path.unlink(missing_ok=True)

    def tell(self, listener: Listener) -> None:
        """Pass on what its logs have that they had not before."""
        for run_id, tail in self.tails.items():
            for record in tail.news():
                self.patience.heard(record)
                listener.record(run_id, record)


class Ray:
    """See the module's head."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.flights: dict[Any, Flight] = {}  # by the reference of what the task will return
        self.facts: dict[str, Any] = {}  # backend -> of its workers
        self.resting = False

    def run(self, pending: Sequence[Pending], listener: Listener, stopping: Callable[[], bool]) -> None:
        if not pending:
            return
        cluster = connected()
        queue = deque(sorted(pending, key=lambda item: -item.weight))
        told = False
        try:
            while self.flights or (queue and not told):
                if not stopping():
                    self._rest(listener.pausing())
                    self._dispatch(queue, cluster, listener)
                elif not told:
                    told = True
                    for flight in self.flights.values():
                        flight.ask(remote.STOP)
                queue.extendleft(self._listen(listener))
        finally:
            for reference in self.flights:  # only after an error: what still trains would hold the cores
                ray.cancel(reference, force=True)

    def _rest(self, wanted: bool) -> None:
        if wanted != self.resting:
            self.resting = wanted
            for flight in self.flights.values():
                flight.ask(remote.PAUSE, wanted)

    def _dispatch(self, queue: deque[Pending], cluster: Cluster, listener: Listener) -> None:
        """Send as many tasks as the cluster has places for."""
        threads = threads_each(self.registry, cluster.smallest)
        places = cluster.places(threads)
        while queue and not self.resting and self._taken() + min(queue[0].devices, places) <= places:
            item = queue.popleft()
            if item.devices > places:
                room = f"the Ray cluster has room for {places} of {threads} thread{'s' * (threads > 1)}"
                listener.refused(item, f"devices={item.devices} is not valid: {room}.")
                continue
            try:
                task = item.make(threads, self._facts(item.backend, threads))
            except KitError as error:
                listener.refused(item, str(error))
                continue
            # What a run over several devices takes, its ranks take; who conducts them trains nothing.
            alone = item.devices == 1
            card = alone and task.trials[0].specification["device"] != "cpu"
            asked = self._remote(remote.train, item.backend, threads, cores=threads if alone else 0, cards=int(card))
            reference = asked.remote(task, sys.path)
            self.flights[reference] = Flight(task, reference, item.devices)

    def _taken(self) -> int:
        return sum(flight.places for flight in self.flights.values())

    def _facts(self, backend: str, threads: int) -> dict[str, Any]:
        """Asked once. Raises `KitError` where no worker of the backend can be had."""
        if backend not in self.facts:
            asked = self._remote(remote.facts, backend, threads, cores=threads).remote(backend, threads, sys.path)
            try:
                self.facts[backend] = ray.get(asked, timeout=START_SECONDS)
            except (RayError, GetTimeoutError) as error:
                raise WorkError(_said(error, f"a {backend} worker")) from error
        return dict(self.facts[backend])

    @staticmethod
    def _remote(function: Callable[..., Any], backend: str, threads: int, *, cores: int, cards: int = 0) -> Any:
        return ray.remote(
            num_cpus=cores,
            num_gpus=cards,
            max_retries=0,
            retry_exceptions=False,
            runtime_env={"env_vars": remote.environment(backend, threads)},
        )(function)

    def _listen(self, listener: Listener) -> list[Pending]:
        """Hear of what is under way; what is to be run in the place of what was lost."""
        if not self.flights:
            return []
        began = time.monotonic()
        ended, _ = ray.wait(list(self.flights), timeout=POLL_SECONDS)
        again: list[Pending] = []
        for reference, flight in list(self.flights.items()):
            flight.tell(listener)
            if reference in ended:
                again += self._land(flight, listener)
            elif not self.resting:
                flight.patience.waited(time.monotonic() - began)
                if flight.patience.exhausted:
                    ray.cancel(reference, force=True)
                    del self.flights[reference]
                    again += listener.lost(flight.task, f"A Ray worker {flight.patience.said()}.")
        return again

    def _land(self, flight: Flight, listener: Listener) -> Sequence[Pending]:
        del self.flights[flight.reference]
        try:
            ray.get(flight.reference)
        except RayError as error:
            return listener.lost(flight.task, _said(error, f"the {flight.task.backend} worker"))
        listener.finished(flight.task)
        return ()


def _said(error: Exception, whose: str) -> str:
    """Ray's errors are pages long; a sentence of them."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, KitError):
        return str(error.cause)
    if isinstance(error, OutOfMemoryError):
        return f"Ray ended {whose} because memory ran out on its node."
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"Ray lost {whose}: {first}"
