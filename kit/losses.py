"""The formulas of the built-in losses in plain NumPy: what every backend's are checked against (`kit check`).

Each takes `(output, target, **options)` and gives one number for each sample, (samples,), in float64; numbers beside
the first axis of a sample (outputs of a regression, places of a text) are averaged.

>>> import numpy as np
>>> cross_entropy(np.array([[0.0, 0.0]]), np.array([1])).round(6).tolist()   # log 2
[0.693147]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Array = np.ndarray[Any, np.dtype[Any]]


def _per_sample(values: Array) -> Floats:
    return values if values.ndim == 1 else values.mean(axis=tuple(range(1, values.ndim)))


def mse(output: Array, target: Array) -> Floats:
    """(ŷ − y)²."""
    return _per_sample((output - target) ** 2)


def mae(output: Array, target: Array) -> Floats:
    """|ŷ − y|."""
    return _per_sample(abs(output - target))


def huber(output: Array, target: Array, *, delta: float) -> Floats:
    """½ e² where |e| ≤ δ, else δ (|e| − ½ δ). Huber 1964."""
    import numpy as np

    e = abs(output - target)
    return _per_sample(np.where(e <= delta, e**2 / 2, delta * (e - delta / 2)))


def cross_entropy(output: Array, target: Array) -> Floats:
    """log Σⱼ exp zⱼ − z_y."""
    import numpy as np

    largest = output.max(axis=-1, keepdims=True)
    total = np.log(np.exp(output - largest).sum(axis=-1)) + largest[..., 0]
    return _per_sample(total - np.take_along_axis(output, target[..., None], -1)[..., 0])


def binary_cross_entropy(output: Array, target: Array) -> Floats:
    """log(1 + exp(−z)) for the target 1, log(1 + exp z) for 0."""
    import numpy as np

    return _per_sample(np.logaddexp(0.0, np.where(target == 1, -output, output)))


def hinge(output: Array, target: Array) -> Floats:
    """max(0, 1 − (z_y − max of the other z)), Crammer & Singer 2001; of one output, max(0, 1 − ±z)."""
    import numpy as np

    if output.ndim == target.ndim:
        return _per_sample(np.maximum(0.0, 1 - np.where(target == 1, output, -output)))
    chosen = np.arange(output.shape[-1]) == target[..., None]
    rival = np.where(chosen, -np.inf, output).max(axis=-1)
    return _per_sample(np.maximum(0.0, 1 - output[chosen].reshape(target.shape) + rival))


def output(output: Array, target: Array) -> Floats:
    """The model's output itself."""
    return output
