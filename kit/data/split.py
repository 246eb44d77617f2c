"""Which rows train and which are held out.

Up to `POOL` rows, each replicate holds out its own random rows, in every class its share where the classes allow it.
Above that, random blocks of neighbouring rows are held out, the same for all replicates: what chance decides about a
split of so many rows is too small to average over, and the data are then held, or read, once for all. The number of
rows alone decides which, so data in memory and data in a file are split alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.batching import BLOCK, POOL
from kit.seeds import generator

if TYPE_CHECKING:
    from kit.data.data import Data


@dataclass(frozen=True, eq=False)
class Rows:
    """A choice of rows, as blocks of `size` neighbours, ascending; only the last block of the data may be short."""

    blocks: Any  # (blocks,), int64
    size: int
    count: int  # rows

    def __getitem__(self, positions: Any) -> Any:
        """The row numbers at positions 0 … count − 1 of the choice: an array of any shape, or a slice."""
        if isinstance(positions, slice):
            positions = np.arange(*positions.indices(self.count))
        if self.size == 1:
            return self.blocks[positions]
        return self.blocks[positions // self.size] * self.size + positions % self.size

    def sample(self, rows: int, source: np.random.Generator) -> Any:
        """Positions of at most `rows` random rows, ascending; in large data of whole blocks, which are read faster."""
        if rows >= self.count:
            return np.arange(self.count)
        if self.size == 1 or rows < self.size:
            return np.sort(source.choice(self.count, rows, replace=False))
        full = self.count // self.size
        blocks = np.sort(source.choice(full, min(full, rows // self.size), replace=False))
        return (blocks[:, None] * self.size + np.arange(self.size)).ravel()


def every(rows: int) -> Rows:
    """All rows."""
    size = 1 if rows <= POOL else BLOCK
    return Rows(np.arange(-(-rows // size)), size, rows)


def held_out(rows: int, fraction: float) -> int:
    """How many of the rows are held out: at least one on either side, unless the fraction is 0."""
    if fraction == 0:
        return 0
    if rows > POOL:
        full = rows // BLOCK
        return BLOCK * min(full - 1, max(1, round(full * fraction)))
    return min(rows - 1, max(1, round(rows * fraction)))


def shared(data: Data, fraction: float) -> bool:
    """Whether all replicates have the same split."""
    return data.x_validation is not None or data.task == "objective" or fraction == 0 or data.rows > POOL


def split(data: Data, seed: int, replicate: int, fraction: float) -> tuple[Rows, Rows | None]:
    """(rows that train, rows held out). None: nothing is held out, or the validation data came with the data."""
    if data.x_validation is not None or data.task == "objective" or fraction == 0:
        return every(data.rows), None
    held = held_out(data.rows, fraction)
    if data.rows > POOL:
        # The short last block, if there is one, always trains: the number of rows does not hang on chance.
        chosen = np.zeros(-(-data.rows // BLOCK), dtype=bool)
        source = generator(seed, "split", 0, "blocks")
        chosen[source.choice(data.rows // BLOCK, held // BLOCK, replace=False)] = True
        return _rows(~chosen, BLOCK, data.rows - held), _rows(chosen, BLOCK, held)
    source = generator(seed, "split", replicate)
    labels = data.y if data.task in ("classification", "binary") else np.zeros(data.rows, dtype=np.int64)
    chosen = _stratified(labels, held, source)
    return _rows(~chosen, 1, data.rows - held), _rows(chosen, 1, held)


def _rows(chosen: Any, size: int, count: int) -> Rows:
    return Rows(np.flatnonzero(chosen), size, count)


def _stratified(labels: Any, held: int, source: np.random.Generator) -> Any:
    """Which rows are held out, (rows,), bool: of each class its share, rounded up or down.

    Systematic sampling: the rows are shuffled, laid out class after class, and picked at even distances from a random
    start, so that every row is as likely as any other. A class of one row always trains, if that leaves enough.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shuffled = source.permutation(len(labels))
    eligible = shuffled[~np.isin(labels[shuffled], classes[counts == 1])]
    if len(eligible) <= held:
        eligible = shuffled
    laid_out = eligible[np.argsort(labels[eligible], kind="stable")]
    places = (np.arange(held) + source.random()) * (len(laid_out) / held)
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[laid_out[np.minimum(places.astype(np.int64), len(laid_out) - 1)]] = True
    return chosen
