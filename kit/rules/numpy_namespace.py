"""The reference `xp`: the array functions that rules use, in NumPy. Conventions: `kit.rules.namespace`."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

zeros_like = np.zeros_like
ones_like = np.ones_like
full_like = np.full_like
sqrt = np.sqrt
abs = np.abs
sign = np.sign
power = np.power
maximum = np.maximum
minimum = np.minimum
where = np.where
matmul = np.matmul


def sum(x: Array, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Array:
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims))


def mean(x: Array, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Array:
    return np.asarray(np.mean(x, axis=axes, keepdims=keepdims))


def transpose(x: Array, /) -> Array:
    return np.swapaxes(x, -1, -2)


def reshape(x: Array, shape: tuple[int, ...], /) -> Array:
    return np.reshape(x, shape)


def tiny(x: Array, /) -> float:
    return float(np.finfo(x.dtype).tiny)


def epsilon(x: Array, /) -> float:
    return float(np.finfo(x.dtype).eps)
