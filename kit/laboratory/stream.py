"""What goes to the browser: points, once each, as binary blocks that say where they belong.

A block is a stretch of one curve: evenly spaced steps, with the training seconds at both ends. Its head says how many
points of the curve come before it, so that a browser that has them already drops it, and one that misses some asks for
everything again; two tabs and a reloaded page need nothing else.

    head:   float64 (run, metric, offset, first step, distance of steps, count, seconds before, seconds after)
    values: float32, one after another

A curve of more points than a screen can show is thinned as it comes in: every second point, then every fourth, …
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Block = tuple[tuple[float, ...], Any]  # head, values

HEAD = 8  # numbers in a block's head
FULL = 20_000  # points of a curve, after which the next are taken at twice the distance


@dataclass(kw_only=True, eq=False)
class Curve:
    """The points of one metric of one run that were taken in so far."""

    heads: list[tuple[float, ...]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)  # float32 arrays, one for each head
    count: int = 0
    stride: int = 1
    step: int = -1  # of the last point


class Metrics:
    """Metrics and their numbers, given in the order in which they come; the same for all streams of a lab."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._lock = threading.Lock()

    def number(self, name: str) -> int:
        with self._lock:
            if name not in self.names:
                self.names.append(name)
            return self.names.index(name)


class Stream:
    """Points by run and metric, both numbered. `pending` and `snapshot` give (heads, values) as bytes.

    Several threads may add and read at once.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._curves: dict[tuple[int, int], Curve] = {}
        self._fresh: list[Block] = []
        self._lock = threading.Lock()

    def add(self, run: int, metric: str, first: int, values: Any, seconds: tuple[float, float]) -> None:
        """Points at the steps first, first + 1, …; seconds: of training, before the first and after the last."""
        found = np.asarray(values, dtype=np.float32).reshape(-1)
        with self._lock:
            number = self.metrics.number(metric)
            curve = self._curves.setdefault((run, number), Curve())
            if first <= curve.step:  # a resumed attempt repeats steps that are here
                found, first = found[curve.step + 1 - first :], curve.step + 1
            if not len(found):
                return
            last = first + len(found) - 1
            if curve.count >= FULL * (1 + int(np.log2(curve.stride))):
                curve.stride *= 2
            skip = -first % curve.stride
            head_seconds = seconds[0], seconds[1]
            found = found[skip :: curve.stride]
            curve.step = last
            if len(found):
                head = (run, number, curve.count, first + skip, curve.stride, len(found), *head_seconds)
                curve.heads.append(head)
                curve.values.append(found)
                curve.count += len(found)
                self._fresh.append((head, found))

    def pending(self, unseen: Collection[str] = ()) -> tuple[bytes, bytes] | None:
        """What was added since the last call; None where nothing was. unseen: metrics to leave out."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        kept = self._seen(fresh, unseen)
        return packed(kept) if kept else None

    def snapshot(self, unseen: Collection[str] = ()) -> tuple[bytes, bytes]:
        """Everything but `unseen`. What is pending stays so: a browser that has it drops it."""
        with self._lock:
            blocks = [block for c in self._curves.values() for block in zip(c.heads, c.values, strict=True)]
        return packed(self._seen(blocks, unseen))

    def _seen(self, blocks: list[Block], unseen: Collection[str]) -> list[Block]:
        without = {self.metrics.number(name) for name in unseen if name in self.metrics.names}
        return [block for block in blocks if block[0][1] not in without] if without else blocks

    @property
    def size(self) -> int:
        """Points in all curves."""
        with self._lock:
            return sum(curve.count for curve in self._curves.values())


def packed(blocks: list[Block]) -> tuple[bytes, bytes]:
    """(heads, values) of blocks, as bytes."""
    heads = np.array([head for head, _ in blocks], dtype=np.float64)
    values = np.concatenate([values for _, values in blocks]) if blocks else np.zeros(0, dtype=np.float32)
    return heads.tobytes(), values.tobytes()
