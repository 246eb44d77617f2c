"""Learning-rate schedules: what multiplies the learning rate at each step.

A schedule is a function `(step, steps, **options) -> factor`: `step` counts from 0, `steps` is the budget, `factor` a
float64 array like `step`. Every one takes a warm-up before it: the factor rises linearly over the first
`warmup_steps` (or `warmup_fraction` of the budget), and the schedule itself is laid over the steps that remain.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import InvalidValueError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[np.float64]]
    Shape = Callable[..., Array]


def warmed(shape: Shape) -> Shape:
    """A schedule with a warm-up before it. `shape` gets (progress position, steps that remain), both without the
    warm-up.

    The factor of warm-up step t (from 0) is (t + 1) / warmup_steps, so that no step is wasted at zero.
    """

    @wraps(shape)
    def schedule(
        step: Any, steps: int, *, warmup_steps: int = 0, warmup_fraction: float = 0.0, **options: Any
    ) -> Array:
        warmup = warmup_steps or round(warmup_fraction * steps)
        if warmup >= steps > 1:
            raise InvalidValueError(
                f"The schedule's warm-up of {warmup} steps leaves nothing of a budget of {steps} steps."
            )
        step = np.asarray(step)
        after = shape(np.maximum(step - warmup, 0).astype(np.float64), max(1, steps - warmup), **options)
        return np.where(step < warmup, (step + 1) / max(1, warmup), after)

    return schedule


@warmed
def constant(step: Array, steps: int) -> Array:
    """1 throughout."""
    return np.ones_like(step)


@warmed
def step(step: Array, steps: int, *, factor: float = 0.1, every_fraction: float = 0.333) -> Array:
    """factor^⌊step / period⌋, a period being a share of the budget."""
    return np.asarray(factor ** np.floor(step / max(1.0, every_fraction * steps)))


@warmed
def exponential(step: Array, steps: int, *, final: float = 0.01) -> Array:
    """final^(step / (steps − 1)): falls by the same ratio in every step, to `final` in the last."""
    return np.asarray(final ** _progress(step, steps))


@warmed
def polynomial(step: Array, steps: int, *, power: float = 1.0) -> Array:
    """(1 − step / steps)^power: to zero, which it would reach in the step after the last."""
    return np.asarray((1 - np.minimum(step / steps, 1.0)) ** power)


@warmed
def cosine(step: Array, steps: int, *, final: float = 0.0) -> Array:
    """final + (1 − final) ½ (1 + cos π step/(steps − 1)). Loshchilov & Hutter 2017, arXiv:1608.03983, without
    restarts."""
    return np.asarray(final + (1 - final) * 0.5 * (1 + np.cos(np.pi * _progress(step, steps))))


@warmed
def one_cycle(
    step: Array, steps: int, *, peak_fraction: float = 0.3, start: float = 0.04, final: float = 4e-6
) -> Array:
    """Cosine up from `start` to 1 over the first `peak_fraction`, cosine down to `final`. Smith & Topin 2017,
    arXiv:1708.07120."""
    progress = _progress(step, steps)
    up = start + (1 - start) * 0.5 * (1 - np.cos(np.pi * progress / peak_fraction))
    down = final + (1 - final) * 0.5 * (1 + np.cos(np.pi * (progress - peak_fraction) / (1 - peak_fraction)))
    return np.where(progress < peak_fraction, up, down)


@warmed
def warmup_stable_decay(step: Array, steps: int, *, decay_fraction: float = 0.2, final: float = 0.0) -> Array:
    """1 until the last `decay_fraction` of the steps, then linear to `final`. Hu et al. 2024, arXiv:2404.06395."""
    decay = max(1.0, decay_fraction * steps)
    return np.asarray(1 - (1 - final) * np.clip((step - (steps - decay)) / decay, 0.0, 1.0))


def _progress(step: Array, steps: int) -> Array:
    """0 in the first step, 1 in the last and after it."""
    return np.minimum(step / max(1, steps - 1), 1.0)
