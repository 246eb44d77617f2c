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
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from kit.errors import WorkError
from kit.vitals import Vitals

START_SECONDS = 180.0  # importing TensorFlow on a busy machine can take a minute


class Worker:
    """One process. `connection` is waited on by the executor; `died()` says how it ended, if it did."""

    def __init__(self, backend: str, threads: int) -> None:
        self.backend, self.threads = backend, threads
        self.output = Path(tempfile.mkstemp(prefix=f"kit-{backend}-", suffix=".log")[1])
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
        self.name = f"The {backend} worker (process {self.process.pid})"
        self.vitals = Vitals(self.process.pid)
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # if it died at once, waiting for its call says so, with its last words
            self.process.stdin.write(json.dumps({"address": listener.address, "key": key.hex()}).encode() + b"\n")
            self.process.stdin.close()
        self.connection = self._accept(listener)
        self.say("open", {"backend": backend, "threads": threads, "path": sys.path})
        self.facts: dict[str, Any] = {}
        self._await_ready()

    def _accept(self, listener: Listener) -> Connection:
        """The worker's call, or an error with what it printed if it died before calling."""
        accepted: list[Connection] = []

        over = threading.Event()

        def accept() -> None:
            while not accepted and not over.is_set():
                with contextlib.suppress(AuthenticationError, EOFError, OSError):  # a stranger, without the key
                    accepted.append(listener.accept())

        waiting = threading.Thread(target=accept, daemon=True)
        waiting.start()
        waited = 0.0
        while waiting.is_alive() and waited < START_SECONDS and self.process.poll() is None:
            waiting.join(0.05)
            waited += 0.05
        over.set()
        listener.close()
        if not accepted:
            self.process.kill()
            raise WorkError(f"The {self.backend} worker did not start. {self.last_words()}")
        return accepted[0]

    def _await_ready(self) -> None:
        if not self.connection.poll(START_SECONDS):
            self.kill()
            raise WorkError(
                f"The {self.backend} worker did not answer within {START_SECONDS:.0f} s. {self.last_words()}"
            )
        try:
            word, content = received(self.connection)
        except (EOFError, OSError):
            raise WorkError(f"The {self.backend} worker {self.died()}. {self.last_words()}") from None
        if word == "refused":
            raise WorkError(f"The {self.backend} worker cannot work: {content}")
        self.facts = content

    def say(self, word: str, content: Any = None) -> None:
        """Send a word; to one that has died it is lost, and whoever waits for an answer hears of its death."""
        with contextlib.suppress(OSError):
            self.connection.send((word, content))

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
        with contextlib.suppress(OSError, ValueError):
            self.connection.send(("close", None))
        with contextlib.suppress(OSError):
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


class PlainUnpickler(pickle.Unpickler):
    """Reads what a worker sends: plain values, NumPy arrays and the kit's own records. Anything else would import a
    framework, or run a plugin's code, in the caller's process."""

    ALLOWED = ("builtins", "collections", "kit", "numpy")

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] not in self.ALLOWED:
            raise WorkError(f"A worker sent a {module}.{name}; a plugin must give plain values and NumPy arrays.")
        return super().find_class(module, name)


def received(connection: Connection) -> tuple[str, Any]:
    """The worker's next word. Raises `EOFError` or `OSError` when it is gone, `WorkError` for what is not plain."""
    word, content = PlainUnpickler(io.BytesIO(connection.recv_bytes())).load()
    return word, content


class Pool:
    """Idle workers, by backend and thread count. One pool serves one process; `close` ends them all."""

    def __init__(self) -> None:
        self.idle: dict[tuple[str, int], list[Worker]] = {}
        self.lock = threading.Lock()

    def take(self, backend: str, threads: int) -> Worker:
        """Called from several threads at once."""
        while True:
            with self.lock:
                waiting = self.idle.get((backend, threads))
                worker = waiting.pop() if waiting else None
            if worker is None:
                return Worker(backend, threads)
            if worker.process.poll() is None:
                return worker
            worker.close()

    def give(self, worker: Worker) -> None:
        with self.lock:
            self.idle.setdefault((worker.backend, worker.threads), []).append(worker)

    def close(self) -> None:
        for workers in self.idle.values():
            for worker in workers:
                worker.close()
        self.idle.clear()


# Workers outlive the study that started them, so that the next one finds its programs compiled: hence one per process.
POOL = Pool()
atexit.register(POOL.close)
