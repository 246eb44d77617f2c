"""The activations of the built-in models, by name."""

from __future__ import annotations

import math
from typing import Any

from kit_tensorflow.environment import tf

Tensor = Any


def gelu(x: Tensor) -> Tensor:
    """½ x (1 + erf(x/√2)), exact as in PyTorch. Hendrycks & Gimpel 2016.

    `tf.nn.gelu` rounds √2 to float32 on the way, which costs a float64 run half of its digits.
    """
    return 0.5 * x * (1 + tf.math.erf(x * math.sqrt(0.5)))


ACTIVATIONS = {"relu": tf.nn.relu, "tanh": tf.tanh, "gelu": gelu, "sigmoid": tf.sigmoid, "silu": tf.nn.silu}
