"""What a target is for, and labels as class numbers.

Text, truth values and categories are classes, fractions are quantities. Whole numbers are classes, unless there are
more than 100 different ones and more than one for every ten rows: those are counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.data.mapped import Mapped, chunked
from kit.errors import DataError

CLASSES_AT_MOST = 100
ROWS_PER_CLASS = 10


def inferred_task(x: Any, y: Any) -> str:
    """ "classification", "regression", or "language" for whole numbers of the samples' own shape."""
    kind = y.dtype.kind
    if kind in "cmMV":
        raise DataError(f"y has dtype {y.dtype}; a target is numbers, text or truth values.")
    if y.ndim > 1 and kind in "iu" and x.dtype.kind in "iu" and x.shape == y.shape:
        return "language"
    if kind == "f":
        return "regression"
    if y.ndim > 1:
        raise DataError(
            f"y has shape {y.shape} and dtype {y.dtype}; labels are one per sample, (rows,): y.argmax(axis=1) makes "
            "them of one-hot rows. Several quantities to predict are floats: y.astype(float)."
        )
    if kind in "iu":
        distinct = len(distinct_values(y))
        return "regression" if distinct > max(CLASSES_AT_MOST, len(y) / ROWS_PER_CLASS) else "classification"
    return "classification"


def distinct_values(y: Any) -> Any:
    """Every value that occurs, sorted."""
    found = [np.unique(chunk) for chunk in chunked(y)]
    return np.unique(np.concatenate(found)) if found else np.asarray(y)[:0]


def encoded(parts: list[Any], consecutive: bool = True) -> tuple[tuple[Any, ...], list[Any]]:
    """(classes, sorted; class numbers of each part). parts: y, and y_validation if there is one.

    consecutive: whole numbers must follow each other, as class numbers in an array do, or be just two (−1 and 1): a
    stray one is a mistake, not another class. Raises `DataError` for that, for missing labels, and for validation
    labels that y has not.
    """
    parts = [_plain(part, name) for part, name in zip(parts, ("y", "y_validation"), strict=False)]
    if len(parts[0]) == 0:
        raise DataError("There is nothing in the data: 0 samples.")
    classes = distinct_values(parts[0])
    if consecutive and classes.dtype.kind in "iu" and len(classes) > 2:
        _check_consecutive(parts[0], classes)
    kind = np.min_scalar_type(len(classes))
    numbers = []
    for part, name in zip(parts, ("y", "y_validation"), strict=False):
        coded, start = np.empty(len(part), dtype=kind), 0
        for chunk in chunked(part):
            found = np.minimum(np.searchsorted(classes, chunk), len(classes) - 1)
            strange = np.flatnonzero(classes[found] != chunk)
            if len(strange):
                raise DataError(
                    f"{name} has labels out of range: row {start + strange[0]} has {chunk[strange[0]]!r}, which y "
                    f"never has. Its classes: {', '.join(map(str, classes[:20]))}{', …' if len(classes) > 20 else ''}."
                )
            coded[start : start + len(chunk)] = found
            start += len(chunk)
        numbers.append(coded)
    return tuple(classes.tolist()), numbers


def _plain(labels: Any, name: str) -> Any:
    """Labels of one comparable type; objects are text, numbers or truth values, all alike."""
    if isinstance(labels, Mapped) or labels.dtype != object:
        return labels
    missing = np.flatnonzero([value is None or value != value for value in labels])
    if len(missing):
        raise DataError(f"{name} is missing in {len(missing)} rows; the first is row {missing[0]}.")
    kinds = {type(value) for value in labels}
    if len(kinds) > 1 or not issubclass(next(iter(kinds), str), str | bool | int | float | np.generic):
        listing = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{name} has dtype object, with values of the types {listing}; labels are all of one type.")
    return np.array(labels.tolist())


def _check_consecutive(labels: Any, classes: Any) -> None:
    low, high = int(classes[0]), int(classes[-1])
    if low >= 0 and high - low == len(classes) - 1:
        return
    gap = int(np.argmax(np.diff(classes) > 1)) + 1
    stray = low if low < 0 else int(classes[gap])
    start = 0
    for chunk in chunked(labels):
        if (chunk == stray).any():
            row = start + int(np.argmax(chunk == stray))
            break
        start += len(chunk)
    raise DataError(
        f"y has labels out of range: row {row} has {stray}; class numbers follow each other from 0, and these are "
        f"{', '.join(map(str, classes[:20].tolist()))}{', …' if len(classes) > 20 else ''}. If it is a class, pass the "
        "labels as text: y.astype(str)."
    )
