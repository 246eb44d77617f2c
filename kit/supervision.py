"""Watching over a plugin while its code runs in the host: during its import, and in its hooks.

One that is slow is named while it still runs, so that nobody waits for who knows what; one that takes too long is left
out; and where it forks the process, the copy ends instead of going on with the host's work beside the host.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.entry_points import EntryPoint
    from kit.ledger import Ledger

NOTICE_SECONDS = 3.0  # after which a plugin is named
LIMIT_SECONDS = 60.0  # after which it is left out, unless KIT_PLUGIN_SECONDS says otherwise
_forks = 0


def _count() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_count)  # `subprocess` does not come by here: it forks only to become another


class TooSlowError(BaseException):
    """A plugin's code took longer than it may. No `Exception`, which the plugin itself might catch."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"It took longer than {seconds:g} s and is left out; KIT_PLUGIN_SECONDS=… allows more.")


@contextlib.contextmanager
def supervised(point: EntryPoint, ledger: Ledger, when: str) -> Iterator[None]:
    """Run a plugin's code. when: what it does, e.g. "while it was imported". What it did beside goes into the ledger.

    Raises `TooSlowError` out of the block where it takes too long; in the main thread of a Unix process only.
    """
    process, forks, began = os.getpid(), _forks, time.monotonic()
    notice = threading.Timer(NOTICE_SECONDS, _say, (point, when))
    notice.daemon = True
    notice.start()
    try:
        with _limited(limit()):
            yield
    finally:
        if os.getpid() != process:
            os._exit(0)  # a copy that the plugin forked and let return
        notice.cancel()
        elapsed = time.monotonic() - began
        if elapsed > NOTICE_SECONDS:
            ledger.add(point, "slow", f"It took {elapsed:.0f} s {when}.")
        if _forks > forks:
            ledger.add(point, "process", f"It forked this process {when}; a copy that came back was ended.")


def limit() -> float:
    """Seconds that a plugin may take; 0: as long as it likes."""
    try:
        return max(0.0, float(os.environ.get("KIT_PLUGIN_SECONDS", LIMIT_SECONDS)))
    except ValueError:
        return LIMIT_SECONDS


def _say(point: EntryPoint, when: str) -> None:
    sentence = f"The plugin '{point.name}' ({point.distribution} {point.version}) takes long {when}"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be no standard error
        print(f"{sentence}; KIT_BLOCK={point.name} leaves it out.", file=sys.__stderr__, flush=True)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `TooSlowError` in the block after so many seconds, where the process has a timer to spare for it."""
    main = threading.current_thread() is threading.main_thread()
    if not seconds or not main or not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(seconds)

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
