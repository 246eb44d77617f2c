"""Worker processes as their parent sees them: started once per backend and thread count, kept warm, replaced when
they die."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import pickle
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import CancelledError, Future, InvalidStateError, wait
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from kit.errors import WorkError
from kit.machine import allowed_memory
from kit.vitals import Vitals

GROWN_SHARE = 0.4  # of the memory that there is: what an idle worker may hold
START_SECONDS = 180.0  # importing TensorFlow on a busy machine can take a minute


class Worker:
    """One process, that starts by itself; `ready()` waits for it. `connection` is waited on by the executor; `died()`
    says how it ended, if it did.

    backend: None for a worker that only calls functions (`call`), and loads no framework by itself.
    """

    def __init__(self, backend: str | None, threads: int) -> None:
        self.backend, self.threads = backend, threads
        self.kind = f"The {backend or 'host'} worker"
        self.output = Path(tempfile.mkstemp(prefix=f"kit-{backend or 'host'}-", suffix=".log")[1])
        key = secrets.token_bytes(32)
        listener = Listener(None, authkey=key)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kit.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment(threads),
                start_new_session=True,
            )
        self.name = f"{self.kind} (process {self.process.pid})"
        self.vitals = Vitals(self.process.pid)
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # if it died at once, waiting for its call says so, with its last words
            self.process.stdin.write(json.dumps({"address": listener.address, "key": key.hex()}).encode() + b"\n")
            self.process.stdin.close()
        self.facts: dict[str, Any] = {}
        self._call: Future[Connection] = Future()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: Listener) -> None:
        """Take the worker's call, and have it import its framework at once, whoever waits for it."""
        while not self._call.done():
            # A stranger without the key, or a worker that nobody waits for any more.
            with contextlib.suppress(AuthenticationError, EOFError, OSError, InvalidStateError):
                connection = listener.accept()
                connection.send(("open", {"backend": self.backend, "threads": self.threads, "path": sys.path}))
                self._call.set_result(connection)
        listener.close()

    @property
    def connection(self) -> Connection:
        """Raises `TimeoutError` before the worker has called."""
        return self._call.result(timeout=0)

    def ready(self) -> Worker:
        """Itself, once it has imported its framework. Raises `WorkError` with what it printed where it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not self._call.done() and time.monotonic() < deadline and self.process.poll() is None:
            wait([self._call], timeout=0.05)
        if not self._call.done():
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
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "closed its connection and hangs"
        return self.vitals.death(code)

    def last_words(self) -> str:
        """The last lines that the process printed, for the message about its death."""
        with contextlib.suppress(OSError):
            lines = self.output.read_text(errors="replace").strip().splitlines()
            if lines:
                return "Its last words: " + " | ".join(lines[-3:])
        return ""

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        with contextlib.suppress(OSError):
            if self.process.poll() is None and hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)  # its session's leader: the group is its own
            self.process.kill()
        self.close()

    def close(self) -> None:
        """Ask it to go, and see it gone."""
        self._call.cancel()  # of one that has not called yet
        with contextlib.suppress(OSError, ValueError, CancelledError):
            self.connection.send(("close", None))
        with contextlib.suppress(OSError, CancelledError):
            self.connection.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.unlink(missing_ok=True)


def environment(threads: int) -> dict[str, str]:
    """The worker's environment: every numerical library gets the same number of threads."""
    count = str(threads)
    fixed = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    return os.environ | fixed | {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}


_PLAIN = {"builtins": {"complex", "set", "frozenset", "range", "bytearray"}, "collections": {"OrderedDict", "deque"}}
_ARRAYS = {"_reconstruct", "scalar", "_frombuffer"}  # NumPy's functions that make them; of the rest, classes only


class PlainUnpickler(pickle.Unpickler):
    """Reads what a worker sends: plain values, NumPy arrays and the kit's own records. Anything else would import a
    framework, or run a plugin's code, in the caller's process."""

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        if name in _PLAIN.get(module, ()) or (package == "numpy" and name in _ARRAYS):
            return super().find_class(module, name)
        if package in ("kit", "numpy") and isinstance(found := super().find_class(module, name), type):
            return found
        raise WorkError(f"A worker sent a {module}.{name}; a plugin must give plain values and NumPy arrays.")


def received(connection: Connection) -> tuple[str, Any]:
    """The worker's next word. Raises `EOFError` or `OSError` when it is gone, `WorkError` for what is not plain."""
    word, content = PlainUnpickler(io.BytesIO(connection.recv_bytes())).load()
    return word, content


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
