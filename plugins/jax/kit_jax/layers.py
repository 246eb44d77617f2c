"""What the built-in models are made of: functions of named parameters, in the canonical layouts."""

from __future__ import annotations

from collections.abc import Mapping

from kit.architectures import NORM_EPSILON
from kit_jax.environment import jax, jnp

Array = jax.Array
Parameters = Mapping[str, Array]


def dense(p: Parameters, name: str, x: Array) -> Array:
    """x Wᵀ + b, W: (out, in)."""
    prefix = f"{name}." if name else ""
    return x @ p[f"{prefix}weight"].T + p[f"{prefix}bias"]


def norm(p: Parameters, name: str, x: Array) -> Array:
    """LayerNorm over the last axis; the variance is that of the population, as everywhere."""
    centred = x - x.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return centred / jnp.sqrt(variance + NORM_EPSILON) * p[f"{name}.weight"] + p[f"{name}.bias"]


def convolution(x: Array, weight: Array, bias: Array) -> Array:
    """Stride 1, k//2 zeros on every side. x: (batch, height, width, in); weight: (out, in, k, k).

    As one product with a matrix of windows: XLA has no fast convolution on a CPU within a loop, or with a kernel for
    each member of a stack.
    """
    out, depth, k, _ = weight.shape
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    # (batch, height, width, k · k · in)
    windows = jnp.concatenate([padded[:, i : i + height, j : j + width] for i in range(k) for j in range(k)], axis=-1)
    return windows @ weight.transpose(2, 3, 1, 0).reshape(k * k * depth, out) + bias


def max_pool(x: Array) -> Array:
    """The largest of each 2×2, sides rounded down; where several are largest the first has the gradient, as in PyTorch.

    x: (batch, height, width, channels).
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    largest, *others = (x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
    for other in others:
        largest = jnp.where((other > largest) | jnp.isnan(other), other, largest)
    return largest
