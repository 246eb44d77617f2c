"""A user's own data: arrays, frames, tables on disk, memory maps. Read once, checked, the task inferred.

from_user((x, y))                                   # arrays, lists, tensors; also (x, y, x_validation, y_validation)
from_user(frame, target="price")                    # a pandas frame
from_user("houses.csv", target="price")             # or .tsv, .parquet
from_user((np.load("x.npy", mmap_mode="r"), y))     # stays on disk if it is large; the path "x.npy" does as well
from_user(table, target=-1)                         # one 2-D array, memory-mapped or not, and its target's column
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kit.data.data import Data
from kit.data.labels import encoded, inferred_task
from kit.data.mapped import Mapped, chunked, reason
from kit.data.table import features, from_frame, is_frame, read_table
from kit.errors import DataError, InvalidValueError

RESIDENT_VALUES = 2**25  # a memory map of at most so many values (128 MB in float32) is read into memory
FORMS = "Data are (x, y), (x, y, x_validation, y_validation), or a frame or a 2-D array with target="
PARTS = ("x", "y", "x_validation", "y_validation")


def from_user(data: Any, target: str | int | None = None, task: str | None = None) -> Data:
    """What a user passed, as `Data`.

    target: the column to predict: its name in a frame or table, its number in a 2-D array. task: "classification",
    "regression" or "language"; None: inferred from the targets (see `kit.data.labels`).
    Raises `DataError` for data that cannot be trained on, `UnknownNameError` for a target that is not a column,
    `InvalidValueError` for a missing target or an unknown task.
    """
    if isinstance(data, Data):
        return data
    if task not in (None, "classification", "regression", "language"):
        raise InvalidValueError(f"task={task!r} is not valid; it must be classification, regression or language.")
    if isinstance(data, str | Path):
        data = Mapped.open(data) if str(data).lower().endswith(".npy") else read_table(data)
    if hasattr(data, "to_pandas"):  # Arrow's tables, Polars' frames
        data = data.to_pandas()
    if is_frame(data):
        return from_frame(data, target, task)
    if isinstance(data, tuple | list) and len(data) in (2, 4) and target is None:
        parts: list[Any] = list(data)
        columns: tuple[str, ...] = ()
        if all(map(is_frame, parts[::2])):
            parts[::2], columns = features(parts[::2])
        x, y, *validation = (array_of(part, name) for part, name in zip(parts, PARTS, strict=False))
        return from_arrays(x, y, validation, task, columns)
    if isinstance(data, tuple):
        raise DataError(f"{FORMS}; this is a tuple of {len(data)}.")
    return _from_array(array_of(data, "the table"), target, task)


def _from_array(table: Any, target: str | int | None, task: str | None) -> Data:
    """One 2-D array whose column `target` is what to predict."""
    if table.ndim != 2 or table.shape[1] < 2:
        raise DataError(f"{FORMS}; this is an array of shape {table.shape}.")
    if not isinstance(target, int) or not -table.shape[1] <= target < table.shape[1]:
        raise InvalidValueError(
            f"target={target!r} is not valid for one array of {table.shape[1]} columns; it must be the number of the "
            f"column to predict, 0 to {table.shape[1] - 1} (-1: the last). Or pass (x, y)."
        )
    column = target % table.shape[1]
    if isinstance(table, Mapped):
        return from_arrays(table.without_column(column), table.column(column), [], task)
    return from_arrays(np.delete(table, column, axis=1), table[:, column], [], task)


def array_of(values: Any, name: str) -> Any:
    """An array; a large memory-mapped one as a `Mapped`, without reading it."""
    if isinstance(values, str) and values.lower().endswith(".npy"):
        values = Mapped.open(values)
    elif hasattr(values, "detach"):  # a PyTorch tensor, perhaps on another device or with a gradient
        values = values.detach().cpu()
    if not isinstance(values, Mapped):
        try:
            values = np.asarray(values)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} is not an array: {reason(error)} Are its rows of different lengths?") from error
        if values.ndim == 0:
            raise DataError(f"{name} is a single value; it must have one entry for each sample.")
        mapped = Mapped.of(values)
        values = values if mapped is None else mapped
    return values[:] if isinstance(values, Mapped) and values.size <= RESIDENT_VALUES else values


def from_arrays(x: Any, y: Any, validation: list[Any], task: str | None, columns: tuple[str, ...] = ()) -> Data:
    """Arrays as `Data`: one feature or one target as a column, labels as class numbers."""
    x, y = _shaped(x, y)
    validation = list(_shaped(*validation)) if validation else []
    given = dict(zip(PARTS[2:], validation, strict=False))
    task = task or inferred_task(x, y)
    if task == "language":
        tokens = 1 + max(int(chunk.max()) for part in (x, y, *validation) for chunk in chunked(part))
        return Data(x=x, y=y, task=task, tokens=tokens, **given)
    if task == "regression":
        return Data(x=x, y=y, task=task, columns=columns, **given)
    classes, (y, *held) = encoded([y, *validation[1:]])
    if held:
        given["y_validation"] = held[0]
    return Data(x=x, y=y, task=task, classes=classes, columns=columns, **given)


def _shaped(x: Any, y: Any) -> tuple[Any, Any]:
    """x (rows, features) from (rows,), y (rows,) from (rows, 1)."""
    if x.ndim == 1:
        x = x.reshaped(len(x), 1) if isinstance(x, Mapped) else x[:, None]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y.reshaped(len(y)) if isinstance(y, Mapped) else y[:, 0]
    return x, y
