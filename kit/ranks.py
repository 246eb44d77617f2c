"""The processes of one run over several devices, as the worker sees them that conducts it.

The worker trains nothing itself: it reads the store's task, draws batches, writes the log, and has every process (a
*rank*) do the same call at the same time; what they exchange among themselves is the framework's own affair. A rank
writes into no store. When one is gone the others are ended, and so is the attempt: the run is `lost`, and taken up
again from its checkpoint. When the worker is gone, so are they.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, wait
from typing import TYPE_CHECKING, Any

from kit.engine import DeviceReport, Engine, Split, State
from kit.errors import DeviceLostError, WorkError
from kit.parallel import Rank, way_of
from kit.pool import environment, received
from kit.vitals import Vitals

if TYPE_CHECKING:
    from kit.records import Parallel
    from kit.registry import Registry
    from kit.task import StackTask

LOOK_SECONDS = 0.2  # how often a rank that does not answer is looked at
ENDING_SECONDS = 2.0  # from the end of a process's connections to its own, at most


def engine_for(task: StackTask, engine: Engine, registry: Registry) -> Engine:
    """The engine that trains a task: a worker's own, or, where several devices are to share it, their conductor."""
    specification = task.trials[0].specification
    way = way_of(specification, registry.find("backend", task.backend))
    return engine if way is None else Conducted(engine, task, way, int(specification["devices"]))


class Conducted:
    """An engine whose program is carried out by ranks. See `kit.engine.Engine`."""

    def __init__(self, engine: Engine, task: StackTask, way: Parallel, devices: int) -> None:
        self.engine, self.name, self.task, self.way, self.devices_used = engine, engine.name, task, way, devices
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
        self.ranks = Ranks(self.task, self.way, self.devices_used)
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


class Ranks:
    """The processes. Raises `DeviceLostError` when one is gone, `WorkError` with what one of them says it cannot do."""

    def __init__(self, task: StackTask, way: Parallel, devices: int) -> None:
        size = devices if way.processes == "each" else 1
        self.folder = tempfile.mkdtemp(prefix="kit-ranks-")  # mode 0700
        addresses = free_addresses(size)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.connections: list[Connection] = []
        opening = {
            "backend": task.backend,
            "engine": way.engine,
            "task": replace(task, threads=max(1, task.threads // size)),
            "path": sys.path,
        }
        try:
            for number in range(size):
                self._start(task.threads)
                rank = Rank(number=number, size=size, devices=devices, folder=self.folder, addresses=addresses)
                self.connections[-1].send({**opening, "rank": rank})
        except BaseException:
            self.close()
            raise
        self.vitals = [Vitals(process.pid) for process in self.processes]

    def _start(self, threads: int) -> None:
        """One process, that has called and shown that it has the key. It belongs to the worker's process group, so that
        who ends that ends it too."""
        key = secrets.token_bytes(32)
        with Listener(None, authkey=key) as listener:
            process = subprocess.Popen(
                [sys.executable, "-m", "kit.rank"], stdin=subprocess.PIPE, env=environment(threads)
            )
            self.processes.append(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps({"address": listener.address, "key": key.hex()}).encode() + b"\n")
            process.stdin.close()
            accepted: list[Connection] = []

            def accept() -> None:
                while not accepted:
                    with contextlib.suppress(AuthenticationError, EOFError):  # a stranger without the key
                        accepted.append(listener.accept())

            waiting = threading.Thread(target=accept, daemon=True)
            waiting.start()
            while waiting.is_alive():
                waiting.join(LOOK_SECONDS)
                if waiting.is_alive() and process.poll() is not None:
                    raise DeviceLostError(f"A rank ended with exit code {process.returncode} before it had called.")
            self.connections.append(accepted[0])

    def ask(self, word: str, *content: Any) -> Any:
        """The first rank's answer, once all have answered."""
        return self.ask_each(word, *content)[0]

    def ask_each(self, word: str, *content: Any) -> list[Any]:
        """Every rank's answer."""
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
            for vitals in self.vitals:
                vitals.look()
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
        others = [n for n in range(len(self.processes)) if n != number]
        deadline = time.monotonic() + ENDING_SECONDS
        while True:
            dead = next((n for n in others if self.processes[n].poll() is not None), None)
            if dead is not None or not others or time.monotonic() > deadline:
                return dead
            time.sleep(0.01)

    def _lost(self, number: int) -> None:
        process = self.processes[number]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        death = "hangs" if process.returncode is None else self.vitals[number].death(process.returncode)
        self.close()
        raise DeviceLostError(f"Rank {number} of {len(self.processes)} (process {process.pid}) {death}.")

    def close(self) -> None:
        """End them. They hold nothing that is not in the store."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        for connection in self.connections:
            connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_addresses(count: int) -> tuple[str, ...]:
    """Loopback addresses whose ports nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
