"""Runs as frames: tidy curves, one row per run, and a labelled array. Labels are object arrays, not Arrow strings."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.errors import MissingPackageError
from kit.results.labels import columns_of
from kit.results.metrics import COSTS, is_accuracy

if TYPE_CHECKING:
    import pandas as pd
    import xarray

    from kit.results.run import Run

CURVE_COLUMNS = ("metric", "step", "samples", "gradient_evaluations", "seconds", "value")


def label_columns(runs: Sequence[Run]) -> dict[str, Any]:
    """Label -> array over runs: numbers as numbers, everything else as objects."""
    all_labels = [run.labels for run in runs]
    return {name: column([labels.get(name) for labels in all_labels]) for name in columns_of(all_labels)}


def column(values: Sequence[Any]) -> Any:
    """An array of one kind: int64, float64 or bool where all values are; else objects."""
    import numpy as np

    kinds = {type(value) for value in values}
    if kinds and kinds <= {int, float}:
        return np.array(values, dtype=np.int64 if kinds == {int} else np.float64)
    if kinds == {bool}:
        return np.array(values, dtype=bool)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def curves_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, metric and step: run, labels, metric, step, samples, gradient_evaluations, seconds, value."""
    import numpy as np
    import pandas as pd

    frames = [run.outcome.curves for run in runs]
    lengths = [len(frame) for frame in frames]
    columns = {"run": np.repeat(column([run.run_id for run in runs]), lengths)}
    columns |= {name: np.repeat(values, lengths) for name, values in label_columns(runs).items()}
    for name in CURVE_COLUMNS:
        kind = object if name == "metric" else None
        parts = [frame[name].to_numpy(dtype=kind) for frame in frames]
        columns[name] = np.concatenate(parts) if parts else np.zeros(0)
    return _with_objects(pd.DataFrame(columns))


def summary_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run: run, labels, status, reason, the last value of each metric, the best of each loss and
    accuracy (`best_…`), cost, strategy, attempts."""
    import pandas as pd

    last = [run.finals for run in runs]
    best = [_best(run) for run in runs]
    columns: dict[str, Any] = {"run": column([run.run_id for run in runs]), **label_columns(runs)}
    columns["status"] = column([run.status for run in runs])
    columns["reason"] = column([run.reason for run in runs])
    for name in dict.fromkeys(name for values in last for name in values if name not in COSTS):
        columns[name] = [values.get(name, float("nan")) for values in last]
    for name in dict.fromkeys(name for values in best for name in values):
        columns[f"best_{name}"] = [values.get(name, float("nan")) for values in best]
    for name in COSTS:
        columns[name] = [getattr(run.cost, name) for run in runs]
    columns["strategy"] = column([strategy_of(run) for run in runs])
    columns["attempts"] = [run.outcome.attempts for run in runs]
    return _with_objects(pd.DataFrame(columns))


def strategy_of(run: Run) -> str:
    """The loop that trained it; empty when it never got so far."""
    said = run.record.get("strategy", "")
    return str(said.get("name", "")) if isinstance(said, Mapping) else str(said or "")


def _best(run: Run) -> dict[str, float]:
    """The lowest loss and the highest accuracy of a run, over whole splits (a batch's loss is mostly luck)."""
    lowest, highest = run.outcome.lowest, run.outcome.highest
    if not lowest:
        values = run.outcome.curves.groupby("metric", sort=False)["value"]
        lowest = {str(metric): float(value) for metric, value in values.min().items()}
        highest = {str(metric): float(value) for metric, value in values.max().items()}
    found = {}
    for name, value in lowest.items():
        if is_accuracy(name):
            found[name] = highest[name]
        elif name.endswith("_loss") and name != "batch_loss":
            found[name] = value
    return found


def _with_objects(frame: pd.DataFrame) -> pd.DataFrame:
    """pandas 3 turns strings into Arrow strings, on which xarray's groupby fails: turn them back."""
    for name in frame.columns:
        if str(frame[name].dtype) in ("str", "string"):
            frame[name] = frame[name].astype(object)
    return frame


def parquet_ready(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with what Parquet has no one type for (a column of tuples, or of strings and numbers) as text."""
    from kit.results.words import value_words

    ready = frame.copy(deep=False)
    for name in ready.columns:
        if ready[name].dtype == object and not all(value is None or isinstance(value, str) for value in ready[name]):
            said = {value: None if value is None else value_words(value) for value in set(ready[name])}
            ready[name] = ready[name].map(said).astype(object)
    return ready


def labelled_array(runs: Sequence[Run]) -> xarray.Dataset:
    """(run, step): a variable per metric, and the clocks; labels and status are coordinates along `run`.

    Raises `MissingPackageError` without xarray.
    """
    if importlib.util.find_spec("xarray") is None:
        raise MissingPackageError("to_xarray() needs xarray: pip install 'descentkit[xarray]'.")
    import numpy as np
    import xarray

    curves = [run.outcome.curves for run in runs]
    steps = np.unique(np.concatenate([np.zeros(0, np.int64), *(frame["step"].to_numpy() for frame in curves)]))
    variables: dict[str, Any] = {}
    for i, frame in enumerate(curves):
        places = np.searchsorted(steps, frame["step"].to_numpy())
        for clock in ("samples", "gradient_evaluations", "seconds"):
            _cell(variables, clock, len(runs), len(steps))[i, places] = frame[clock].to_numpy()
        metrics = frame["metric"].to_numpy(dtype=object)
        for metric in dict.fromkeys(metrics):
            chosen = metrics == metric
            _cell(variables, str(metric), len(runs), len(steps))[i, places[chosen]] = frame["value"].to_numpy()[chosen]
    coordinates: dict[str, Any] = {name: ("run", _flat(values)) for name, values in label_columns(runs).items()}
    coordinates |= {"run": column([run.run_id for run in runs]), "step": steps}
    coordinates["status"] = ("run", column([run.status for run in runs]))
    return xarray.Dataset({name: (("run", "step"), values) for name, values in variables.items()}, coords=coordinates)


def _cell(variables: dict[str, Any], name: str, runs: int, steps: int) -> Any:
    import numpy as np

    return variables.setdefault(name, np.full((runs, steps), np.nan))


def _flat(values: Any) -> Any:
    """Tuples as text: an array of tuples would become an array of more dimensions."""
    from kit.results.words import value_words

    if values.dtype == object and any(isinstance(value, tuple) for value in values):
        return column([value_words(value) for value in values])
    return values
