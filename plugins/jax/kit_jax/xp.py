"""The array functions that rules use, in JAX. Conventions: `kit.rules.namespace`."""

from __future__ import annotations

from kit_jax.environment import jax, jnp

Array = jax.Array

sqrt = jnp.sqrt
abs = jnp.abs
sign = jnp.sign
power = jnp.power
maximum = jnp.maximum
minimum = jnp.minimum
where = jnp.where
matmul = jnp.matmul
zeros_like = jnp.zeros_like
ones_like = jnp.ones_like
full_like = jnp.full_like
reshape = jnp.reshape
sum = jnp.sum
mean = jnp.mean


def transpose(x: Array, /) -> Array:
    return x.mT


def tiny(x: Array, /) -> float:
    return float(jnp.finfo(x.dtype).tiny)


def epsilon(x: Array, /) -> float:
    return float(jnp.finfo(x.dtype).eps)
