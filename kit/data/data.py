"""A dataset as the kit holds it: samples and targets in NumPy, checked when made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kit.data.check import check_labels, check_pair, check_size, check_tokens, check_varied
from kit.data.mapped import Mapped
from kit.data.split import held_out
from kit.errors import DataError
from kit.records import TASKS


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Samples, targets and what they are. What a dataset's `load` returns.

    x: (rows, *sample), numbers; images are (rows, height, width, channels); token numbers where `tokens` is given.
    y: classification: (rows,) class numbers from 0; regression: (rows,) or (rows, outputs); language: as x, one on.
    x_validation, y_validation: held out by whoever made the data; None: the kit holds out a share.
    classes: the labels behind the class numbers. image_shape: (height, width, channels) where flat samples are images.
    tokens: size of the vocabulary. columns: names of the features, for messages.
    An array may be a `Mapped`, which stays on disk. Raises `DataError` for data that cannot be trained on.
    """

    x: Any
    y: Any
    task: str
    x_validation: Any = None
    y_validation: Any = None
    classes: tuple[Any, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    tokens: int | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"task={self.task!r} is not valid; it must be one of {', '.join(TASKS)}.")
        for name in ("x", "y", "x_validation", "y_validation"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Mapped | np.ndarray):
                object.__setattr__(self, name, np.asarray(value))
        if self.task == "objective":
            return
        check_pair(self.x, self.y, "the data", self.columns)
        check_size(self.rows)
        if self.x_validation is not None:
            self._check_validation()
        for name, values in (("y", self.y), ("y_validation", self.y_validation)):
            if values is not None and self.task in ("classification", "binary"):
                check_labels(name, values, self.classes)
        if self.task == "language":
            self._check_language()
        else:
            check_varied(self.y, self.classes)

    def _check_validation(self) -> None:
        if self.y_validation is None:
            raise DataError("x_validation is given without y_validation.")
        check_pair(self.x_validation, self.y_validation, "the validation data", self.columns)
        for name, mine, its in (("x", self.x, self.x_validation), ("y", self.y, self.y_validation)):
            if its.shape[1:] != mine.shape[1:]:
                raise DataError(
                    f"One entry of {name}_validation has shape {its.shape[1:]}, one of {name} has {mine.shape[1:]}; "
                    "they must be alike."
                )
        if len(self.x_validation) == 0:
            raise DataError("There is nothing in the validation data: 0 samples.")

    def _check_language(self) -> None:
        if self.tokens is None or self.x.shape != self.y.shape:
            raise DataError(
                f"Language data need `tokens` and targets of the samples' shape; x is {self.x.shape}, y {self.y.shape}."
            )
        for name in ("x", "y", "x_validation", "y_validation"):
            if getattr(self, name) is not None:
                check_tokens(name, getattr(self, name), self.tokens)

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
            listing = f"{len(self.classes)} classes" if self.classes else "no classes"
            raise DataError(f"A binary loss needs two classes; these data are for {self.task}, with {listing}.")
        return replace(self, task="binary")
