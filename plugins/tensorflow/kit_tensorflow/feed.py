"""The batches of a loop: where a step's samples come from, on the host and inside the graph.

    resident    the training rows of all replicates lie on the device as one table; a step gathers its rows by number
    streamed    the host gathered the samples of every step
    full        every step uses all rows: nothing is gathered

A loop trains members on one or several *sets* of samples, each the batches of one replicate. One set has no axis of its
own: x is (B, *sample), else (sets, B, *sample).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kit.data.buffers import ALIGNMENT
from kit.engine import Block
from kit_tensorflow.environment import tf

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["resident", "streamed", "full"]
SHARED_BYTES = 2**16  # of an array that is worth sharing


class Table:
    """The training block on the device: (replicates · rows, …), one behind the other."""

    def __init__(self, block: Block, precision: np.dtype[Any]) -> None:
        self.replicates, self.rows = block.x.shape[:2]
        self._whole: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        self.x, self.y = (
            tf.convert_to_tensor(a.reshape(-1, *a.shape[2:]))
            for a in (cast(block.x, precision), cast(block.y, precision))
        )

    def offsets(self, sets: Sequence[int]) -> Array:
        """The first row of each set's replicate."""
        return np.array(sets, dtype=np.int64) * self.rows if self.replicates > 1 else np.zeros(len(sets), np.int64)

    def whole(self, sets: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """All rows of each set: (rows, …) of one, (sets, rows, …) of several. Made once."""
        if self.replicates == len(sets) == 1:
            return self.x, self.y
        if sets not in self._whole:
            parts = [(self.x[a : a + self.rows], self.y[a : a + self.rows]) for a in self.offsets(sets)]
            several = tf.stack([x for x, _ in parts]), tf.stack([y for _, y in parts])
            self._whole[sets] = several if len(sets) > 1 else parts[0]
        return self._whole[sets]


def cast(array: Array, precision: np.dtype[Any]) -> Array:
    """Real numbers in the run's precision; token and class numbers as they are, in 32 bits."""
    return np.asarray(array, precision if array.dtype.kind == "f" else np.int32)


@dataclass(frozen=True)
class Feed:
    """What a loop's batches are. The tensors that it is given come in the order of `specs`."""

    mode: Mode
    sets: tuple[int, ...]
    batch: int
    x: tuple[tuple[int, ...], str]  # shape of one sample and type
    y: tuple[tuple[int, ...], str]
    rows: int  # of the table
    noise: tuple[tuple[str, tuple[int, ...]], ...]
    precision: str

    @property
    def lead(self) -> tuple[int, ...]:
        return (self.batch,) if len(self.sets) == 1 else (len(self.sets), self.batch)

    def specs(self, steps: int | None) -> list[Any]:
        """The types of its tensors, for `steps` steps a call; None: any number."""
        (x_shape, x_type), (y_shape, y_type) = self.x, self.y
        drawn = [tf.TensorSpec((steps, *self.lead, *shape), self.precision) for _, shape in self.noise]
        if self.mode == "full":
            return [
                tf.TensorSpec((*self.lead, *x_shape), x_type),
                tf.TensorSpec((*self.lead, *y_shape), y_type),
                *drawn,
            ]
        if self.mode == "streamed":
            samples = [((steps, *self.lead, *x_shape), x_type), ((steps, *self.lead, *y_shape), y_type)]
            return [*(tf.TensorSpec(*sample) for sample in samples), *drawn]
        table = [tf.TensorSpec((self.rows, *x_shape), x_type), tf.TensorSpec((self.rows, *y_shape), y_type)]
        return [tf.TensorSpec((steps, *self.lead), tf.int32), *table, *drawn]

    def at(self, tensors: Sequence[Tensor], i: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """In the graph: x, y and noise of step i."""
        given = 3 if self.mode == "resident" else 2
        noise = {name: draws[i] for (name, _), draws in zip(self.noise, tensors[given:], strict=True)}
        if self.mode == "full":
            return tensors[0], tensors[1], noise
        if self.mode == "streamed":
            return tensors[0][i], tensors[1][i], noise
        rows = tensors[0][i]
        return tf.gather(tensors[1], rows), tf.gather(tensors[2], rows), noise

    def bytes_per_step(self) -> int:
        """Of what the host sends for each step."""
        width = int(np.prod(self.lead))
        sent = width * sum(int(np.prod(shape)) * 8 for _, shape in self.noise)
        if self.mode == "streamed":
            return sent + width * 8 * int(np.prod(self.x[0], initial=1) + np.prod(self.y[0], initial=1))
        return sent + (4 * width if self.mode == "resident" else 0)


@dataclass(frozen=True)
class Chunk:
    """What the run loop handed in for some steps: NumPy, all replicates."""

    indices: Array | None  # (K, R, B)
    samples: tuple[Array, Array] | None  # (K, R, B, …)
    noise: Mapping[str, Array]  # (K, R, B, …)

    def arrays(self, feed: Feed, table: Table | None, first: int, last: int, padded: int) -> list[Array]:
        """The step-wise arrays of steps first … last for a feed, with steps of zeros up to `padded`."""
        noise = [self._of(self.noise[name], feed, first, last, np.dtype(feed.precision)) for name, _ in feed.noise]
        if feed.mode == "full":
            found = noise
        elif feed.mode == "streamed":
            assert self.samples is not None
            x, y = (
                self._of(a, feed, first, last, np.dtype(t))
                for a, (_, t) in zip(self.samples, (feed.x, feed.y), strict=True)
            )
            found = [x, y, *noise]
        else:
            assert self.indices is not None
            assert table is not None
            offsets = table.offsets(feed.sets)
            rows = self._of(self.indices, feed, first, last, np.dtype(np.int64))
            found = [(rows + (offsets if len(feed.sets) == 1 else offsets[:, None])).astype(np.int32), *noise]
        return [pad(a, padded) for a in found]

    @staticmethod
    def _of(array: Array, feed: Feed, first: int, last: int, dtype: np.dtype[Any]) -> Array:
        """The feed's sets of (K, R, …), without an axis for one. Samples alike for all replicates may come once."""
        sets = feed.sets if array.shape[1] > 1 else (0,) * len(feed.sets)
        return np.asarray(array[first:last, sets[0] if len(sets) == 1 else list(sets)], dtype)


def handed(array: Array, device: str) -> Tensor:
    """A tensor of an array to which nobody writes while the tensor lives. `tf.constant` copies every array; on a CPU a
    large one is taken as it is, by DLPack, where its memory lies as TensorFlow wants it."""
    as_it_is = (
        array.nbytes >= SHARED_BYTES
        and "CPU" in device.upper()
        and array.flags.c_contiguous
        and array.flags.writeable  # DLPack hands out no other
        and array.ctypes.data % ALIGNMENT == 0
    )
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__()) if as_it_is else tf.constant(array)


def pad(array: Array, steps: int) -> Array:
    """Zeros behind, so that a program compiled for `steps` takes fewer."""
    if len(array) >= steps:
        return array
    padded = np.zeros((steps, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded
