"""From a dataset to what an engine trains on: split, standardised and in the run's precision, for each replicate.

Means and deviations are those of the training split alone, exact up to `POOL` rows and 2²⁸ values, of a random sample
of that size above. At most `EVALUATED_ROWS` rows of a split, and 2²⁴ values, are evaluated: the same random ones
throughout. Data that stay on disk go the same way, chunk by chunk, so that they train as the same data in memory would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kit.data.data import Data
from kit.data.scale import Scale
from kit.data.split import shared
from kit.data.stream import Stream
from kit.data.view import EVALUATED_ROWS, View
from kit.engine import Block, InputSpec, Split
from kit.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Data for R replicates; blocks that are alike for all have R = 1. `train` is None for streamed data."""

    inputs: InputSpec
    train: Block | None
    evaluation: dict[Split, Block]
    rows: int  # of each replicate's training split
    scales: tuple[tuple[Scale | None, Scale | None], ...]  # (of x, of y) for each of the R; None: left as it is
    stream: Stream | None = field(default=None, repr=False)

    @property
    def streamed(self) -> bool:
        return self.stream is not None

    def gather(self, indices: Any) -> tuple[Any, Any]:
        """Streamed samples at positions (K, R, B) of the training splits: x (K, R, B, *sample), y (K, R, B[, outputs]).

        Raises `DataError` for a value that is not finite, with its place, and for a file that is gone.
        """
        assert self.stream is not None, "the training block is resident: index it"
        return self.stream.gather(indices)

    def prefetch(self, indices: Any) -> None:
        """Begin to gather these positions in the background; `gather` of equal ones then waits for no disk."""
        if self.stream is not None:
            self.stream.prefetch(indices)


def prepare(
    data: Data,
    *,
    task: str | None = None,
    seed: int,
    replicates: Sequence[int],
    validation_fraction: float = 0.2,
    standardise: bool = True,
    dtype: str = "float32",
    evaluated_rows: int = EVALUATED_ROWS,
) -> Prepared:
    """Split, standardise and cast. task: "binary" asks for targets 0 and 1 of two classes; None: the data's own.

    bfloat16 runs get float32. Raises `DataError` for two-class losses on other data and for values too large.
    """
    if task == "binary":
        data = data.as_binary()
    elif task not in (None, data.task):
        raise InvalidValueError(f"task={task!r} does not fit the data, which are for {data.task}.")
    views = [
        View.of(
            data,
            seed=seed,
            replicate=replicate,
            fraction=validation_fraction,
            standardise=standardise,
            precision=np.dtype("float64" if dtype == "float64" else "float32"),
        )
        for replicate in (replicates[:1] if shared(data, validation_fraction) else replicates)
    ]
    rows = views[0].rows["train"].count
    train = None if data.streamed else _block(views, "train", [np.arange(rows)] * len(views))
    return Prepared(
        inputs=_inputs(data),
        train=train,
        evaluation={name: _evaluated(views, name, evaluated_rows, train) for name in views[0].rows},
        rows=rows,
        scales=tuple((view.x_scale, view.y_scale) for view in views),
        stream=Stream(views) if data.streamed else None,
    )


def _evaluated(views: Sequence[View], name: Split, at_most: int, train: Block | None) -> Block:
    positions = [view.evaluated(name, at_most) for view in views]
    if name == "train" and train is not None and len(positions[0]) == views[0].rows[name].count:
        return train  # all of it: held once
    return _block(views, name, positions)


def _block(views: Sequence[View], name: Split, positions: Sequence[Any]) -> Block:
    """The chosen rows of a split, for each replicate: (R, positions, …)."""
    x_shape, x_type, y_shape, y_type = views[0].shape(name)
    lead = (len(views), len(positions[0]))
    x, y = np.empty((*lead, *x_shape), dtype=x_type), np.empty((*lead, *y_shape), dtype=y_type)
    for r, (view, chosen) in enumerate(zip(views, positions, strict=True)):
        view.read(name, chosen, x[r], y[r])
    return Block(x=x, y=y)


def _inputs(data: Data) -> InputSpec:
    return InputSpec(
        shape=tuple(map(int, data.x.shape[1:])),
        outputs=data.outputs,
        task=data.task,
        image_shape=data.image_shape,
        tokens=data.tokens,
    )
