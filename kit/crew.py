"""The ranks of a run as processes of this machine: see `kit.ranks`."""

from __future__ import annotations

import contextlib
import math
import socket
import sys
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from kit.child import Child, received
from kit.errors import DeviceLostError, WorkError
from kit.parallel import Rank, processes
from kit.scratch import Scratch

if TYPE_CHECKING:
    from kit.records import Parallel
    from kit.task import StackTask

LOOK_SECONDS = 0.2  # how often a rank that does not answer is looked at
ENDING_SECONDS = 2.0  # from the end of a process's connections to its own, at most


class Crew:
    """See `kit.ranks.Ranks`. They belong to the worker's process group, so that who ends that ends them too."""

    def __init__(self, task: StackTask, way: Parallel, devices: int) -> None:
        size = processes(way, devices)
        self.scratch = Scratch("ranks", folder=True)
        addresses = free_addresses(size)
        self.children: list[Child] = []
        try:
            for number in range(size):
                rank = Rank(
                    number=number,
                    size=size,
                    devices=devices,
                    local=number,
                    folder=str(self.scratch.path),
                    addresses=addresses,
                )
                opening = {"engine": way.engine, "task": task, "threads": max(1, task.threads // size), "rank": rank}
                self.children.append(Child("kit.rank", task.threads, {**opening, "path": sys.path}))
            for number, child in enumerate(self.children):
                if not child.called(math.inf):
                    raise DeviceLostError(f"Rank {number} of {size} {child.died()} before it had called.")
            self.connections = [child.connection for child in self.children]
        except BaseException:
            self.close()
            raise

    def ask(self, word: str, *content: Any) -> Any:
        return self.ask_each(word, *content)[0]

    def ask_each(self, word: str, *content: Any) -> list[Any]:
        for number, connection in enumerate(self.connections):
            try:
                connection.send((word, content))
            except OSError:
                self._lost(number)
        answers: dict[int, Any] = {}
        while len(answers) < len(self.connections):
            waiting: dict[Any, int] = {c: n for n, c in enumerate(self.connections) if n not in answers}
            for speaking in wait(list(waiting), timeout=LOOK_SECONDS):
                number = waiting[speaking]
                answers[number] = self._answer(number)
            for child in self.children:
                child.vitals.look()
        return [answers[number] for number in sorted(answers)]

    def _answer(self, number: int) -> Any:
        try:
            word, content = received(self.connections[number])
        except (EOFError, OSError):
            self._lost(number)
        if word == "failed":
            dead = self._dead_beside(number)
            if dead is not None:  # what it says is only that it misses the other
                self._lost(dead)
            self.close()
            raise WorkError(str(content))
        return content

    def _dead_beside(self, number: int) -> int | None:
        """Another rank that has ended. A connection breaks before the process that held it counts as ended, so this
        waits a moment for one."""
        others = [n for n in range(len(self.children)) if n != number]
        deadline = time.monotonic() + ENDING_SECONDS
        while True:
            dead = next((n for n in others if self.children[n].process.poll() is not None), None)
            if dead is not None or not others or time.monotonic() > deadline:
                return dead
            time.sleep(0.01)

    def _lost(self, number: int) -> None:
        child = self.children[number]
        death = child.died()
        self.close()
        raise DeviceLostError(f"Rank {number} of {len(self.children)} (process {child.process.pid}) {death}.")

    def close(self) -> None:
        for child in self.children:
            child.kill()
        for child in self.children:
            child.close(0)
        self.scratch.remove()


def free_addresses(count: int) -> tuple[str, ...]:
    """Loopback addresses whose ports nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
