"""Names data by their content, so that a run on the same data is found and one on other data is not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from kit.data.data import Data
from kit.data.mapped import Mapped
from kit.errors import DataError

SAMPLED_BYTES = 2**20  # of each of three places in a file


def fingerprint(data: Data) -> str:
    """16 hexadecimal digits; equal data have equal fingerprints, wherever they came from.

    A memory map is known by its shape, its file's size and time of change, and a megabyte each from its start, middle
    and end: to read it whole may take minutes. Its path does not count.
    """
    content = hashlib.sha256()
    content.update(repr((data.task, data.classes, data.image_shape, data.tokens)).encode())
    for name in ("x", "y", "x_validation", "y_validation"):
        values = getattr(data, name)
        if values is not None:
            content.update(f"{name}{values.shape}{values.dtype.newbyteorder('<').str}".encode())
            _add(content, values)
    return content.hexdigest()[:16]


def _add(content: Any, values: Any) -> None:
    if not isinstance(values, Mapped):
        content.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data.cast("B"))
        return
    try:
        status = Path(values.path).stat()
    except OSError as error:
        raise DataError(f"The memory-mapped file '{values.path}' cannot be read: {error.strerror}.") from error
    content.update(f"{status.st_size} {status.st_mtime_ns} {values.offset} {values.left_out}".encode())
    rows = min(len(values), max(1, SAMPLED_BYTES // max(1, values.row_bytes)))
    for start in (0, (len(values) - rows) // 2, len(values) - rows):
        content.update(values[start : start + rows].tobytes())
