"""The array functions that rules use, in TensorFlow. See `kit.rules.namespace.Namespace`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kit_tensorflow.environment import tf

Tensor = Any

sqrt = tf.sqrt
abs = tf.abs
sign = tf.sign
power = tf.pow
where = tf.where
zeros_like = tf.zeros_like
ones_like = tf.ones_like
matmul = tf.matmul
transpose = tf.linalg.matrix_transpose
reshape = tf.reshape


def maximum(x: Tensor, y: Tensor | float, /) -> Tensor:
    return _heeding_nan(tf.maximum(x, y), y)


def minimum(x: Tensor, y: Tensor | float, /) -> Tensor:
    return _heeding_nan(tf.minimum(x, y), y)


def _heeding_nan(result: Tensor, y: Tensor | float) -> Tensor:
    # XLA on a CPU (xla_cpu_enable_fast_min_max) drops a NaN in the second argument, and with it the sign of divergence.
    return tf.where(tf.math.is_nan(y), y, result) if tf.is_tensor(y) else result


def full_like(x: Tensor, value: float, /) -> Tensor:
    return tf.fill(tf.shape(x), tf.constant(value, dtype=x.dtype))


def sum(x: Tensor, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Tensor:
    return tf.reduce_sum(x, axes, keepdims=keepdims)


def mean(x: Tensor, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Tensor:
    return tf.reduce_mean(x, axes, keepdims=keepdims)


def tiny(x: Tensor, /) -> float:
    return float(np.finfo(x.dtype.as_numpy_dtype).tiny)


def epsilon(x: Tensor, /) -> float:
    return float(np.finfo(x.dtype.as_numpy_dtype).eps)
