"""The activations of the built-in models, by name. GELU is exact (by erf), as in PyTorch; Keras's default is not."""

from __future__ import annotations

import functools

from kit_tensorflow.environment import tf

ACTIVATIONS = {
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
    "gelu": functools.partial(tf.nn.gelu, approximate=False),
    "sigmoid": tf.sigmoid,
    "silu": tf.nn.silu,
}
