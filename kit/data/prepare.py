"""From a dataset to what an engine trains on: split, standardised and in the run's precision, for each replicate.

Standardising uses the training split only: its means and standard deviations, computed in float64, are applied to both
splits. Each replicate has its own split (its `split` stream); data that came with their own validation set are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.data.data import Data, held_out
from kit.data.mapped import Mapped
from kit.engine import Block, InputSpec, Split
from kit.errors import DataError
from kit.seeds import generator

EVALUATED_ROWS = 10_000  # of each split: more are sampled, once, for the whole run
STATISTICS_ROWS = 100_000  # of a memory-mapped training split: what means and deviations are computed on


@dataclass(frozen=True, eq=False)
class Scale:
    """x → (x − mean) / deviation, computed on the training split alone."""

    mean: Any
    deviation: Any

    @classmethod
    def of(cls, x: Any) -> Scale:
        """A column that does not vary keeps a deviation of 1."""
        values = x.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        return cls(mean, np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(mean)), deviation, 1.0))

    def __call__(self, x: Any) -> Any:
        return (x - self.mean) / self.deviation


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Data for R replicates. `train` is None for streamed data, whose samples `gather` reads."""

    inputs: InputSpec
    train: Block | None
    evaluation: dict[Split, Block]
    rows: int  # of each replicate's training split
    source: Data
    dtype: Any
    training: tuple[Any, ...] = ()  # streamed: of each replicate, which rows train (a row-number array, or a slice)
    scales: tuple[tuple[Scale | None, Scale | None], ...] = ()  # streamed: (of x, of y), one for each replicate

    @property
    def streamed(self) -> bool:
        return self.train is None

    def gather(self, indices: Any) -> tuple[Any, Any]:
        """The samples of (K, R, B) rows of the training splits: x (K, R, B, *sample), y (K, R, B)."""
        xs, ys = [], []
        for r, (which, scales) in enumerate(zip(self.training, self.scales, strict=True)):
            rows = indices[:, r] + which.start if isinstance(which, slice) else which[indices[:, r]]
            xs.append(_cast(_taken(self.source.x, rows), scales[0], self.dtype, self.source))
            ys.append(_cast_target(_taken(self.source.y, rows), scales[1], self.source.task, self.dtype))
        return np.stack(xs, axis=1), np.stack(ys, axis=1)


def prepare(
    data: Data,
    *,
    task: str,
    seed: int,
    replicates: Sequence[int],
    validation_fraction: float = 0.2,
    standardise: bool = True,
    dtype: str = "float32",
    evaluated_rows: int = EVALUATED_ROWS,
) -> Prepared:
    """Split, standardise and cast. task: of the run; `binary` turns two classes into targets 0 and 1.

    dtype: of the run; bfloat16 keeps its data in float32. evaluated_rows: at most so many of each split are evaluated.
    Raises `DataError` for data that do not fit the task.
    """
    if task == "binary":
        data = data.as_binary()
    elif task != data.task:
        raise DataError(f"These data are {data.task}; the run asks for {task}.")
    precision = np.dtype("float64" if dtype == "float64" else "float32")
    splits = [_split(data, seed, replicate, validation_fraction) for replicate in replicates]
    if data.x_validation is not None or data.task == "objective" or validation_fraction == 0:
        splits = splits[:1]  # nothing differs between the replicates
    parts = [_Part(data, split, standardise, precision, seed, evaluated_rows) for split in splits]
    return Prepared(
        inputs=_inputs(data),
        train=None if data.streamed else _block([part.train for part in parts]),
        evaluation={
            name: _block(blocks)
            for name, blocks in (
                ("train", [part.sample for part in parts]),
                ("validation", [part.validation for part in parts if part.validation is not None]),
            )
            if blocks
        },
        rows=data.training_rows(validation_fraction),
        source=data,
        dtype=precision,
        training=_spread([part.rows for part in parts], len(replicates)),
        scales=_spread([part.scales for part in parts], len(replicates)),
    )


def _spread(values: list[Any], count: int) -> tuple[Any, ...]:
    """What all replicates share, once for each."""
    return tuple(values) * (count if len(values) == 1 else 1)


