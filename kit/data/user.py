"""A user's own data: arrays, frames, tables on disk, memory maps. Read once, checked, the task inferred."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from kit.data.data import Data
from kit.data.mapped import Mapped
from kit.errors import DataError, InvalidValueError, unknown

TABLES = (".csv", ".parquet", ".pq")
CLASSES_AT_MOST = 100  # whole numbers with more distinct values than this are taken for quantities, not classes
SAMPLED_BYTES = 2**20  # of each part of a memory-mapped file that its fingerprint reads


def is_table(text: str) -> bool:
    """Whether a dataset's name is the path of a table."""
    return text.lower().endswith(TABLES)


def read_table(path: str) -> Any:
    """A CSV or Parquet file as a frame. Raises `DataError` when it is not there or cannot be read."""
    import pandas as pd

    file = Path(path)
    if not file.exists():
        raise DataError(f"There is no file '{path}' (looked in {file.absolute().parent}).")
    try:
        return pd.read_csv(file) if file.suffix.lower() == ".csv" else pd.read_parquet(file)
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as a table: {type(error).__name__}: {error}") from error


def from_user(data: Any, target: str | None = None, task: str | None = None) -> Data:
    """What a user passed, as `Data`.

    data: `(x, y)` or `(x, y, x_validation, y_validation)` of arrays or anything with `__array__`; a frame, or the
    path of a
    table, with `target` naming its column. Memory-mapped arrays stay on disk. task: "classification" or "regression";
    None: inferred from the targets (text, truth values and few whole numbers are classes).
    Raises `DataError` for data that cannot be trained on, `UnknownNameError` for a target that is not a column.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        data = read_table(str(data))
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return _from_frame(data, target, task)
    if target is not None:
        raise InvalidValueError(f"target='{target}' names a column; the data are arrays. Pass (x, y) without it.")
    if not isinstance(data, tuple | list) or len(data) not in (2, 4):
        raise DataError(
            "Data are (x, y), (x, y, x_validation, y_validation), or a frame with target=; this is something else."
        )
    x, y, *validation = (
        _array(part, name) for part, name in zip(data, ("x", "y", "x_validation", "y_validation"), strict=False)
    )
    return _data(x, y, validation, task)


def _array(values: Any, name: str) -> Any:
    """An array; a memory map as `Mapped`, without reading it."""
    if isinstance(values, np.memmap) and values.ndim > 0:
        return Mapped.of(values)
    if isinstance(values, Mapped):
        return values
    if hasattr(values, "detach"):  # a PyTorch tensor, perhaps on another device or with a gradient
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array: {error}.") from error
    if array.ndim == 0:
        raise DataError(f"{name} is a single value; it must have one entry for each sample.")
    return array


def _data(x: Any, y: Any, validation: list[Any], task: str | None) -> Data:
    if isinstance(y, Mapped):
        y = y[:]  # targets are small beside the samples and are needed as a whole
    if y.ndim == 2 and y.shape[1] == 1:
        y, validation = y[:, 0], [v[:, 0] if i == 1 and v.ndim == 2 else v for i, v in enumerate(validation)]
    if x.ndim == 1 and not isinstance(x, Mapped):
        x, validation = x[:, None], [v[:, None] if i == 0 else v for i, v in enumerate(validation)]
    classes: tuple[Any, ...] = ()
    if task not in (None, "classification", "regression"):
        raise InvalidValueError(f"task='{task}' is not valid; it must be classification or regression.")
    if (task or _inferred(y)) == "classification":
        y, classes, validation = _encoded(y, validation)
    given = {"x_validation": validation[0], "y_validation": validation[1]} if validation else {}
    return Data(x=x, y=y, task="classification" if classes else "regression", classes=classes, **given)


def _inferred(y: Any) -> str:
    if y.ndim > 1:
        return "regression"
    if y.dtype.kind in "iu":
        return "classification" if len(np.unique(y)) <= CLASSES_AT_MOST else "regression"
    return "regression" if y.dtype.kind == "f" else "classification"


def _encoded(y: Any, validation: list[Any]) -> tuple[Any, tuple[Any, ...], list[Any]]:
    """Labels as class numbers from 0, in sorted order."""
    if y.dtype == object:
        missing = np.flatnonzero([value is None or value != value for value in y])
        if len(missing):
            raise DataError(f"The target is missing in {len(missing)} rows; the first is row {missing[0]}.")
    if y.dtype.kind in "iu" and len(y) and y.min() < 0:
        raise DataError(f"y has labels out of range: row {int(np.argmin(y))} has {y.min()}; class numbers start at 0.")
    classes, numbers = np.unique(y, return_inverse=True)
    if validation:
        held = validation[1]
        strangers = np.flatnonzero(~np.isin(held, classes))
        if len(strangers):
            raise DataError(
                f"y_validation has labels out of range: row {strangers[0]} has {held[strangers[0]]!r}, a class "
                f"that y never has."
            )
        validation = [validation[0], np.searchsorted(classes, held)]
    return (
        numbers.reshape(y.shape),
        tuple(value.item() if hasattr(value, "item") else value for value in classes),
        validation,
    )


def _from_frame(frame: Any, target: str | None, task: str | None) -> Data:
    """Columns of numbers as they are, of categories one-hot, the target apart."""
    import pandas as pd

    columns = [str(column) for column in frame.columns]
    if target is None:
        raise InvalidValueError(f"A table needs target=, the column to predict. Columns: {', '.join(columns)}.")
    if target not in columns:
        raise unknown("column (target)", target, columns)
    frame = frame.set_axis(columns, axis=1)
    if frame.empty:
        raise DataError("There is nothing in the table: 0 samples.")
    features = frame.drop(columns=target)
    if features.shape[1] == 0:
        raise DataError(f"The table has no column besides the target '{target}'.")
    missing = features.isna()
    if missing.to_numpy().any():
        column = str(missing.any().idxmax())
        raise DataError(
            f"The table has {int(missing.to_numpy().sum())} values that are missing; the first is in column "
            f"'{column}', row "
            f"{int(np.argmax(missing[column].to_numpy()))}. Remove or fill them first."
        )
    y = frame[target]
    if y.isna().any():
        raise DataError(
            f"The target '{target}' is missing in {int(y.isna().sum())} rows; the first is row "
            f"{int(np.argmax(y.isna()))}."
        )
    wide = pd.get_dummies(features, dtype=np.float64)
    labels = y.to_numpy() if pd.api.types.is_numeric_dtype(y) else y.astype(object).to_numpy().astype(str)
    return _data(wide.to_numpy(dtype=np.float64), labels, [], task)


def fingerprint(data: Data) -> str:
    """What the content hashes to: equal data have equal fingerprints. A memory map is known by its shape, size, time of
    change and samples from its start, middle and end, since reading it whole may take minutes."""
    content = hashlib.sha256()
    for values in (data.x, data.y, data.x_validation, data.y_validation):
        if values is None:
            continue
        content.update(f"{values.shape}{np.dtype(values.dtype).str}".encode())
        if isinstance(values, Mapped):
            status = Path(values.path).stat()
            content.update(f"{status.st_size}{status.st_mtime_ns}".encode())
            rows = max(1, SAMPLED_BYTES // max(1, values.row_bytes))
            for start in (0, len(values) // 2, max(0, len(values) - rows)):
                content.update(values[start : start + rows].tobytes())
        else:
            content.update(np.ascontiguousarray(values).tobytes())
    content.update(repr((data.task, data.classes)).encode())
    return content.hexdigest()[:16]
