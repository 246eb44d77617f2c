"""One of several processes that train a run together: `python -m kit.rank`, started by `kit.crew`.

Over an authenticated connection to its parent (`kit.child`) comes the task, from which it makes its own part of the
program, and then every call of the program. Writes into no store. When the parent is gone, so is it, whatever it is
waiting for.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from kit.child import call_back
from kit.engine import TellsLoss
from kit.errors import KitError

Word = tuple[str, Any]


def listen(connection: Connection, words: queue.Queue[Word]) -> None:
    """The parent's words, as they come, while the main thread may be waiting for another rank."""
    while True:
        try:
            words.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


class Member:
    """This process's part."""

    def __init__(self, opening: dict[str, Any]) -> None:
        from kit.records import resolve
        from kit.registry import Registry

        self.task, self.registry = opening["task"], Registry.load()
        self.engine = resolve(opening["engine"])(opening["rank"], opening["threads"])
        self.program: Any = None

    def compile(self, steps: int) -> None:
        from kit.job import build

        job = build(self.task, self.registry)
        self.device = job.device
        self.program = self.engine.compile(
            job.problem, job.optimizer, job.stack, device=job.device, dtype=job.dtype, steps=steps
        )

    def call(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return getattr(self.program, method)(*arguments, **named)

    def advance(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        losses = self.program.advance(*arguments, **named)
        return losses, self.program.compile_seconds, getattr(self.program, "evaluations", None)

    def memory(self) -> int:
        from kit.memory import peak_memory_bytes

        found = self.engine.peak_memory_bytes(self.device)
        return peak_memory_bytes() if found is None else int(found)


def serve(opening: dict[str, Any], take: Callable[[], Word], tell: Callable[[Word], None]) -> None:
    """Do what comes, until it is told to close. A failure is said, and is the last thing that is done.

    opening: "rank" (`kit.parallel.Rank`), "task", "threads", "engine" (a `Parallel`'s), "path" (of imports).
    """
    sys.path[:] = list(dict.fromkeys([*opening["path"], *sys.path]))
    member: Member | None = None
    while True:
        word, content = take()
        if word == "close":
            return
        try:
            member = member or Member(opening)
            answer = getattr(member, word)(*content)
        except KitError as error:
            tell(("failed", str(error)))
        except Exception as error:
            traceback.print_exc()
            engine = None if member is None else member.engine
            if isinstance(engine, TellsLoss) and engine.lost_device(error):
                os._exit(1)  # whoever conducts hears of it, and the run is taken up again
            tell(("failed", f"{type(error).__name__}: {error}"))
        else:
            tell(("done", answer if opening["rank"].number == 0 or word == "memory" else None))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to answer
    connection = call_back()
    opening = connection.recv()
    words: queue.Queue[Word] = queue.Queue()
    threading.Thread(target=listen, args=(connection, words), daemon=True).start()
    serve(opening, words.get, connection.send)


if __name__ == "__main__":
    main()
