"""Standardising: x → (x − mean) / deviation, with what the training split alone says.

Statistics are computed in float64, in one pass, however the rows arrive, and applied in float64 before the result is
cast to the run's precision. A column that does not vary keeps a deviation of 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.errors import DataError

CHUNK_VALUES = 2**20  # converted to float64 at once


@dataclass(frozen=True, eq=False)
class Scale:
    """Means and deviations (population, as scikit-learn's StandardScaler) of each position of a sample: (*sample,),
    float64."""

    mean: Any
    deviation: Any

    @classmethod
    def of(cls, chunks: Iterable[Any]) -> Scale:
        """Of rows that arrive in chunks, (rows, *sample). Chan, Golub & LeVeque 1983: no sum of large squares."""
        count, mean, squares = 0, np.float64(0), np.float64(0)
        for chunk in chunks:
            values = np.asarray(chunk, dtype=np.float64)
            rows = len(values)
            with np.errstate(over="ignore", invalid="ignore"):  # said below
                its_mean = values.mean(axis=0)
                apart = its_mean - mean
                squares = squares + ((values - its_mean) ** 2).sum(axis=0) + apart**2 * (count * rows / (count + rows))
                mean = mean + apart * (rows / (count + rows))
            count += rows
        variance = squares / count
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise DataError("The data hold values too large to standardise: their squares exceed what float64 holds.")
        # Rounding gives a constant column a variance above zero; this is its bound (scikit-learn's StandardScaler).
        epsilon = np.finfo(np.float64).eps
        constant = variance <= count * epsilon * variance + (count * mean * epsilon) ** 2
        return cls(mean, np.where(constant, 1.0, np.sqrt(variance)))

    def __call__(self, values: Any) -> Any:
        """Standardised, float64."""
        return (values - self.mean) / self.deviation

    def undo(self, values: Any) -> Any:
        """Back in the units of the data."""
        return values * self.deviation + self.mean


def chunk_rows(sample_values: int) -> int:
    """Rows that are converted at once."""
    return max(1, CHUNK_VALUES // max(1, sample_values))
