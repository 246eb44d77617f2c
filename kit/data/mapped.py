"""Arrays that stay on disk: larger than memory, larger than the address space that a worker is allowed.

A `Mapped` is where the numbers are, not the numbers: it travels to a worker in their place, and the file is never
mapped there nor read as a whole.

    Mapped.of(np.load("x.npy", mmap_mode="r"))      # what a user passed
    Mapped.open("x.npy")                            # the same, without mapping the file here either
    mapped[1000:2000], mapped.gather([5, 70_000])   # copies of those rows
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from kit.errors import DataError

GAP_BYTES = 4096  # rows that lie closer than a page are read together
READ_BYTES = 2**24  # read at once


@dataclass(frozen=True, eq=False)
class Mapped:
    """A C-ordered array in a file. Raises `DataError` when rows are read and the file is gone, unreadable or cut."""

    path: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int = 0  # bytes before the first row
    left_out: int | None = None  # the column of the file that is the target and not in `shape`

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Mapped | None:
        """Where a memory-mapped array, or a view of one, lies; None for an array that lies in memory.

        Raises `DataError` for a view that is not a contiguous stretch of its file.
        """
        root: Any = array
        while isinstance(root, np.ndarray) and not isinstance(root.base, mmap.mmap):
            root = root.base
        # Mode "c" is copy-on-write: what the user changed is in memory alone.
        if not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
            return None
        if not array.flags["C_CONTIGUOUS"]:
            raise DataError(
                f"A memory-mapped array must be a contiguous stretch of its file, row after row; this view of "
                f"'{root.filename}' is not. Copy the part that you need, or save it in C order."
            )
        # A view's own `offset` attribute is its root's; its address says where it really begins.
        begins = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        return cls(str(Path(root.filename).absolute()), array.dtype, array.shape, int(root.offset + begins))

    @classmethod
    def open(cls, path: str | Path) -> Mapped:
        """A `.npy` file, of which only the header is read. Raises `DataError` when it is not one."""
        file = Path(path).absolute()
        try:
            with file.open("rb") as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = read(stream)
                offset = stream.tell()
        except FileNotFoundError:
            raise DataError(f"There is no file '{path}' (looked in {file.parent}).") from None
        except (OSError, ValueError) as error:
            raise DataError(f"'{path}' cannot be read as a NumPy array: {reason(error)}") from error
        if fortran and len(shape) > 1:
            raise DataError(f"'{path}' is stored column after column; save it in C order: np.ascontiguousarray(x).")
        return cls(str(file), dtype, shape, offset)

    def without_column(self, column: int) -> Mapped:
        """The same rows of a 2-D array without one column."""
        return replace(self, shape=(self.shape[0], self.shape[1] - 1), left_out=column)

    def reshaped(self, *shape: int) -> Mapped:
        """The same rows, each of another shape of as many numbers."""
        return replace(self, shape=shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Of one row in the file."""
        return self.shape[1:] if self.left_out is None else (self.shape[1] + 1,)

    @property
    def row_bytes(self) -> int:
        return int(self.dtype.itemsize * np.prod(self.stored_shape, dtype=np.int64))

    def rows_from(self, content: Any) -> Any:
        """Rows as they lie in the file, (n, *stored_shape) or bytes, as rows of the array: (n, *shape[1:])."""
        rows = np.frombuffer(content, dtype=self.dtype) if isinstance(content, bytearray) else content
        rows = rows.reshape(-1, *self.stored_shape)
        return rows if self.left_out is None else np.delete(rows, self.left_out, axis=1)

    def __getitem__(self, key: slice) -> Any:
        """The rows of a slice without a step, copied."""
        start, stop, step = key.indices(len(self))
        if step != 1:
            raise IndexError("the rows of a mapped array are read without a step; use gather")
        with self.opened() as file:
            return self.rows_from(self.read(file, start, max(start, stop)))

    def column(self, column: int) -> Any:
        """One column of a 2-D file, copied: (rows,)."""
        whole = replace(self, shape=(self.shape[0], *self.stored_shape), left_out=None)
        rows = max(1, READ_BYTES // max(1, self.row_bytes))
        return np.concatenate([whole[i : i + rows][:, column] for i in range(0, len(self), rows)])

    def gather(self, indices: Any) -> Any:
        """The rows of an index array of any shape, copied: (*indices.shape, *shape[1:]). Read in the file's order."""
        flat = np.asarray(indices).ravel()
        order = np.argsort(flat, kind="stable")
        wanted = flat[order]  # ascending
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        runs = list(self._runs(wanted))
        with self.opened() as file:
            if self.left_out is None and 2 * len(runs) > len(wanted):
                self._read_apart(file, wanted, order, found)
            else:
                for begin, end in runs:
                    first = int(wanted[begin])
                    rows = self.rows_from(self.read(file, first, int(wanted[end - 1]) + 1))
                    found[order[begin:end]] = rows[wanted[begin:end] - first]
        return found.reshape((*np.shape(indices), *self.shape[1:]))

    def _read_apart(self, file: FileIO, wanted: Any, places: Any, found: Any) -> None:
        """Rows that lie far apart, each read straight into its place: an array in between costs as much again."""
        content, size = memoryview(found.reshape(-1).view(np.uint8)), self.row_bytes
        at_once = getattr(os, "preadv", None)  # Windows has none
        descriptor = file.fileno()
        for row, place in zip(wanted.tolist(), places.tolist(), strict=True):
            part = content[place * size : (place + 1) * size]
            if at_once is None or at_once(descriptor, (part,), self.offset + row * size) != size:
                self.read_into(file, row, part)

    def _runs(self, wanted: Any) -> Iterator[tuple[int, int]]:
        """Stretches [begin, end) of ascending row numbers that are worth reading at once."""
        apart = np.flatnonzero((np.diff(wanted) - 1) * self.row_bytes > GAP_BYTES) + 1
        longest = max(1, READ_BYTES // (self.row_bytes + GAP_BYTES))
        for begin, end in zip([0, *apart], [*apart, len(wanted)], strict=True):
            for start in range(int(begin), int(end), longest):
                yield start, min(start + longest, int(end))

    def read(self, file: FileIO, start: int, stop: int) -> bytearray:
        """Rows start … stop − 1 as bytes, from a file that `opened` gave."""
        content = bytearray((stop - start) * self.row_bytes)
        self.read_into(file, start, memoryview(content))
        return content

    def read_into(self, file: FileIO, start: int, content: memoryview) -> None:
        """Fill a buffer with the rows from `start` on."""
        file.seek(self.offset + start * self.row_bytes)
        while len(content):  # one call reads 2 GB at most
            done = file.readinto(content)
            if not done:
                raise DataError(f"'{self.path}' ends where more rows should be: the file was cut while it was used.")
            content = content[done:]

    @contextmanager
    def opened(self) -> Iterator[FileIO]:
        """The file, unbuffered, closed afterwards."""
        try:
            file = FileIO(self.path)
        except OSError as error:
            raise DataError(f"The memory-mapped file '{self.path}' cannot be read: {error.strerror}.") from error
        with file:
            size = os.fstat(file.fileno()).st_size
            if size < self.offset + len(self) * self.row_bytes:
                raise DataError(
                    f"The memory-mapped file '{self.path}' has {size} bytes, fewer than its array of shape "
                    f"{self.shape} needs; it was cut after it was opened."
                )
            yield file


def chunked(values: Any) -> Iterator[Any]:
    """The rows of an array, wherever it lies, in stretches of at most 16 MB."""
    rows = max(1, READ_BYTES * len(values) // max(1, values.size * values.dtype.itemsize))
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def reason(error: Exception) -> str:
    """Another library's message as the end of a sentence."""
    return f"{' '.join(str(error).split()).rstrip('.')}."
