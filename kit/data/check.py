"""What data cannot be trained on, said with its place: each check raises `DataError`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.data.mapped import Mapped
from kit.data.scale import chunk_rows
from kit.errors import DataError

CHECKED_BYTES = 2**26  # of a file: the rest is checked as it is read


def check_pair(x: Any, y: Any, what: str, columns: tuple[str, ...] = ()) -> None:
    """Samples and targets that belong together: numbers, as many, and all finite."""
    for name, values in (("x", x), ("y", y)):
        if values.dtype.kind not in "fiub":
            raise DataError(
                f"In {what}, {name} has dtype {values.dtype}; it must be numbers. "
                f"Convert it first, e.g. {name}.astype(float), or pass a pandas frame, whose text columns are encoded."
            )
    if len(x) != len(y):
        raise DataError(f"In {what}, x has {len(x)} samples and y has {len(y)} targets; they must be as many.")
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise DataError(f"In {what}, x has shape {x.shape}; it must be (samples, features) with at least one feature.")
    check_finite(x, f"In {what}, x", columns)
    check_finite(y, f"In {what}, y")


def check_size(rows: int) -> None:
    """Enough rows to train on and to hold one out."""
    if rows == 0:
        raise DataError("There is nothing in the data: 0 samples.")
    if rows == 1:
        raise DataError("There is one sample in the data; training and validation need at least 2.")


def check_finite(values: Any, where: str, columns: tuple[str, ...] = ()) -> None:
    """No NaN and no infinity. Of a file the first 64 MB; the rest is checked as it is read."""
    if values.dtype.kind != "f":
        return
    rows = len(values)
    if isinstance(values, Mapped):
        rows = min(rows, max(1, CHECKED_BYTES // max(1, values.row_bytes)))
    step = chunk_rows(values.size // max(1, len(values)))
    bad, first = 0, None
    for start in range(0, rows, step):
        wrong = ~np.isfinite(values[start : min(start + step, rows)])
        if wrong.any():
            bad += int(wrong.sum())
            if first is None:
                place = np.argwhere(wrong)[0]
                first = (start + int(place[0]), *map(int, place[1:]))
    if first is not None:
        raise DataError(not_finite(where, bad, first[0], first[1:], values[first[0] : first[0] + 1][0], columns))


def not_finite(where: str, count: int, row: int, place: tuple[int, ...], sample: Any, columns: tuple[str, ...]) -> str:
    """The sentence about values that are not finite. place: of the first, within its sample."""
    column = ""
    if len(place) == 1:
        column = f", column {columns[place[0]]!r}" if columns else f", column {place[0]}"
    elif place:
        column = f", position {place}"
    number = "1 value that is" if count == 1 else f"{count} values that are"
    return (
        f"{where} has {number} not finite; the first is {sample[place] if place else sample} at row {row}{column} "
        "(rows counted from 0). Remove or fill them first."
    )


def check_labels(name: str, labels: Any, classes: tuple[Any, ...]) -> None:
    """Class numbers from 0 to classes − 1."""
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(f"{name} has dtype {labels.dtype} and shape {labels.shape}; class numbers are whole, (rows,).")
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(outside):
        raise DataError(
            f"{name} has labels out of range: row {outside[0]} has {labels[outside[0]]}, but there are {len(classes)} "
            f"classes, numbered 0 to {len(classes) - 1} ({len(outside)} such rows)."
        )


def check_varied(y: Any, classes: tuple[Any, ...]) -> None:
    """Targets that are not all the same."""
    if isinstance(y, Mapped):
        return
    if (y == y[0]).all():
        if classes:
            raise DataError(
                f"All {len(y)} samples have the same class, {classes[int(y[0])]!r}; there is nothing to learn."
            )
        raise DataError(f"All {len(y)} samples have the same target, {y[0]}; there is nothing to learn.")


def check_tokens(name: str, values: Any, tokens: int) -> None:
    """Token numbers from 0 to tokens − 1."""
    if values.dtype.kind not in "iu":
        raise DataError(f"{name} has dtype {values.dtype}; token numbers are whole.")
    if isinstance(values, Mapped):
        return
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= tokens:
        raise DataError(f"{name} has token numbers from {low} to {high}; the vocabulary has {tokens}, numbered from 0.")
