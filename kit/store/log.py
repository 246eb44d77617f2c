"""The log of one attempt: one JSON record a line, appended by one writer with one `write` each.

    {"kind":"points","first":1,"metrics":{"batch_loss":[2.31,2.28]},"seconds":[0.0,0.004],"crc":"5e0c21b7"}

A record is acknowledged when `append` returns: the operating system has it, and the death of the process does not take
it back. Nothing waits for the disk: the death of the machine may cost the last seconds, which a run repeats from its
checkpoint.

`crc` is CRC-32 of what stands before it, started from the name of the run and attempt, so that a damaged record and
one of another run's log are both seen. Numbers that are not finite are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from kit.errors import StoreError
from kit.store.files import FILE_MODE, explain, make_folder, read_file, write_all, writing

try:
    import fcntl
except ImportError:  # Windows: no locks, so a run without an ending counts as lost even while it trains
    fcntl = None  # type: ignore[assignment]

LOG = "log.jsonl"
LOCK_SECONDS = 5.0  # a killed writer's lock may outlive it for a moment
_CRC = b',"crc":"'
_SUFFIX = len(_CRC) + 8 + len(b'"}')
_TAIL = 1 << 16
Record = dict[str, Any]


def _plain(value: Any) -> Any:
    """NumPy arrays and scalars as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"A log record cannot hold a {type(value).__name__}.")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


def finite(value: Any) -> Any:
    """`value` with every number that is not finite as a string, as strict JSON needs it."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value))
    return finite(value.tolist()) if hasattr(value, "tolist") else value


def restored(value: Any) -> Any:
    """What `finite` was given: "nan", "inf" and "-inf" as numbers."""
    if isinstance(value, dict):
        return {key: restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restored(item) for item in value]
    return float(value) if value in ("nan", "inf", "-inf") else value


def owner(folder: Path) -> str:
    """The name of a run's attempt, `<run>/attempt-<n>`, that checksums are bound to."""
    folder = folder.absolute()
    return f"{folder.parent.name}/{folder.name}"


def encode(record: Record, seed: int) -> bytes:
    """A record as its line. seed: CRC-32 of the owner's name."""
    try:
        text = _encode(record)
    except ValueError:  # a number that is not finite
        text = _encode(finite(record))
    body = text[:-1].encode()
    return b'%b%b%08x"}\n' % (body, _CRC, crc32(body, seed))


def decode(line: bytes, seed: int) -> Record | None:
    """A line as its record, with `metrics` as floats; None for one that is damaged or not this log's."""
    body, suffix = line[:-_SUFFIX], line[-_SUFFIX:]
    if suffix != b'%b%08x"}' % (_CRC, crc32(body, seed)):
        return None
    try:
        record = json.loads(body + b"}")
        return _restored(record) if isinstance(record["kind"], str) else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None  # a checksum is no signature: a stranger's record may hold anything


def _restored(record: Record) -> Record:
    kind = record["kind"]
    if kind == "points":
        record["metrics"] = {name: [float(v) for v in values] for name, values in record["metrics"].items()}
        record["first"] = int(record["first"])
        before, after = record["seconds"]
        record["seconds"] = [float(before), float(after)]
    elif kind == "evaluation":
        record["metrics"] = {name: float(value) for name, value in record["metrics"].items()}
        record["step"], record["seconds"] = int(record["step"]), float(record["seconds"])
    elif kind == "start":
        record["from_step"] = int(record["from_step"])
    elif kind == "checkpoint":
        record["step"] = int(record["step"])
    elif kind == "end":
        record["status"], record["reason"] = str(record["status"]), str(record.get("reason", ""))
    return record


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
    for line in lines:
        record = decode(line, seed)
        if record is None:
            damaged.append(len(records))
        else:
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
        descriptor = os.open(folder / LOG, os.O_RDONLY)
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

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / LOG
        self._seed = crc32(owner(self.path.parent).encode())
        with writing(self.path):
            make_folder(self.path.parent)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
        try:
            self._lock()
            with writing(self.path):
                self._end = _whole_lines(self._descriptor)
                os.ftruncate(self._descriptor, self._end)
        except BaseException:
            self.close()
            raise

    def append(self, record: Record) -> None:
        """Write a record, numbers as floats, arrays or lists. When this returns, the record is kept.

        Raises `StoreError` (disk full, …): then nothing of it is in the log, and a later call may succeed.
        """
        if self._descriptor < 0:
            raise StoreError(f"The log {self.path} is closed.")
        data = encode(record, self._seed)
        try:
            if os.write(self._descriptor, data) != len(data):  # the disk filled up in the middle
                os.ftruncate(self._descriptor, self._end)
                write_all(self._descriptor, data)  # says why
        except OSError as error:
            os.ftruncate(self._descriptor, self._end)
            raise explain(error, self.path) from error
        self._end += len(data)

    def close(self) -> None:
        """Give the log up. Closing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)  # and with it goes the lock
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()

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


def _whole_lines(descriptor: int) -> int:
    """Bytes up to and including the last newline."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
