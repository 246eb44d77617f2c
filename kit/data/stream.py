"""Samples that are read from disk while a run trains, chunk by chunk, and ahead of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from kit.data.mapped import Mapped
from kit.data.reader import Reader
from kit.data.view import View

Samples = tuple[Any, Any]


class Stream:
    """The training splits of some replicates, or one that all share."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)
        x, y = self.views[0].sources["train"]
        self._x, self._y = _rows_of(x), _rows_of(y)
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
        if len(self.views) == 1:
            return self._finished(self.views[0], indices)
        done = [self._finished(view, indices[:, r]) for r, view in enumerate(self.views)]
        return np.stack([x for x, _ in done], axis=1), np.stack([y for _, y in done], axis=1)

    def _finished(self, view: View, positions: Any) -> Samples:
        rows = view.rows["train"][positions]
        with self._reading:
            x, y = self._x(rows), self._y(rows)
        return view.finished(x, y, rows)


def _rows_of(source: Any) -> Callable[[Any], Any]:
    return Reader(source).rows if isinstance(source, Mapped) else source.__getitem__
