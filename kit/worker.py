"""A worker: one process, one backend, for as long as it is needed. Started as `python -m kit.worker` by `kit.pool`.

Over an authenticated connection to its parent (`kit.child`) come stack tasks and the words to stop, to pause and to go
on, and go the records of the runs. When the parent is gone, so is the worker: the logs hold everything that was
acknowledged. A parent may also have a function called, with the engine and the registry: that is how `kit check` looks
at a backend. A worker without a backend does only that.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from kit.child import call_back
from kit.errors import DeviceLostError, KitError


def listen(connection: Connection, tasks: queue.Queue[Any], stop: threading.Event, pause: threading.Event) -> None:
    """The parent's words, as they come, while the main thread trains."""
    while True:
        try:
            word, content = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone; whatever was acknowledged is on disk
        except BaseException:  # what cannot be received (memory, an object's own fault) would leave both sides waiting
            traceback.print_exc()
            os._exit(1)
        if word == "stop":
            stop.set()
        elif word == "pause":
            pause.set()
        elif word == "resume":
            pause.clear()
        else:
            stop.clear()  # here, where the order of the words is kept: a stop that follows a task is meant for it
            pause.clear()
            tasks.put((word, content))


def tell(connection: Connection, word: tuple[str, Any]) -> None:
    """Say something to the parent. When it is gone, so is this process: that is no failure of the run."""
    try:
        connection.send(word)
    except OSError:
        os._exit(0)


def called(function: str, arguments: tuple[Any, ...], *, engine: Any, registry: Any) -> tuple[str, Any]:
    """("answer", what `function(engine, registry, *arguments)` gives), or ("raised", what it raised, in words)."""
    from kit.ledger import said
    from kit.records import resolve

    try:
        return "answer", resolve(function)(engine, registry, *arguments)
    except BaseException as error:  # sys.exit() of a plugin too: it ends the call, not the worker
        traceback.print_exc()
        return "raised", said(error)


def serve(connection: Connection) -> None:
    """Train what comes until told to close."""
    _, opening = connection.recv()
    sys.path[:] = list(dict.fromkeys([*opening["path"], *sys.path]))
    from kit.records import resolve
    from kit.registry import Registry
    from kit.run import carry_out, versions

    registry = Registry.load()
    engine, backend = None, opening["backend"]
    try:
        if backend is not None:
            engine = resolve(registry.find("backend", backend).engine)(threads=opening["threads"])
        facts = {"versions": versions(engine) if engine is not None else {}, "pid": os.getpid()}
    except KitError as error:
        connection.send(("refused", str(error)))
        return
    connection.send(("ready", facts))
    tasks: queue.Queue[Any] = queue.Queue()
    stop, pause = threading.Event(), threading.Event()
    threading.Thread(target=listen, args=(connection, tasks, stop, pause), daemon=True).start()
    while True:
        word, content = tasks.get()
        if word == "close":
            return
        if word == "call":
            tell(connection, called(*content, engine=engine, registry=registry))
            continue
        assert engine is not None, "a worker without a backend trains nothing"
        if word == "devices":
            connection.send(("devices", engine.devices()))
            continue
        try:
            carry_out(
                content,
                engine,
                registry,
                lambda run, record: tell(connection, ("record", (run, record))),
                stop.is_set,
                pause.is_set,
            )
        except DeviceLostError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)  # the parent hears of it, and starts another
        tell(connection, ("finished", None))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it sends the word to stop
    connection = call_back()
    serve(connection)
    connection.close()


if __name__ == "__main__":
    main()
