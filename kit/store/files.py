"""Files of a store: readable by their user only, replaced atomically, and read without trust."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kit.errors import StoreError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
Buffer = bytes | memoryview
BINARY = getattr(os, "O_BINARY", 0)  # Windows would write "\r\n"
PARTIAL = ".partial"  # ends the name of a file that is being written
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def explain(error: OSError, path: Path) -> StoreError:
    """The sentence for a write that failed."""
    if error.errno in _FULL:
        return StoreError(
            f"The store cannot be written: no space is left for {path} ({error.strerror}). What was recorded so far is "
            "kept; free some space and run again to continue."
        )
    if error.errno in _READ_ONLY:
        return StoreError(
            f"The store cannot be written: {path} is read-only here ({error.strerror}). It can still be read; "
            "to record runs, name another folder with store=… or --store."
        )
    return StoreError(f"The store cannot be written at {path}: {error.strerror or error}.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an `OSError` inside into a `StoreError` with a sentence."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def make_folder(path: Path) -> None:
    """Make a folder for its user only; what stands above it is made with the user's ordinary permissions."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def write_all(descriptor: int, data: Buffer) -> None:
    """Write all of it, however little one call takes."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]


def replace_file(path: Path, parts: Iterable[Buffer], *, durable: bool = False) -> None:
    """Write a file beside `path` and put it in its place, so that nobody ever sees half of it.

    durable: wait until the disk has it (it then survives the machine's death, not only the process's).
    Raises `OSError`, and leaves `path` as it was.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, FILE_MODE)
        try:
            for part in parts:
                write_all(descriptor, part)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half written. Call it only where nobody writes."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(".") and path.name.endswith(PARTIAL):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk once its folder is. Some systems cannot sync a folder; then there is no more to do."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_to_read(path: Path) -> int:
    """A descriptor of a regular file; a link or a pipe in a stranger's store is not followed or waited for.

    Raises `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def read_file(path: Path) -> bytes:
    """The content of a regular file. Raises `OSError`."""
    with open(open_to_read(path), "rb") as file:
        return file.read()