class _Part:
    """One replicate's splits, scaled and cast."""

    def __init__(
        self, data: Data, split: tuple[Any, Any], standardise: bool, dtype: Any, seed: int, limit: int
    ) -> None:
        self.rows, held = split
        count = self.rows.stop - self.rows.start if isinstance(self.rows, slice) else len(self.rows)
        seen = self._sampled(count, STATISTICS_ROWS if data.streamed else count, seed)
        self.scales = self._fit(data, seen, standardise)
        if not data.streamed:
            self.train = self._cut(data, data.x, data.y, self.rows, dtype)
        evaluated = self._sampled(count, limit, seed)
        whole = not data.streamed and count <= limit
        self.sample = self.train if whole else self._cut(data, data.x, data.y, evaluated, dtype)
        self.validation = None
        if data.x_validation is not None:
            picked = np.arange(len(data.x_validation))
            if len(picked) > limit:
                picked = np.sort(generator(seed, "split", 0, 1).choice(len(picked), limit, replace=False))
            self.validation = self._cut(data, data.x_validation, data.y_validation, picked, dtype)
        elif held is not None and len(held):
            self.validation = self._cut(data, data.x, data.y, held[:limit], dtype)

    def _sampled(self, count: int, limit: int, seed: int) -> Any:
        """At most `limit` row numbers of the training split, in ascending order, a fixed choice."""
        chosen = (
            np.arange(count) if count <= limit else np.sort(generator(seed, "split", 0, 2).integers(0, count, limit))
        )
        return chosen + self.rows.start if isinstance(self.rows, slice) else self.rows[chosen]

    def _fit(self, data: Data, rows: Any, standardise: bool) -> tuple[Scale | None, Scale | None]:
        if not standardise or data.task in ("objective", "language") or data.tokens is not None:
            return None, None
        x = Scale.of(_taken(data.x, rows))
        return x, Scale.of(_taken(data.y, rows)) if data.task == "regression" else None

    def _cut(self, data: Data, x: Any, y: Any, rows: Any, dtype: Any) -> tuple[Any, Any]:
        return (
            _cast(_taken(x, rows), self.scales[0], dtype, data),
            _cast_target(_taken(y, rows), self.scales[1], data.task, dtype),
        )


def _taken(values: Any, rows: Any) -> Any:
    if isinstance(values, Mapped):
        return values.gather(rows)
    return values[rows]


def _cast(x: Any, scale: Scale | None, dtype: Any, data: Data) -> Any:
    """Scaled and in the run's precision; token numbers stay whole numbers."""
    if data.tokens is not None:
        return x.astype(np.int64)
    return (x if scale is None else scale(x)).astype(dtype)


def _cast_target(y: Any, scale: Scale | None, task: str, dtype: Any) -> Any:
    if task in ("classification", "language"):
        return y.astype(np.int64)
    return (scale(y) if scale is not None else y).astype(dtype)


def _block(pairs: list[tuple[Any, Any]]) -> Block:
    return Block(x=np.stack([x for x, _ in pairs]), y=np.stack([y for _, y in pairs]))


def _split(data: Data, seed: int, replicate: int, fraction: float) -> tuple[Any, Any]:
    """(rows that train, rows held out); a streamed training split is a stretch, so that it needs no memory."""
    if data.x_validation is not None or data.task == "objective" or fraction == 0:
        return slice(0, data.rows), None
    held = held_out(data.rows, fraction)
    if data.streamed:
        return slice(0, data.rows - held), np.arange(data.rows - held, data.rows)
    source = generator(seed, "split", replicate)
    if data.task in ("classification", "binary"):
        chosen = _stratified(np.asarray(data.y), held, source)
        if chosen is not None:
            return np.flatnonzero(~chosen), np.flatnonzero(chosen)
    order = source.permutation(data.rows)
    return np.sort(order[held:]), np.sort(order[:held])


def _stratified(y: Any, held: int, source: np.random.Generator) -> Any:
    """Which rows are held out, each class in its share (largest remainders); None where a class is too small to
    share."""
    labels, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        return None
    shares = counts * held / len(y)
    quota = np.floor(shares).astype(int)
    quota[np.argsort(quota - shares, kind="stable")[: held - quota.sum()]] += 1
    chosen = np.zeros(len(y), dtype=bool)
    for label, number in zip(labels, quota, strict=True):
        chosen[source.permutation(np.flatnonzero(y == label))[:number]] = True
    return chosen


def _inputs(data: Data) -> InputSpec:
    return InputSpec(
        shape=tuple(int(n) for n in data.x.shape[1:]),
        outputs=data.outputs,
        task=data.task,
        image_shape=data.image_shape,
        tokens=data.tokens,
    )
