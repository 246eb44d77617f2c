"""Learning-rate schedules: what multiplies the learning rate at each step.

A schedule is a function `(step, steps, **options) -> factor`: `step` counts from 0, `steps` is the budget T, `factor`
is float64 and shaped like `step`. Its formula is written in t, the step, and T; where it falls to a final value, that
is what it would reach in the step after the last, so that no step is taken with a rate of zero. Two instances:

    cosine(np.arange(100), 100)                           # ½ (1 + cos π t/T)
    cosine(np.arange(100), 100, warmup_fraction=0.1)      # (t + 1)/10 for ten steps, then the cosine over the other 90
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import InvalidValueError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[np.float64]]
    Shape = Callable[..., Array]


def warmed(shape: Shape) -> Shape:
    """A schedule with a linear warm-up before it (Goyal et al. 2017, arXiv:1706.02677, section 2.2).

    Over the first w steps, w being `warmup_steps` or else `warmup_fraction` of the budget, the factor rises as
    (t + 1)/w to what the schedule begins with; the schedule is then laid over the steps that remain.
    Raises `InvalidValueError` when none remain, or for a share of a budget that is not in steps.
    """

    @wraps(shape)
    def schedule(
        step: Any, steps: int, *, warmup_steps: int = 0, warmup_fraction: float = 0.0, **options: Any
    ) -> Array:
        if warmup_fraction and not warmup_steps and steps <= 1:
            raise InvalidValueError(
                f"schedule '{shape.__name__}': warmup_fraction={warmup_fraction:g} needs a budget in steps, epochs or "
                "samples; with any other say warmup_steps."
            )
        warmup = warmup_steps or round(warmup_fraction * steps)
        if warmup >= steps > 1:
            raise InvalidValueError(
                f"schedule '{shape.__name__}': a warm-up of {warmup} steps leaves nothing of a budget of {steps} steps."
            )
        t = np.asarray(step, dtype=np.float64) - warmup
        factor = shape(np.maximum(t, 0.0), max(1, steps - warmup), **options)
        # Where t < 0, the shape was evaluated at its beginning.
        return np.where(t < 0, (t + warmup + 1) / max(1, warmup) * factor, factor)

    return schedule


@warmed
def constant(t: Array, steps: int) -> Array:
    """1."""
    return np.ones_like(t)


@warmed
def step(t: Array, steps: int, *, factor: float = 0.1, every_fraction: float = 1 / 3, every_steps: int = 0) -> Array:
    """factor^⌊t/e⌋, e being `every_steps`, or else `every_fraction` of the budget, rounded up. As in He et al. 2016,
    arXiv:1512.03385."""
    every = every_steps or max(1, math.ceil(every_fraction * steps - 1e-9))
    return np.asarray(factor ** np.floor(t / every))


@warmed
def exponential(t: Array, steps: int, *, final: float = 0.01) -> Array:
    """final^(t/T): falls by the same ratio in every step; rises where `final` is above 1: a range test (Smith 2017,
    arXiv:1506.01186)."""
    return np.asarray(final ** (t / steps))


@warmed
def polynomial(t: Array, steps: int, *, power: float = 1.0) -> Array:
    """(1 − t/T)^power, to zero; power 1 is a straight line. Liu, Rabinovich & Berg 2015, arXiv:1506.04579."""
    return np.asarray((1 - np.minimum(t / steps, 1.0)) ** power)


@warmed
def cosine(t: Array, steps: int, *, final: float = 0.0) -> Array:
    """final + (1 − final) ½ (1 + cos π t/T). Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts."""
    return _cosine(t / steps, 1.0, final)


@warmed
def one_cycle(t: Array, steps: int, *, peak_fraction: float = 0.3, start: float = 0.04, final: float = 4e-6) -> Array:
    """Half a cosine up from `start` to 1 in step p = `peak_fraction` T − 1, half a cosine down to `final` in the last.
    Smith & Topin 2017, arXiv:1708.07120; as PyTorch's OneCycleLR."""
    peak = max(peak_fraction * steps - 1, 0.0)
    up = _cosine(t / peak if peak else np.ones_like(t), start, 1.0)
    down = _cosine((t - peak) / max(steps - 1 - peak, 1.0), 1.0, final)
    return np.where(t <= peak, up, down)


@warmed
def warmup_stable_decay(
    t: Array, steps: int, *, decay_fraction: float = 0.2, final: float = 0.0, shape: str = "linear"
) -> Array:
    """1, then over the last `decay_fraction` of the steps, u going from 0 to 1, down to `final`: as 1 − u ("linear", Hu
    et al. 2024, arXiv:2404.06395) or 1 − √u ("sqrt", Hägele et al. 2024, arXiv:2405.18392). Has a warm-up by
    default."""
    decay = max(1.0, decay_fraction * steps)
    u = np.clip((t - (steps - decay)) / decay, 0.0, 1.0)
    return np.asarray(1 - (1 - final) * (np.sqrt(u) if shape == "sqrt" else u))


def _cosine(u: Array, first: float, last: float) -> Array:
    """Half a cosine from `first` at u = 0 to `last` from u = 1 on."""
    return np.asarray(last + (first - last) * 0.5 * (1 + np.cos(np.pi * np.minimum(u, 1.0))))
