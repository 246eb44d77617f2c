"""What lets `kit check` call TensorFlow's losses and array functions alone. See `kit.engine.Arrays`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit_tensorflow import xp
from kit_tensorflow.environment import tf

__all__ = ["from_numpy", "gradient", "to_numpy", "xp"]

Tensor = Any


def from_numpy(values: Any, /) -> Tensor:
    return tf.constant(values)


def to_numpy(array: Tensor, /) -> Any:
    return np.array(array)


def gradient(function: Callable[[Tensor], Tensor], at: Tensor, /) -> Tensor:
    with tf.GradientTape() as tape:
        tape.watch(at)
        total = tf.reduce_sum(function(at))
    return tf.convert_to_tensor(tape.gradient(total, at))
