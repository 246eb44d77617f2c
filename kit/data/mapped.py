"""Arrays that stay on disk: larger than memory, larger than the address space that a worker is allowed.

The file is never mapped as a whole. What a chunk of training needs is read in the order in which it lies in the file,
through windows that are mapped one after another, so that neither memory nor address space grows with the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kit.errors import DataError

WINDOW_BYTES = 64 * 2**20  # mapped at once


@dataclass(frozen=True, eq=False)
class Mapped:
    """A C-ordered array in a file, as (path, dtype, shape, offset): what travels to a worker instead of the array."""

    path: str
    dtype: Any
    shape: tuple[int, ...]
    offset: int = 0

    @classmethod
    def of(cls, array: np.memmap[Any, Any]) -> Mapped:
        """Raises `DataError` for a view that is not a contiguous stretch of its file, or a file that is not there."""
        if array.filename is None or not array.flags["C_CONTIGUOUS"]:
            raise DataError(
                "A memory-mapped array must be a C-ordered stretch of its file; copy the part you need first."
            )
        base = array
        while isinstance(base.base, np.memmap):
            base = base.base
        start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        return cls(str(Path(array.filename).absolute()), array.dtype, array.shape, int(base.offset + start))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def row_bytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * int(np.prod(self.shape[1:], dtype=np.int64)))

    def rows(self, start: int, stop: int) -> Any:
        """Rows start … stop − 1, copied."""
        with self._open() as file:
            file.seek(self.offset + start * self.row_bytes)
            flat = np.fromfile(
                file, dtype=self.dtype, count=(stop - start) * (self.row_bytes // np.dtype(self.dtype).itemsize)
            )
        return flat.reshape((stop - start, *self.shape[1:]))

    def __getitem__(self, key: slice) -> Any:
        start, stop, _ = key.indices(len(self))
        return self.rows(start, max(start, stop))

    def gather(self, indices: Any) -> Any:
        """The rows of an index array of any shape, copied: (*indices.shape, *sample)."""
        wanted, back = np.unique(np.asarray(indices).ravel(), return_inverse=True)
        found = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        per_window = max(1, WINDOW_BYTES // max(1, self.row_bytes))
        with self._open() as file:
            done = 0
            while done < len(wanted):
                first = int(wanted[done])
                end = int(np.searchsorted(wanted, first + per_window, side="left"))
                self._window(file, wanted[done:end], found[done:end])
                done = end
        return found[back].reshape((*np.shape(indices), *self.shape[1:]))

    def _window(self, file: Any, wanted: Any, into: Any) -> None:
        """Copy the wanted rows, which lie within one window, through a mapping of just their stretch."""
        import mmap

        begin = self.offset + int(wanted[0]) * self.row_bytes
        aligned = begin - begin % mmap.ALLOCATIONGRANULARITY
        end = self.offset + (int(wanted[-1]) + 1) * self.row_bytes
        with mmap.mmap(file.fileno(), end - aligned, access=mmap.ACCESS_READ, offset=aligned) as view:
            rows = int(wanted[-1] - wanted[0]) + 1
            flat = np.frombuffer(
                view,
                dtype=self.dtype,
                count=rows * self.row_bytes // np.dtype(self.dtype).itemsize,
                offset=begin - aligned,
            )
            np.take(flat.reshape((rows, *self.shape[1:])), wanted - wanted[0], axis=0, out=into)
            del flat  # a mapping with an array on it cannot be closed

    def _open(self) -> Any:
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed by the callers' with
        except OSError as error:
            raise DataError(f"The memory-mapped file '{self.path}' cannot be read: {error.strerror}.") from error
        size = os.fstat(file.fileno()).st_size
        if size < self.offset + len(self) * self.row_bytes:
            file.close()
            raise DataError(
                f"The memory-mapped file '{self.path}' has {size} bytes, fewer than its array of shape "
                f"{self.shape} needs."
            )
        return file
