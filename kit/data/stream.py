"""Samples that are read from disk while a run trains, chunk by chunk, and ahead of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from kit.data.buffers import Buffers
from kit.data.mapped import Mapped
from kit.data.reader import Reader
from kit.data.view import View

Samples = tuple[Any, Any]
PIECE_VALUES = 2**17  # of samples that are read and standardised together: 1 MB in float64


class Stream:
    """The training splits of some replicates, or one that all share."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)
        x, y = self.views[0].sources["train"]
        self._x, self._y = _rows_of(x), _rows_of(y)
        self._x_buffers, self._y_buffers = Buffers(), Buffers()
        self._reading = threading.Lock()  # a reader's cache is one thread's at a time
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: tuple[Any, Future[Samples]] | None = None

    def gather(self, indices: Any) -> Samples:
        """Finished samples at positions (K, R, B): x (K, R, B, *sample), y (K, R, B[, outputs])."""
        if self._ahead is not None and np.array_equal(self._ahead[0], indices):
            future, self._ahead = self._ahead[1], None
            return future.result()
        return self._gather(indices)

    def prefetch(self, indices: Any) -> None:
        """Begin to gather in a thread. What was begun before and not asked for is forgotten."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kit-data")
        if self._ahead is not None:
            self._ahead[1].cancel()
        self._ahead = (indices, self._thread.submit(self._gather, indices))

    def _gather(self, indices: Any) -> Samples:
        """As `gather`, some steps at a time: a piece is standardised while it is still in a core's cache."""
        x_shape, x_type, y_shape, y_type = self.views[0].shape("train")
        x = self._x_buffers.take((*indices.shape, *x_shape), x_type)
        y = self._y_buffers.take((*indices.shape, *y_shape), y_type)
        shared = len(self.views) == 1
        steps = max(1, PIECE_VALUES // max(1, indices[0].size * math.prod(x_shape)))
        for first in range(0, len(indices), steps):
            part = slice(first, first + steps)
            for r, view in enumerate(self.views):
                place = part if shared else (part, r)
                self._fill(view, indices[place], x[place], y[place])
        return x, y

    def _fill(self, view: View, positions: Any, x_into: Any, y_into: Any) -> None:
        """Finished samples at positions of any shape, into (*positions.shape, …)."""
        rows = view.rows["train"][positions.ravel()]
        with self._reading:
            x, y = self._x(rows), self._y(rows)
        into = [array.reshape(len(rows), *array.shape[positions.ndim :]) for array in (x_into, y_into)]
        view.finish(x, y, rows, *into)
        if not x_into.flags.c_contiguous:  # one replicate of several: it does not lie in one piece, so these are copies
            for array, filled in zip((x_into, y_into), into, strict=True):
                array[...] = filled.reshape(array.shape)


def _rows_of(source: Any) -> Callable[[Any], Any]:
    return Reader(source).rows if isinstance(source, Mapped) else source.__getitem__
