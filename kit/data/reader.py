"""Reads the batches of a mapped array through a bounded cache of blocks.

`kit.batching` shuffles large data so that 1,024 blocks of 256 rows serve the next thousands of steps. A block is read
once, when its first row is asked for, and kept until newer ones need its place: the file is read about once an epoch,
in pieces that a disk likes, and neither memory nor address space grows with it. Rows so large that such a pool would
not fit are read one by one instead, which costs a disk no more per byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.batching import BLOCK, POOL_BLOCKS
from kit.data.mapped import Mapped

CACHE_BYTES = 2**28
SPARE_BLOCKS = 64  # so that the next pool's first blocks do not push out the present one's last


class Reader:
    """Rows of a `Mapped`, by number. Not shared between threads. Raises `DataError` as `Mapped` does."""

    def __init__(self, mapped: Mapped, cache_bytes: int = CACHE_BYTES) -> None:
        self.mapped = mapped
        blocks = -(-len(mapped) // BLOCK)
        self.capacity = min(blocks, POOL_BLOCKS + SPARE_BLOCKS)
        self.cached = min(blocks, POOL_BLOCKS) * BLOCK * mapped.row_bytes <= cache_bytes
        if self.cached:
            self._bytes = np.empty((self.capacity, BLOCK * mapped.row_bytes), dtype=np.uint8)
            self._rows = self._bytes.view(mapped.dtype).reshape(self.capacity * BLOCK, *mapped.stored_shape)
            self._slot = np.full(blocks, -1, dtype=np.int64)  # of each block; -1: not here
            self._block = np.full(self.capacity, -1, dtype=np.int64)  # in each slot; -1: free
            self._used = np.zeros(self.capacity, dtype=np.int64)  # when last
            self._now = 0

    def rows(self, wanted: Any) -> Any:
        """The rows of an index array of any shape, copied: (*wanted.shape, *sample)."""
        if not self.cached:
            return self.mapped.gather(wanted)
        flat = np.asarray(wanted).ravel()
        found = self.mapped.rows_from(self._take(flat))
        return found.reshape(*np.shape(wanted), *self.mapped.shape[1:])

    def _take(self, flat: Any) -> Any:
        blocks = flat // BLOCK
        slots = self._slot[blocks]
        if slots.min() < 0:
            needed = np.unique(blocks)
            if len(needed) > self.capacity:
                return self._in_portions(flat, blocks, needed)
            self._used[self._slot[needed[self._slot[needed] >= 0]]] = self._now + 1  # none of these may go now
            self._fetch(needed[self._slot[needed] < 0])
            slots = self._slot[blocks]
        self._now += 1
        self._used[slots] = self._now
        return np.take(self._rows, slots * BLOCK + flat % BLOCK, axis=0)

    def _in_portions(self, flat: Any, blocks: Any, needed: Any) -> Any:
        """More at once than the cache holds: so many blocks at a time as it does, in the file's order."""
        found = np.empty((len(flat), *self.mapped.stored_shape), dtype=self.mapped.dtype)
        for i in range(0, len(needed), self.capacity):
            portion = needed[i : i + self.capacity]
            here = np.flatnonzero((blocks >= portion[0]) & (blocks <= portion[-1]))
            found[here] = self._take(flat[here])
        return found

    def _fetch(self, missing: Any) -> None:
        """Read blocks into the slots that were used longest ago, in the file's order."""
        slots = np.argpartition(self._used, len(missing) - 1)[: len(missing)]
        gone = self._block[slots]
        self._slot[gone[gone >= 0]] = -1
        with self.mapped.opened() as file:
            for block, slot in zip(missing.tolist(), slots.tolist(), strict=True):
                rows = min(BLOCK, len(self.mapped) - block * BLOCK)
                content = memoryview(self._bytes[slot])[: rows * self.mapped.row_bytes]
                self.mapped.read_into(file, block * BLOCK, content)
        self._slot[missing], self._block[slots] = slots, missing
