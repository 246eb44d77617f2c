"""A process of ours that calls back, over a connection that nobody else can open.

It is started as `python -m MODULE`, reads an address and a key on its standard input, calls there and shows that it has
the key; what it is to do comes as the first word over that connection. What it says is read as plain values.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, InvalidStateError, wait
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from kit.errors import WorkError
from kit.vitals import Vitals

LOOK_SECONDS = 0.05  # how often one that has not called is looked at
ENDING_SECONDS = 10.0  # from the end of its connection to its own, at most


class Child:
    """The process, as its parent sees it. It starts at once; `called()` waits for its call.

    opening: the first word, sent by itself. output: a descriptor that it writes to instead of this process's streams.
    own_group: whether it leads a process group of its own, which `kill` ends; else it is ended with its parent's.
    """

    def __init__(
        self, module: str, threads: int, opening: Any, *, output: int | None = None, own_group: bool = False
    ) -> None:
        key = secrets.token_bytes(32)
        listener = Listener(None, authkey=key)
        self.own_group = own_group
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment(threads),
            start_new_session=own_group,
        )
        self.vitals = Vitals(self.process.pid)
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # if it died at once, waiting for its call says so
            self.process.stdin.write(json.dumps({"address": listener.address, "key": key.hex()}).encode() + b"\n")
            self.process.stdin.close()
        self._call: Future[Connection] = Future()
        threading.Thread(target=self._accept, args=(listener, opening), daemon=True).start()

    def _accept(self, listener: Listener, opening: Any) -> None:
        while not self._call.done():
            # A stranger without the key, or a process that nobody waits for any more.
            with contextlib.suppress(AuthenticationError, EOFError, OSError, InvalidStateError):
                connection = listener.accept()
                connection.send(opening)
                self._call.set_result(connection)
        listener.close()

    def called(self, seconds: float) -> bool:
        """Whether it calls, within so many seconds and before it ends."""
        deadline = time.monotonic() + seconds
        while not self._call.done() and time.monotonic() < deadline and self.process.poll() is None:
            wait([self._call], timeout=LOOK_SECONDS)
        return self._call.done()

    @property
    def connection(self) -> Connection:
        """Raises `TimeoutError` before it has called, `CancelledError` after `close`."""
        return self._call.result(timeout=0)

    def died(self) -> str:
        """How the process ended, as the rest of a sentence."""
        try:
            code = self.process.wait(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its connection and hangs"
        return self.vitals.death(code)

    def kill(self) -> None:
        """End it at once, and whatever it started where that is its own group."""
        with contextlib.suppress(OSError):
            if self.own_group and self.process.poll() is None and hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()

    def close(self, seconds: float) -> None:
        """Hang up, and see it gone: after so many seconds by force."""
        self._call.cancel()  # of one that has not called yet
        with contextlib.suppress(OSError, CancelledError):
            self.connection.close()
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def call_back() -> Connection:
    """In the child: the connection to its parent, as standard input says."""
    opening = json.loads(sys.stdin.readline())
    address = opening["address"]
    return Client(tuple(address) if isinstance(address, list) else address, authkey=bytes.fromhex(opening["key"]))


def environment(threads: int) -> dict[str, str]:
    """A child's environment: every numerical library gets the same number of threads."""
    count = str(threads)
    fixed = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    return os.environ | fixed | {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}


_PLAIN = {"builtins": {"complex", "set", "frozenset", "range", "bytearray"}, "collections": {"OrderedDict", "deque"}}
_ARRAYS = {"_reconstruct", "scalar", "_frombuffer"}  # NumPy's functions that make them; of the rest, classes only


class PlainUnpickler(pickle.Unpickler):
    """Reads what a child sends: plain values, NumPy arrays and the kit's own records. Anything else would import a
    framework, or run a plugin's code, in the caller's process."""

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        if name in _PLAIN.get(module, ()) or (package == "numpy" and name in _ARRAYS):
            return super().find_class(module, name)
        if package in ("kit", "numpy") and isinstance(found := super().find_class(module, name), type):
            return found
        raise WorkError(f"A worker sent a {module}.{name}; a plugin must give plain values and NumPy arrays.")


def received(connection: Connection) -> tuple[str, Any]:
    """The child's next word. Raises `EOFError` or `OSError` when it is gone, `WorkError` for what is not plain."""
    word, content = PlainUnpickler(io.BytesIO(connection.recv_bytes())).load()
    return word, content
