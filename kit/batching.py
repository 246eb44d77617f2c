"""Which rows a step trains on: an endless stream of epochs, each every row once, in random order.

Position q of the stream is sample q mod B of step q div B, and row π_e(q mod n) of epoch e = q div n; a batch may
straddle two epochs. The stream is a pure function of (seed, replicate, position): any stretch of it can be asked for,
and a resumed run needs no state.

    Order(rows=1437, batch=64, seed=0, replicates=[0, 1]).indices(first_step=100, steps=20)      # (20, 2, 64)

Up to `POOL` rows, π_e is a uniform permutation. Above that it is drawn pool by pool, so that no epoch needs memory for
all its rows and a reader of a file needs no random access to all of it: blocks of `BLOCK` neighbouring rows are
permuted (alike for all replicates, so that what is read serves them all), `POOL_BLOCKS` at a time form a pool, and the
rows of a pool are permuted uniformly, each replicate its own way. Every batch is then drawn from 1,024 random places.
Which of the two holds depends on the number of rows alone, so data in memory and data in a file train alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from kit.errors import InvalidValueError
from kit.seeds import generator

Integers = np.ndarray[Any, np.dtype[np.int64]]

BLOCK = 256  # rows that are read together
POOL_BLOCKS = 1024
POOL = BLOCK * POOL_BLOCKS  # rows that are shuffled together: 2 MB of indices
# Epochs of few rows are drawn several at a time: making a generator costs 15 µs, as much as 1,000 draws.
DRAWN_TOGETHER = 4096
KEPT = 2  # drawn stretches that are kept per replicate: the present and the next


class Order:
    """The rows of every step, for each replicate.

    rows: of the training split. Raises `InvalidValueError` when there are no rows or the batch does not fit them.
    """

    def __init__(self, rows: int, batch: int, seed: int, replicates: Sequence[int]) -> None:
        if rows < 1:
            raise InvalidValueError("There is nothing to train on: the training split has no rows.")
        if not 1 <= batch <= rows:
            raise InvalidValueError(
                f"batch_size={batch} is not valid for a training split of {rows} samples; it must be in [1, {rows}]."
            )
        self.rows, self.batch, self.seed, self.replicates = rows, batch, seed, tuple(replicates)
        kind = Epochs if rows <= POOL else Pools
        self._stretches: Stretches = kind(rows, seed)

    def indices(self, first_step: int, steps: int) -> Integers:
        """Rows of `steps` steps from `first_step` (counted from 0): (steps, replicates, batch), int64."""
        begin, end = first_step * self.batch, (first_step + steps) * self.batch
        found = np.empty((steps, len(self.replicates), self.batch), dtype=np.int64)
        for r, replicate in enumerate(self.replicates):
            found[:, r] = np.concatenate(list(self._between(replicate, begin, end))).reshape(steps, self.batch)
        return found

    def _between(self, replicate: int, begin: int, end: int) -> Iterator[Integers]:
        while begin < end:
            number, start, stop = self._stretches.at(begin)
            yield self._stretches.rows_of(replicate, number)[begin - start : min(end, stop) - start]
            begin = min(end, stop)


class Stretches(Protocol):
    """The stream, cut into stretches that are drawn at once."""

    def at(self, position: int) -> tuple[int, int, int]:
        """(number, start, stop) of the stretch that holds a position: positions [start, stop)."""

    def rows_of(self, replicate: int, number: int) -> Integers:
        """The rows at the positions of a stretch."""


class Epochs:
    """Up to `POOL` rows: every epoch a uniform permutation; short epochs are drawn several to a stretch."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.together = max(1, DRAWN_TOGETHER // rows)
        self.rows_of = keeping(self._draw)

    def at(self, position: int) -> tuple[int, int, int]:
        length = self.together * self.rows
        number = position // length
        return number, number * length, (number + 1) * length

    def _draw(self, replicate: int, number: int) -> Integers:
        source = generator(self.seed, "order", replicate, number)
        if self.together == 1:
            return source.permutation(self.rows)
        ordered = np.tile(np.arange(self.rows), (self.together, 1))
        return source.permuted(ordered, axis=1).ravel()


class Pools:
    """Above `POOL` rows: an epoch is a permutation of its blocks, cut into pools, each permuted row by row."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.blocks = -(-rows // BLOCK)  # the last may be short
        self.pools = -(-self.blocks // POOL_BLOCKS)  # per epoch
        self.missing = self.blocks * BLOCK - rows  # rows by which the last block is short
        self.rows_of = keeping(self._draw)
        self._block_order = keeping(self._permuted_blocks)

    def at(self, position: int) -> tuple[int, int, int]:
        epoch, within = divmod(position, self.rows)
        short = int(np.argmax(self._block_order(0, epoch) == self.blocks - 1))  # where in the epoch it stands
        pool = within // POOL
        if within >= self._start(pool + 1, short):  # the short block has moved the later pools forward
            pool += 1
        base = epoch * self.rows
        return epoch * self.pools + pool, base + self._start(pool, short), base + self._start(pool + 1, short)

    def _start(self, pool: int, short: int) -> int:
        """The position in the epoch where a pool begins."""
        blocks = min(pool * POOL_BLOCKS, self.blocks)
        return blocks * BLOCK - (self.missing if short < blocks else 0)

    def _permuted_blocks(self, _: int, epoch: int) -> Integers:
        """Alike for all replicates: they read the same blocks at the same time."""
        return generator(self.seed, "order", 0, "blocks", epoch).permutation(self.blocks)

    def _draw(self, replicate: int, number: int) -> Integers:
        epoch, pool = divmod(number, self.pools)
        blocks = self._block_order(0, epoch)[pool * POOL_BLOCKS : (pool + 1) * POOL_BLOCKS]
        rows = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        return generator(self.seed, "order", replicate, number).permutation(rows[rows < self.rows])


def keeping(draw: Callable[[int, int], Integers]) -> Callable[[int, int], Integers]:
    """`draw(replicate, number)`, with the last `KEPT` results of each replicate kept."""
    kept: dict[int, dict[int, Integers]] = {}

    def recall(replicate: int, number: int) -> Integers:
        mine = kept.setdefault(replicate, {})
        if number not in mine:
            while len(mine) >= KEPT:
                del mine[next(iter(mine))]
            mine[number] = draw(replicate, number)
        return mine[number]

    return recall
