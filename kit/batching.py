"""Which samples each step uses: an endless stream of epochs, each a permutation of the training rows, cut into batches.

The stream is a pure function of (seed, replicate, position), so that a resumed run needs no state and every method of a
study sees the same batches. A batch may reach over the end of an epoch into the next: every sample is used equally often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kit.errors import InvalidValueError
from kit.seeds import generator

# Up to here an epoch's permutation is drawn and held (4 bytes a row); beyond, it is computed where it is asked for.
HELD_ROWS = 2**24
ROUNDS = 6  # of the Feistel network; 4 are pseudo-random in theory (Luby & Rackoff 1988), 6 leave a margin


class Order:
    """The batches of R replicates. rows: of the training split; batch: samples a step.

    Raises `InvalidValueError` for a batch of none, or of more than there are.
    """

    def __init__(self, rows: int, batch: int, seed: int, replicates: Sequence[int]) -> None:
        if not 1 <= batch <= rows:
            raise InvalidValueError(
                f"batch_size={batch} is not valid; the training split has {rows} samples: 1 to {rows}."
            )
        self.rows, self.batch, self.seed, self.replicates = rows, batch, seed, tuple(replicates)
        self._held: dict[tuple[int, int], Any] = {}

    def indices(self, first_step: int, steps: int) -> Any:
        """The rows of the steps first_step … first_step + steps − 1, counted from 0: (steps, R, batch), int64."""
        start, count = first_step * self.batch, steps * self.batch
        streams = [self._stretch(replicate, start, count) for replicate in self.replicates]
        return np.stack(streams, axis=0).reshape(len(streams), steps, self.batch).transpose(1, 0, 2)

    def _stretch(self, replicate: int, start: int, count: int) -> Any:
        """`count` rows of one replicate's stream, from position `start`."""
        parts = []
        while count > 0:
            epoch, offset = divmod(start, self.rows)
            taken = min(count, self.rows - offset)
            parts.append(self._epoch(replicate, epoch, offset, taken))
            start, count = start + taken, count - taken
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _epoch(self, replicate: int, epoch: int, offset: int, count: int) -> Any:
        if self.rows > HELD_ROWS:
            return scattered(np.arange(offset, offset + count), self.rows, self._keys(replicate, epoch))
        key = (replicate, epoch)
        if key not in self._held:
            # Of each replicate the present epoch alone is kept.
            self._held = {held: value for held, value in self._held.items() if held[0] != replicate}
            drawn = generator(self.seed, "order", replicate, epoch).permutation(self.rows)
            self._held[key] = drawn.astype(np.int32)
        return self._held[key][offset : offset + count].astype(np.int64)

    def _keys(self, replicate: int, epoch: int) -> Any:
        return generator(self.seed, "order", replicate, epoch).integers(0, 2**63, ROUNDS, dtype=np.uint64)


def scattered(positions: Any, rows: int, keys: Any) -> Any:
    """A permutation of range(rows), evaluated at `positions` (int64) without holding it: a Feistel network on the next even
    number of bits, walked along its cycles until it falls below `rows` (Black & Rogaway 2002). Returns int64."""
    half = np.uint64(max(1, ((rows - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    found = np.asarray(positions, dtype=np.uint64).copy()
    outside = np.arange(len(found))
    while len(outside):
        left, right = found[outside] >> half, found[outside] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right + key) & mask)
        found[outside] = (left << half) | right
        outside = outside[found[outside] >= rows]
    return found.astype(np.int64)


def _mixed(x: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of the result depends on every bit of x."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
