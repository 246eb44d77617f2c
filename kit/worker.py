"""A worker: one process, one backend, for as long as it is needed. Started as `python -m kit.worker` by `kit.pool`.

Its parent hands it an address and a key on standard input; over that authenticated loopback connection come stack tasks
and the word to stop, and go the records of the runs. When the parent is gone, so is the worker: the logs hold
everything that was acknowledged.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Client, Connection
from typing import Any

from kit.errors import KitError


def listen(connection: Connection, tasks: queue.Queue[Any], stop: threading.Event) -> None:
    """The parent's words, as they come, while the main thread trains."""
    while True:
        try:
            word, content = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone; whatever was acknowledged is on disk
        if word == "stop":
            stop.set()
        else:
            tasks.put((word, content))


def serve(connection: Connection) -> None:
    """Train what comes until told to close."""
    _, opening = connection.recv()
    sys.path[:] = list(dict.fromkeys([*opening["path"], *sys.path]))
    from kit.records import resolve
    from kit.registry import Registry
    from kit.run import carry_out, versions

    registry = Registry.load()
    try:
        engine = resolve(registry.find("backend", opening["backend"]).engine)(threads=opening["threads"])
        facts = {"versions": versions(engine), "pid": os.getpid()}
    except KitError as error:
        connection.send(("refused", str(error)))
        return
    connection.send(("ready", facts))
    tasks: queue.Queue[Any] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=listen, args=(connection, tasks, stop), daemon=True).start()
    while True:
        word, content = tasks.get()
        if word == "close":
            return
        if word == "devices":
            connection.send(("devices", engine.devices()))
            continue
        stop.clear()
        carry_out(
            content,
            engine,
            registry,
            lambda run, record: connection.send(("record", (run, record))),
            stop.is_set,
        )
        connection.send(("finished", None))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it sends the word to stop
    opening = json.loads(sys.stdin.readline())
    address = opening["address"]
    connection = Client(tuple(address) if isinstance(address, list) else address, authkey=bytes.fromhex(opening["key"]))
    serve(connection)
    connection.close()


if __name__ == "__main__":
    main()
