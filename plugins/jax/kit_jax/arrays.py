"""What lets `kit check` call JAX's losses and array functions alone. See `kit.engine.Arrays`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit_jax import xp
from kit_jax.environment import jax, jnp

__all__ = ["from_numpy", "gradient", "to_numpy", "xp"]

Array = jax.Array


def from_numpy(values: Any, /) -> Array:
    return jnp.array(values)


def to_numpy(array: Array, /) -> Any:
    return np.array(array)


def gradient(function: Callable[[Array], Array], at: Array, /) -> Array:
    return jax.grad(lambda x: function(x).sum())(at)
