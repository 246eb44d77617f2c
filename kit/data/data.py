"""A dataset as the kit holds it: samples and targets in NumPy, checked when made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kit.data.mapped import Mapped
from kit.errors import DataError

CHECKED_ROWS = 100_000  # of a memory-mapped array: what is looked through for values that are not finite


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Samples, targets and what they are.

    x: (rows, *sample), float, or integer token numbers. y: (rows,) class numbers from 0 or values, or (rows, outputs).
    x_validation, y_validation: held out by whoever made the data; None: the kit holds out a share.
    classes: the labels behind the class numbers. image_shape: (height, width, channels) where flat samples are images.
    tokens: size of the vocabulary where samples are token numbers. Raises `DataError` for data that cannot be
    trained on.
    """

    x: Any
    y: Any
    task: str
    x_validation: Any = None
    y_validation: Any = None
    classes: tuple[Any, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.task == "objective":
            return
        check(self.x, self.y, "the data")
        if self.x_validation is not None:
            check(self.x_validation, self.y_validation, "the validation data")
            if self.x_validation.shape[1:] != self.x.shape[1:]:
                raise DataError(
                    f"The validation samples have shape {self.x_validation.shape[1:]}, the training samples "
                    f"{self.x.shape[1:]}."
                )
        if self.task in ("classification", "binary"):
            self._check_labels()

    def _check_labels(self) -> None:
        labels = np.asarray(self.y[:])
        for name, values in (("y", labels), ("y_validation", self.y_validation)):
            if values is None:
                continue
            outside = np.flatnonzero((values < 0) | (values >= len(self.classes)))
            if len(outside):
                raise DataError(
                    f"{name} has labels out of range: row {outside[0]} has {values[outside[0]]}, "
                    f"but there are {len(self.classes)} classes, numbered 0 to {len(self.classes) - 1}."
                )
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"All {len(labels)} samples have the same class, {self.classes[int(labels[0])]!r}; there is "
                f"nothing to learn."
            )

    @property
    def rows(self) -> int:
        """Samples, without the validation data that came with them."""
        return len(self.x)

    @property
    def streamed(self) -> bool:
        """True where the samples stay on disk and are read as they are needed."""
        return isinstance(self.x, Mapped)

    @property
    def outputs(self) -> int:
        """Width of a fitting model's output."""
        if self.task == "language":
            return int(self.tokens or 0)
        if self.task == "classification":
            return len(self.classes)
        return 1 if self.y.ndim == 1 else int(self.y.shape[1])

    def training_rows(self, validation_fraction: float) -> int:
        """Rows of the training split."""
        if self.x_validation is not None or self.task == "objective":
            return self.rows
        return self.rows - held_out(self.rows, validation_fraction)

    def as_binary(self) -> Data:
        """Two classes as targets 0 and 1 of one output. Raises `DataError` for any other number of classes."""
        if self.task == "binary":
            return self
        if self.task != "classification" or len(self.classes) != 2:
            raise DataError(
                f"A binary loss needs two classes; these data have {len(self.classes)}: {list(self.classes)[:10]}."
            )
        return replace(self, task="binary")


def held_out(rows: int, fraction: float) -> int:
    """How many of the rows are held out. At least one on either side, unless the fraction is 0."""
    return 0 if fraction == 0 else min(rows - 1, max(1, round(rows * fraction)))


def check(x: Any, y: Any, what: str) -> None:
    """Raise `DataError` for what cannot be trained on, saying where it is."""
    if len(x) != len(y):
        raise DataError(f"In {what}, x has {len(x)} samples and y has {len(y)} targets; they must be as many.")
    if len(x) == 0:
        raise DataError(f"There is nothing in {what}: 0 samples.")
    if len(x) == 1 and what == "the data":
        raise DataError("There is one sample in the data; training and validation need at least 2.")
    for name, values in (("x", x), ("y", y)):
        if values.dtype == object or values.dtype.kind not in "fiub":
            raise DataError(f"In {what}, {name} has dtype {values.dtype}; it must be numbers.")
        if values.dtype.kind == "f":
            _check_finite(name, values, what)


def _check_finite(name: str, values: Any, what: str) -> None:
    head = values[:CHECKED_ROWS] if isinstance(values, Mapped) else values
    bad = ~np.isfinite(head)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f"row {first[0]}" + (
            f", column {first[1]}" if len(first) == 2 else f", position {first[1:]}" if len(first) > 2 else ""
        )
        raise DataError(
            f"In {what}, {name} has {int(bad.sum())} values that are not finite; the first is {head[first]} at "
            f"{place}. "
            "Remove or fill them first."
        )
