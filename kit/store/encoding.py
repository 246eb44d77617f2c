"""One log record as one line of strict JSON with a checksum, and back.

    {"kind":"points","first":1,"seconds":[0,0.004],"metrics":{"batch_loss":[2.31,2.28]},"crc":"5e0c21b7"}

`crc` is CRC-32 of what stands before it, started from the name of the run and attempt, so that a damaged record and
one of another run's log are both seen. Numbers that are not finite are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

from kit.outcome import STATUSES

_CRC = b',"crc":"'
_SUFFIX = len(_CRC) + 8 + len(b'"}')
Record = dict[str, Any]


def _plain(value: Any) -> Any:
    """NumPy arrays and scalars as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"A log record cannot hold a {type(value).__name__}.")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


@lru_cache(maxsize=256)
def _format(count: int) -> str:
    # 17 significant digits give back the very float, at 0.24 µs each; the shortest such text takes 0.57.
    return ",".join(["%.17g"] * count)


def _encode_points(record: Record) -> str:
    """A points record, whose many numbers are formatted in one go. Raises `ValueError` if one is not finite."""
    parts = []
    for name, values in record["metrics"].items():
        numbers = values.tolist() if hasattr(values, "tolist") else values
        text = _format(len(numbers)) % tuple(numbers)
        if "n" in text:  # inf, nan
            raise ValueError
        parts.append(f"{_encode(name)}:[{text}]")
    rest = _encode({key: value for key, value in record.items() if key != "metrics"})
    return f'{rest[:-1]},"metrics":{{{",".join(parts)}}}}}'


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
        text = _encode_points(record) if record["kind"] == "points" else _encode(record)
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


def _step(value: Any) -> int:
    step = int(value)
    if not 0 <= step < 1 << 62:
        raise ValueError
    return step


def _restored(record: Record) -> Record:
    kind = record["kind"]
    if kind == "points":
        record["metrics"] = {name: [float(v) for v in values] for name, values in record["metrics"].items()}
        record["first"] = _step(record["first"])
        before, after = record["seconds"]
        record["seconds"] = [float(before), float(after)]
        if "gradients" in record:
            record["gradients"] = [_step(count) for count in record["gradients"]]
            if any(len(values) != len(record["gradients"]) for values in record["metrics"].values()):
                raise ValueError
    elif kind == "evaluation":
        record["metrics"] = {name: float(value) for name, value in record["metrics"].items()}
        record["step"], record["seconds"] = _step(record["step"]), float(record["seconds"])
        if "gradients" in record:
            record["gradients"] = _step(record["gradients"])
    elif kind == "start":
        record["from_step"] = _step(record["from_step"])
    elif kind == "checkpoint":
        record["step"] = _step(record["step"])
    elif kind == "end":
        record["reason"] = str(record.get("reason", ""))
        if record["status"] not in STATUSES:
            raise ValueError
    return record
