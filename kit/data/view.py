"""One replicate's view of the data: its rows, its scales, and the way of a sample from the source to the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.batching import BLOCK, POOL
from kit.data.check import not_finite
from kit.data.data import Data
from kit.data.mapped import Mapped
from kit.data.scale import Scale, chunk_rows
from kit.data.split import Rows, every, split
from kit.engine import Split
from kit.errors import DataError
from kit.seeds import generator

EVALUATED_ROWS = 10_000
EVALUATED_VALUES = 2**24  # 64 MB in float32
STATISTICS_VALUES = 2**28
CACHED_VALUES = 2**15  # 256 KB in float64


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Made by `of`. `rows` and `sources` have an entry for each split that there is."""

    data: Data
    seed: int
    replicate: int
    precision: Any
    rows: dict[Split, Rows]
    sources: dict[Split, tuple[Any, Any]]  # (x, y) that the row numbers count in
    x_scale: Scale | None
    y_scale: Scale | None

    @classmethod
    def of(
        cls, data: Data, *, seed: int, replicate: int, fraction: float, standardise: bool, precision: np.dtype[Any]
    ) -> View:
        train, held = split(data, seed, replicate, fraction)
        rows: dict[Split, Rows] = {"train": train}
        sources: dict[Split, tuple[Any, Any]] = {"train": (data.x, data.y)}
        if held is not None:
            rows["validation"], sources["validation"] = held, (data.x, data.y)
        elif data.x_validation is not None:
            rows["validation"] = every(len(data.x_validation))
            sources["validation"] = (data.x_validation, data.y_validation)
        x_scale = y_scale = None
        if standardise and data.task != "objective" and data.tokens is None:
            source = generator(seed, "split", replicate, "statistics")
            limit = min(POOL, max(BLOCK, STATISTICS_VALUES // sample_values(data.x)))
            seen = train[train.sample(limit, source)]
            x_scale = Scale.of(_chunks(data.x, seen))
            if data.task == "regression":
                y_scale = Scale.of(_chunks(data.y, seen))
        return cls(
            data=data,
            seed=seed,
            replicate=replicate,
            precision=precision,
            rows=rows,
            sources=sources,
            x_scale=x_scale,
            y_scale=y_scale,
        )

    def evaluated(self, name: Split, at_most: int) -> Any:
        """Positions of the rows of a split that are evaluated: all of them, or a fixed random choice."""
        limit = max(1, min(at_most, EVALUATED_VALUES // sample_values(self.data.x)))
        source = generator(self.seed, "split", self.replicate, "evaluation", name)
        rows = self.rows[name]
        if rows.count <= limit:
            return np.arange(rows.count)
        return np.sort(source.choice(rows.count, limit, replace=False, shuffle=False))

    def read(self, name: Split, positions: Any, x_into: Any, y_into: Any) -> None:
        """Fill the arrays (positions, *sample) with finished samples, a few at a time."""
        x, y = self.sources[name]
        step = chunk_rows(sample_values(x))
        for start in range(0, len(positions), step):
            rows = self.rows[name][positions[start : start + step]]
            part = slice(start, start + len(rows))
            self.finish(taken(x, rows), taken(y, rows), rows, x_into[part], y_into[part])

    def finish(self, x: Any, y: Any, rows: Any, x_into: Any, y_into: Any) -> None:
        """Fill arrays with samples as they come from the source, (rows, *sample), standardised and in the run's
        precision. rows: their numbers, for the message of the `DataError` about a value that is not finite."""
        if self.data.tokens is None:
            self._number(x, self.x_scale, rows, "x", self.data.columns, x_into)
        else:
            x_into[...] = x
        if self.data.task in ("classification", "language"):
            y_into[...] = y
        else:
            self._number(y, self.y_scale, rows, "y", (), y_into)

    def _number(
        self, values: Any, scale: Scale | None, rows: Any, name: str, columns: tuple[str, ...], into: Any
    ) -> None:
        # In stretches that stay in a core's cache, through float64: three times as fast as all at once.
        step = max(1, CACHED_VALUES // sample_values(values))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(values), step):
                part = values[start : start + step]
                into[start : start + step] = part if scale is None else scale(part)
        if np.isfinite(into).all():
            return
        wrong = np.argwhere(~np.isfinite(into))
        first = tuple(map(int, wrong[0]))
        value, row = values[first], int(rows[first[0]])
        if np.isfinite(value):
            raise DataError(f"{name} is {value} at row {row}, too large for the precision {self.precision}.")
        raise DataError(not_finite(f"In the data, {name}", len(wrong), row, first[1:], values[first[0]], columns))

    def shape(self, name: Split) -> tuple[tuple[int, ...], Any, tuple[int, ...], Any]:
        """Of one finished entry: (shape of x, its dtype, shape of y, its dtype)."""
        x, y = self.sources[name]
        x_type = self.precision if self.data.tokens is None else np.int64
        y_type = np.int64 if self.data.task in ("classification", "language") else self.precision
        return x.shape[1:], x_type, y.shape[1:], y_type


def sample_values(x: Any) -> int:
    """Numbers in one sample."""
    return max(1, int(np.prod(x.shape[1:], dtype=np.int64)))


def taken(source: Any, rows: Any) -> Any:
    """Rows of an array, wherever it lies, copied."""
    return source.gather(rows) if isinstance(source, Mapped) else source[rows]


def _chunks(source: Any, rows: Any) -> Iterator[Any]:
    step = chunk_rows(sample_values(source))
    for start in range(0, len(rows), step):
        yield taken(source, rows[start : start + step])
