"""Curves from log records: per metric, steps ascending, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.store.encoding import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COLUMNS = ("metric", "step", "samples", "gradient_evaluations", "seconds", "value")


@dataclass(frozen=True, kw_only=True)
class Series:
    """One metric of a run: steps ascending, each once."""

    step: np.ndarray[Any, Any]  # (points,), int64
    seconds: np.ndarray[Any, Any]  # (points,), float64
    value: np.ndarray[Any, Any]  # (points,), float64
    gradients: np.ndarray[Any, Any] | None = None  # (points,), int64, of a batch, taken by then; None: one a step


def is_curve(record: Record) -> bool:
    return record["kind"] in ("points", "evaluation")


def span(record: Record) -> tuple[int, int]:
    """(steps done before, steps done after) a record of a curve."""
    if record["kind"] == "evaluation":
        return record["step"], record["step"]
    longest = max((len(values) for values in record["metrics"].values()), default=0)
    return record["first"] - 1, record["first"] - 1 + longest


def merge(chain: Sequence[tuple[list[Record], int | None]]) -> dict[str, Series]:
    """The curves of attempts that stand on each other, oldest first: metric -> series.

    chain: for each attempt its records, and the last of its steps that counts (None: all do).
    """
    import numpy as np

    blocks: dict[str, list[tuple[Any, Any, Any, Any]]] = {}
    singles: dict[str, tuple[list[int], list[float], list[float], list[int]]] = {}
    for records, cut in chain:
        limit = np.inf if cut is None else cut
        for record in records:
            if record["kind"] == "evaluation" and record["step"] <= limit:
                for name, value in record["metrics"].items():
                    steps, seconds, values, gradients = singles.setdefault(name, ([], [], [], []))
                    steps.append(record["step"])
                    gradients.append(record["gradients"] if "gradients" in record else record["step"])
                    seconds.append(record["seconds"])
                    values.append(value)
            elif record["kind"] == "points":
                for name, block in _points(record, limit).items():
                    blocks.setdefault(name, []).append(block)
    for name, single in singles.items():
        blocks.setdefault(name, []).append(single)
    return {name: _series(parts) for name, parts in blocks.items()}


def _points(record: Record, limit: float) -> dict[str, tuple[Any, Any, Any, Any]]:
    """A points record's metrics as (step, seconds, value, gradients), steps up to `limit`; seconds are linear between
    the ends."""
    import numpy as np

    found = {}
    before, after = record["seconds"]
    for name, values in record["metrics"].items():
        count = np.arange(1, len(values) + 1)
        steps = record["first"] - 1 + count
        seconds = before + (after - before) * count / len(values)
        keep = slice(None) if not len(values) or steps[-1] <= limit else steps <= limit
        gradients = np.array(record["gradients"], dtype=np.int64) if "gradients" in record else steps
        found[name] = (steps[keep], seconds[keep], np.array(values)[keep], gradients[keep])
    return found


def _series(parts: list[tuple[Any, Any, Any, Any]]) -> Series:
    import numpy as np

    step = np.concatenate([np.asarray(part[0], dtype=np.int64) for part in parts])
    seconds = np.concatenate([np.asarray(part[1], dtype=np.float64) for part in parts])
    value = np.concatenate([np.asarray(part[2], dtype=np.float64) for part in parts])
    gradients = np.concatenate([np.asarray(part[3], dtype=np.int64) for part in parts])
    if len(step) > 1 and not (np.diff(step) > 0).all():  # a step written twice: the later word counts
        order = np.argsort(step, kind="stable")
        order = order[np.append(np.diff(step[order]) > 0, True)]
        step, seconds, value, gradients = step[order], seconds[order], value[order], gradients[order]
    counted = None if np.array_equal(gradients, step) else gradients
    return Series(step=step, seconds=seconds, value=value, gradients=counted)


def frame(series: Mapping[str, Series], batch_size: int) -> pd.DataFrame:
    """The tidy frame of `kit.outcome.Outcome.curves`: one row per metric and step, columns `COLUMNS`.

    batch_size: samples a step, for the columns samples and gradient_evaluations (a gradient of each sample of a batch).
    """
    import numpy as np
    import pandas as pd

    def joined(parts: list[Any], kind: Any) -> Any:
        return np.concatenate([np.zeros(0, kind), *parts]).astype(kind, copy=False)

    step = joined([item.step for item in series.values()], np.int64)
    gradients = joined([s.step if s.gradients is None else s.gradients for s in series.values()], np.int64)
    # Labels as objects: pandas' Arrow strings break xarray's groupby.
    names = np.array([*series, None], dtype=object)[:-1]
    columns = (
        pd.Series(np.repeat(names, [len(item.step) for item in series.values()]), dtype=object),
        step,
        step * batch_size,
        gradients * batch_size,
        joined([item.seconds for item in series.values()], np.float64),
        joined([item.value for item in series.values()], np.float64),
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
