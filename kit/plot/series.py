"""Lanes as what is drawn: a mean curve with its interval, and apart from it each run that did not finish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.results.lanes import Lane
from kit.results.metrics import COUNTED
from kit.results.statistics import half_width

if TYPE_CHECKING:
    import numpy as np

    from kit.results.run import Run

    Floats = np.ndarray[Any, np.dtype[np.float64]]

POINTS = 150  # on a curve; longer ones (a batch's loss stands at every step) are averaged in blocks of x


@dataclass(frozen=True, kw_only=True, eq=False)
class Broken:
    """The curve of a run that did not finish."""

    x: Floats  # (points,)
    y: Floats
    status: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """A lane's curve. Arrays are (points,), empty where no run finished; `low` and `high` are NaN with one run."""

    lane: Lane
    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    n: int
    block: int  # most steps averaged into a point
    broken: tuple[Broken, ...]


def series_of(lane: Lane, metric: str, against: str, *, log: bool, log_x: bool = False) -> Series:
    """The mean over finished runs (geometric with `log`) at the steps that all of them have, against a clock.

    log_x: blocks of a long curve are even on the logarithm of x, and x = 0 is left out.

    Against seconds, the time at a step is the mean of the runs' times there.
    """
    import numpy as np

    finished = [run for run in lane.runs if run.status == COUNTED]
    curves = [curve for run in finished if len((curve := _curve(run, metric, against))[0])]
    broken = tuple(found for run in lane.runs if run.status != COUNTED and (found := _broken(run, metric, against)))
    if not curves:
        return _nothing(lane, broken)
    steps = curves[0][0]
    for other, _, _ in curves[1:]:
        steps = np.intersect1d(steps, other, assume_unique=True)
    places = [np.searchsorted(curve[0], steps) for curve in curves]
    x = np.mean([curve[1][place] for curve, place in zip(curves, places, strict=True)], axis=0)
    y = np.array([curve[2][place] for curve, place in zip(curves, places, strict=True)])
    if log_x:
        x, y = x[x > 0], y[:, x > 0]
    if not len(x):
        return _nothing(lane, broken)
    y = np.log(y) if log else y
    starts = _block_starts(x, log_x)
    block = int(np.diff([*starts, len(x)]).max())
    x, y = _means(x, starts), np.array([_means(values, starts) for values in y])
    mean = y.mean(axis=0)
    half = np.full_like(mean, np.nan)
    if len(y) > 1 and len(mean):
        half = half_width(len(y), 1.0) * y.std(axis=0, ddof=1)
    low, high = mean - half, mean + half
    if log:
        with np.errstate(over="ignore"):  # an interval of few, wild runs may reach beyond all numbers
            mean, low, high = np.exp(mean), np.exp(low), np.exp(high)
    return Series(lane=lane, x=x, mean=mean, low=low, high=high, n=len(y), block=block, broken=broken)


def _nothing(lane: Lane, broken: tuple[Broken, ...]) -> Series:
    import numpy as np

    empty = np.zeros(0)
    return Series(lane=lane, x=empty, mean=empty, low=empty, high=empty, n=0, block=1, broken=broken)


def _curve(run: Run, metric: str, against: str) -> tuple[Any, Floats, Floats]:
    """(steps, x, y), ascending."""
    import numpy as np

    points = run.points.get(metric)
    if points is None:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    return points["step"], points[against].astype(np.float64), points["value"]


def _broken(run: Run, metric: str, against: str) -> Broken | None:
    import numpy as np

    _, x, y = _curve(run, metric, against)
    finite = np.isfinite(y)
    if not finite.any():
        return None
    keep = np.unique(np.linspace(0, finite.sum() - 1, min(POINTS, int(finite.sum()))).astype(int))
    return Broken(x=x[finite][keep], y=y[finite][keep], status=run.status)


def _block_starts(x: Floats, log: bool) -> Any:
    """Where each block of a long curve begins: blocks of equal length in x (or log x), none empty."""
    import numpy as np

    if len(x) <= POINTS:
        return np.arange(len(x))
    place = np.log(np.maximum(x, x[x > 0].min() if (x > 0).any() else 1.0)) if log else x
    span = float(place[-1] - place[0]) or 1.0
    number = np.minimum(((place - place[0]) / span * POINTS).astype(int), POINTS - 1)
    return np.flatnonzero(np.diff(number, prepend=-1))


def _means(values: Floats, starts: Any) -> Floats:
    """Of each block."""
    import numpy as np

    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])
