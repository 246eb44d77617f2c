"""Frames and tables on disk: columns of numbers as they are, categories one-hot, the target apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kit.data.data import Data
from kit.data.labels import encoded, inferred_task
from kit.data.mapped import reason
from kit.errors import DataError, InvalidValueError, unknown

READERS = {".csv": ",", ".tsv": "\t", ".parquet": None, ".pq": None}  # suffix -> separator; None: Parquet
CATEGORIES_AT_MOST = 1000  # of one column; a column of names or identifiers says nothing about rows not seen


def is_table(text: str) -> bool:
    """Whether a dataset's name is the path of a table."""
    return Path(text).suffix.lower() in READERS


def is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "iloc")


def read_table(path: str | Path) -> Any:
    """A CSV, TSV or Parquet file as a frame. Raises `DataError` when it is not there or cannot be read."""
    import pandas as pd

    file = Path(path)
    if not is_table(str(path)):
        raise DataError(f"'{path}' is not a table; tables end in {', '.join(READERS)}, arrays in .npy.")
    if not file.exists():
        raise DataError(f"There is no file '{path}' (looked in {file.absolute().parent}).")
    separator = READERS[file.suffix.lower()]
    try:
        frame = pd.read_parquet(file) if separator is None else pd.read_csv(file, sep=separator)
    except Exception as error:  # each reader has exceptions of its own
        raise DataError(f"'{path}' cannot be read as a table: {type(error).__name__}: {reason(error)}") from error
    return frame


def from_frame(frame: Any, target: str | int | None, task: str | None) -> Data:
    """Raises `InvalidValueError` without a target, `UnknownNameError` for one that is not a column, `DataError` for
    values that are missing or cannot be trained on."""
    names = [str(column) for column in frame.columns]
    if target is None:
        raise InvalidValueError(f"A table needs target=, the column to predict. Columns: {', '.join(names)}.")
    if str(target) not in names:
        raise unknown("column (target)", str(target), names)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"The table has more than one column named '{repeated[0]}'.")
    if len(frame) == 0:
        raise DataError("There is nothing in the table: 0 samples.")
    frame = frame.set_axis(names, axis=1)
    if len(names) == 1:
        raise DataError(f"The table has no column besides the target '{target}'.")
    (x,), columns = features([frame.drop(columns=str(target))])
    classes, y = _target(str(target), frame[str(target)], x, task)
    return Data(x=x, y=y, task="classification" if classes else "regression", classes=classes, columns=columns)


def features(frames: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
    """Frames of the same columns as arrays, (rows, features) float64 each, with the same categories; and the features'
    names. Raises `DataError` for missing values, with their row in the frames one after the other."""
    import pandas as pd

    names = [str(column) for column in frames[0].columns]
    for frame in frames[1:]:
        if [str(column) for column in frame.columns] != names:
            raise DataError(
                f"x_validation has the columns {', '.join(map(str, frame.columns))}; x: {', '.join(names)}."
            )
    whole = pd.concat([frame.set_axis(names, axis=1) for frame in frames], ignore_index=True)
    if not names or len(whole) == 0:
        return [np.empty((len(frame), len(names))) for frame in frames], tuple(names)
    found = [pair for name in names for pair in _feature(name, whole[name])]
    x = np.stack([values for _, values in found], axis=1)
    return np.split(x, np.cumsum([len(frame) for frame in frames])[:-1]), tuple(name for name, _ in found)


def _feature(name: str, column: Any) -> list[tuple[str, Any]]:
    """A column as columns of numbers, (rows,) float64: itself, or one for each category, in sorted order."""
    import pandas as pd

    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The column '{name}' has {int(missing.sum())} values that are missing; the first is row "
            f"{int(np.argmax(missing))} (rows counted from 0). Remove or fill them first."
        )
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        if pd.api.types.is_complex_dtype(column):
            raise DataError(f"The column '{name}' has dtype {column.dtype}; it must be real numbers or categories.")
        return [(name, column.to_numpy(dtype=np.float64))]
    if not _categorical(column):
        raise DataError(
            f"The column '{name}' has dtype {column.dtype}; it must be numbers, text or categories. "
            "Convert it first, or drop it."
        )
    categories = sorted(map(str, column.unique()))
    if len(categories) > min(CATEGORIES_AT_MOST, max(2, len(column) // 2)):
        raise DataError(
            f"The column '{name}' has {len(categories)} different texts in {len(column)} rows; "
            "one-hot encoding would learn names by heart. Drop or group it."
        )
    texts = column.astype(str).to_numpy(dtype=object)
    return [(f"{name}={category}", (texts == category).astype(np.float64)) for category in categories]


def _categorical(column: Any) -> bool:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if pd.api.types.is_string_dtype(column):
        return True
    return bool(column.dtype == object and all(isinstance(value, str | bool) for value in column))


def _target(name: str, column: Any, x: Any, task: str | None) -> tuple[tuple[Any, ...], Any]:
    """(classes, class numbers), or ((), quantities). Numbers in a target column may be any; they are labels."""
    import pandas as pd

    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The target '{name}' is missing in {int(missing.sum())} rows; the first is row "
            f"{int(np.argmax(missing))} (rows counted from 0)."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories().cat
        classes = tuple(getattr(value, "item", lambda value=value: value)() for value in used.categories)
        return classes, used.codes.to_numpy().astype(np.int64)
    if pd.api.types.is_bool_dtype(column):
        y = column.to_numpy(dtype=bool)
    elif pd.api.types.is_integer_dtype(column):
        y = column.to_numpy(dtype=np.int64)
    elif pd.api.types.is_numeric_dtype(column):
        y = column.to_numpy(dtype=np.float64)
    else:
        y = column.to_numpy(dtype=object)
    if (task or inferred_task(x, y)) == "regression":
        return (), y.astype(np.float64)
    classes, (numbers,) = encoded([y], consecutive=False)
    return classes, numbers
