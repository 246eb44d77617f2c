"""The log of one attempt: one JSON record a line (see `kit.store.encoding`), appended by one writer, one `write` each.

A record is acknowledged when `append` returns: the operating system has it, and the death of the process does not take
it back. Nothing waits for the disk: the death of the machine may cost the last seconds, which a run repeats from its
checkpoint.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from kit.errors import StoreError
from kit.store.encoding import Record, decode, encode, owner
from kit.store.files import BINARY, FILE_MODE, explain, make_folder, open_to_read, read_file, write_all, writing

try:
    import fcntl
except ImportError:  # Windows: no locks, so a run without an ending counts as lost even while it trains
    fcntl = None  # type: ignore[assignment]

LOG = "log.jsonl"
LOCK_SECONDS = 5.0  # a killed writer's lock may outlive it for a moment
_BLOCK = 1 << 20
_COUNTED = ("checkpoint", "end")  # records that say which line they are, so that a line missing before them is seen


@dataclass(frozen=True, kw_only=True)
class LogContents:
    """A log as read."""

    records: list[Record]
    damaged: list[int] = field(default_factory=list)  # for each damaged line, how many whole records stand before it
    size: int = 0  # bytes of complete lines; what follows is the torn tail of a write that was never acknowledged


def scan_log(path: Path) -> LogContents:
    """Read a log, damaged lines left out and counted. Raises `OSError` where there is none."""
    data = read_file(path)
    seed = crc32(owner(path.parent).encode())
    records: list[Record] = []
    damaged: list[int] = []
    *lines, tail = data.split(b"\n")
    for number, line in enumerate(lines):
        record = decode(line, seed)
        if record is None or record.get("line", number) != number:  # damaged; or lines before it are missing
            damaged.append(len(records))
        if record is not None:
            records.append(record)
    return LogContents(records=records, damaged=damaged, size=len(data) - len(tail))


def read_log(path: str | Path) -> list[Record]:
    """The records of a log, oldest first, without a torn tail and without damaged lines.

    Raises `StoreError` where there is no log.
    """
    try:
        return scan_log(Path(path)).records
    except OSError as error:
        raise StoreError(f"There is no log to read at {path}: {error.strerror or error}.") from error


def has_writer(folder: Path) -> bool:
    """Whether a process holds this attempt's log open for writing."""
    if fcntl is None:
        return False
    try:
        descriptor = open_to_read(folder / LOG)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


class AttemptLog:
    """Appends to the log of one attempt. Made by its one writer, which holds the log's lock until `close`.

    folder: the attempt's, `<store>/runs/<id>/attempt-<n>`. A torn tail that a dead writer left is cut off.
    Raises `StoreError` if the folder cannot be written, or another process is writing.
    """

    _descriptor = -1  # closed
    _lines, _end = 0, 0  # acknowledged records, and their bytes
    _torn = False  # there may be part of a record after them

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / LOG
        self._seed = crc32(owner(self.path.parent).encode())
        with writing(self.path):
            make_folder(self.path.parent)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, FILE_MODE)
        try:
            self._lock()
            with writing(self.path):
                self._lines, self._end = _whole_lines(self._descriptor)
                self._cut()
        except BaseException:
            self.close()
            raise

    def append(self, record: Record) -> None:
        """Write a record, numbers as floats, arrays or lists. When this returns, the record is kept.

        Raises `StoreError` (disk full, …): then nothing of it is in the log, and a later call may succeed.
        """
        if self._descriptor < 0:
            raise StoreError(f"The log {self.path} is closed.")
        if record["kind"] in _COUNTED:
            record = {**record, "line": self._lines}
        data = encode(record, self._seed)
        try:
            if self._torn:
                self._cut()
            self._torn = True
            if os.write(self._descriptor, data) != len(data):  # the disk filled up in the middle
                self._cut()
                write_all(self._descriptor, data)  # says why
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise explain(error, self.path) from error
        self._torn = False
        self._end += len(data)
        self._lines += 1

    def close(self) -> None:
        """Give the log up. Closing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)  # and with it goes the lock
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()

    def _cut(self) -> None:
        """Take back what was written of a record that is not acknowledged."""
        os.ftruncate(self._descriptor, self._end)
        self._torn = False

    def _lock(self) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while fcntl is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(f"Another process is writing to {self.path}; an attempt has one writer.") from None
                time.sleep(0.01)
            except OSError:  # a file system without locks
                return


def _whole_lines(descriptor: int) -> tuple[int, int]:
    """(complete lines, their bytes)."""
    lines = end = position = 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    while block := os.read(descriptor, _BLOCK):
        lines += block.count(b"\n")
        if (newline := block.rfind(b"\n")) >= 0:
            end = position + newline + 1
        position += len(block)
    return lines, end
