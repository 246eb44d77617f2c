"""Files and folders that live as long as whoever made them: a worker's output, the place where ranks meet.

Who is killed cannot remove what it made. So each is locked by its maker (and by a child that has it open), and the
first one that a process makes has those removed that nobody locks any more.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no locks, so nothing is known to be abandoned
    fcntl = None  # type: ignore[assignment]

PREFIX = "kit-scratch-"
AGE_SECONDS = 60.0  # one that is younger may not be locked yet


class Scratch:
    """A file or a folder in the machine's temporary folder, for its user only. `descriptor`: of it, open and locked; a
    child that inherits it holds the lock too."""

    def __init__(self, name: str, *, folder: bool = False) -> None:
        sweep()
        if folder:
            self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-"))
            self.descriptor = -1 if fcntl is None else os.open(self.path, os.O_RDONLY)
        else:
            self.descriptor, path = tempfile.mkstemp(prefix=f"{PREFIX}{name}-", suffix=".log")
            self.path = Path(path)
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def let_go(self) -> None:
        """Leave it to a child that has it open; `remove` still removes it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def remove(self) -> None:
        """Twice is harmless."""
        self.let_go()
        _remove(self.path)


@cache
def sweep() -> None:
    """Remove what was abandoned. Once in a process."""
    if fcntl is None:
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = path.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > AGE_SECONDS and _abandoned(path):
                _remove(path)


def _abandoned(path: Path) -> bool:
    """Raises `OSError` where it cannot be known."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises where somebody holds it
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
