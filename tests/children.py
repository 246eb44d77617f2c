"""The processes that a test has started."""

from __future__ import annotations

import contextlib

import psutil


def running(module: str) -> list[psutil.Process]:
    """Those of this process's children, and theirs, that run `python -m MODULE`. One that has ended and that nobody
    waited for (another test's, a zombie) has no command line any more."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie too
            if module in child.cmdline():
                found.append(child)
    return found
