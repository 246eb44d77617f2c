"""Worker processes as their parent sees them: started once per backend and thread count, kept warm, replaced when
they die."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from typing import Any

from kit.child import Child, received
from kit.errors import WorkError
from kit.machine import allowed_memory
from kit.scratch import Scratch

GROWN_SHARE = 0.4  # of the memory that there is: what an idle worker may hold
START_SECONDS = 180.0  # importing TensorFlow on a busy machine can take a minute
CLOSING_SECONDS = 5.0  # for a worker to go by itself


class Worker:
    """One process, that starts by itself; `ready()` waits for it. `connection` is waited on by the executor; `died()`
    says how it ended, if it did.

    backend: None for a worker that only calls functions (`call`), and loads no framework by itself.
    """

    def __init__(self, backend: str | None, threads: int) -> None:
        self.backend, self.threads = backend, threads
        self.kind = f"The {backend or 'host'} worker"
        self.scratch = Scratch(backend or "host")
        self.output = self.scratch.path
        # It imports its framework as soon as it has called, whoever waits for it.
        opening = ("open", {"backend": backend, "threads": threads, "path": sys.path})
        self.child = Child("kit.worker", threads, opening, output=self.scratch.descriptor, own_group=True)
        self.scratch.let_go()
        self.process, self.vitals = self.child.process, self.child.vitals
        self.name = f"{self.kind} (process {self.process.pid})"
        self.facts: dict[str, Any] = {}

    @property
    def connection(self) -> Connection:
        """Raises `TimeoutError` before the worker has called."""
        return self.child.connection

    def ready(self) -> Worker:
        """Itself, once it has imported its framework. Raises `WorkError` with what it printed where it does not."""
        if not self.child.called(START_SECONDS):
            sentence = f"{self.kind} did not start. {self.last_words()}"
            self.kill()
            raise WorkError(sentence)
        if not self.connection.poll(START_SECONDS):
            sentence = f"{self.kind} did not answer within {START_SECONDS:.0f} s. {self.last_words()}"
            self.kill()
            raise WorkError(sentence)
        try:
            word, content = received(self.connection)
        except (EOFError, OSError):
            sentence = f"{self.kind} {self.died()}. {self.last_words()}"
            self.close()
            raise WorkError(sentence) from None
        if word == "refused":
            self.close()
            raise WorkError(f"{self.kind} cannot work: {content}")
        self.facts = content
        return self

    def say(self, word: str, content: Any = None) -> None:
        """Send a word; to one that has died it is lost, and whoever waits for an answer hears of its death."""
        with contextlib.suppress(OSError):
            self.connection.send((word, content))

    def call(self, function: str, *arguments: Any, seconds: float) -> Any:
        """What `function(engine, registry, *arguments)` gives in the worker: plain values, NumPy arrays, kit's records.

        function: "module:attribute". Raises `WorkError` where it raises, takes longer (the worker is then ended) or
        ends the process.
        """
        self.say("call", (function, arguments))
        try:
            if not self.connection.poll(seconds):
                self.kill()
                raise WorkError(f"It did not end within {seconds:g} s.")
            word, content = received(self.connection)
        except (EOFError, OSError):
            sentence = f"{self.name} {self.died()}. {self.last_words()}".strip()
            self.close()
            raise WorkError(sentence) from None
        if word == "raised":
            raise WorkError(f"It raised {content}.")
        return content

    def died(self) -> str:
        """How the process ended, as the rest of a sentence."""
        return self.child.died()

    def last_words(self) -> str:
        """The last lines that the process printed, for the message about its death."""
        with contextlib.suppress(OSError):
            lines = self.output.read_text(errors="replace").strip().splitlines()
            if lines:
                return "Its last words: " + " | ".join(lines[-3:])
        return ""

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        self.child.kill()
        self.close()

    def close(self) -> None:
        """Ask it to go, and see it gone."""
        with contextlib.suppress(OSError, ValueError, CancelledError, TimeoutError):
            self.connection.send(("close", None))
        self.child.close(CLOSING_SECONDS)
        self.scratch.remove()


class Pool:
    """Idle workers, by backend and thread count. One pool serves one process; `close` ends them all."""

    def __init__(self) -> None:
        self.idle: dict[tuple[str | None, int], list[Worker]] = {}
        self.coming: dict[tuple[str | None, int], Worker] = {}
        self.lock = threading.Lock()

    def warm(self, backend: str, threads: int) -> None:
        """Begin to start a worker, unless one waits or is coming: it imports while the caller does something else."""
        key = (backend, threads)
        with self.lock:
            if not self.idle.get(key) and key not in self.coming:
                self.coming[key] = Worker(backend, threads)

    def take_idle(self, backend: str | None, threads: int) -> Worker | None:
        """One that waits for work, if there is one: at once."""
        while True:
            with self.lock:
                waiting = self.idle.get((backend, threads))
                worker = waiting.pop() if waiting else None
            if worker is None or worker.process.poll() is None:
                return worker
            worker.close()

    def take(self, backend: str | None, threads: int) -> Worker:
        """One that waits, that is coming, or a new one: when it is ready. Called from several threads at once."""
        if worker := self.take_idle(backend, threads):
            return worker
        with self.lock:
            coming = self.coming.pop((backend, threads), None)
        return (coming or Worker(backend, threads)).ready()

    def give(self, worker: Worker) -> None:
        """Keep an idle worker, unless it has grown so much that the next had better have the memory."""
        worker.vitals.look()
        if worker.vitals.resident > GROWN_SHARE * allowed_memory():
            worker.close()
            return
        with self.lock:
            self.idle.setdefault((worker.backend, worker.threads), []).append(worker)

    def close(self) -> None:
        for worker in self.coming.values():
            worker.kill()
        for workers in self.idle.values():
            for worker in workers:
                worker.close()
        self.coming.clear()
        self.idle.clear()


# Workers outlive the study that started them, so that the next one finds its programs compiled: hence one per process.
POOL = Pool()
atexit.register(POOL.close)
