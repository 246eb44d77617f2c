"""Losses: one number for each sample, from logits or values: `(output, target) -> (samples,)`.

Numbers beside the first axis of a sample (outputs of a regression, places of a text) are averaged. Each is a pure
function of two arrays; `jax.grad` and `jax.vmap` do the rest.
"""

from __future__ import annotations

from kit.errors import InvalidValueError
from kit_jax.environment import jax, jnp

Array = jax.Array


def _said(array: Array) -> str:
    return "(" + ", ".join(["samples", *map(str, array.shape[1:])]) + ")"


def _per_sample(values: Array) -> Array:
    return values if values.ndim <= 1 else values.reshape(len(values), -1).mean(1)


def _alike(name: str, output: Array, target: Array) -> tuple[Array, Array]:
    """Output and target as two arrays of one shape and dtype; an output (samples, 1) counts as (samples,).

    Raises `InvalidValueError` where they differ: broadcasting (samples, 1) with (samples,) would compare each sample
    with every other one.
    """
    if output.ndim == target.ndim + 1 and output.shape[-1] == 1:
        output = output[..., 0]
    if output.shape != target.shape:
        raise InvalidValueError(
            f"loss '{name}' compares each output with its target, but the model's output has shape {_said(output)} "
            f"and the target {_said(target)}."
        )
    return output, target.astype(output.dtype)


def _check_classes(name: str, output: Array, target: Array) -> None:
    if output.ndim != target.ndim + 1 or output.shape[:-1] != target.shape:
        raise InvalidValueError(
            f"loss '{name}' needs one logit for each class, but the model's output has shape {_said(output)} and the "
            f"target, of class numbers, {_said(target)}."
        )


def _picked(values: Array, target: Array) -> Array:
    """values[…, target]: as a sum over a mask, since the gradient of a gather is a scatter, which is slow on a CPU."""
    return jnp.sum(jnp.where(jnp.arange(values.shape[-1]) == target[..., None], values, 0), -1)


def mse(output: Array, target: Array) -> Array:
    """(ŷ − y)². output, target: (samples,) or (samples, outputs)."""
    output, target = _alike("mse", output, target)
    return _per_sample(jnp.square(output - target))


def mae(output: Array, target: Array) -> Array:
    """|ŷ − y|; its gradient is 0 where they are equal."""
    output, target = _alike("mae", output, target)
    return _per_sample(jnp.abs(output - target))


def huber(output: Array, target: Array, *, delta: float) -> Array:
    """½ e² where |e| ≤ δ, else δ (|e| − ½ δ). Huber 1964."""
    output, target = _alike("huber", output, target)
    size = jnp.abs(output - target)
    return _per_sample(jnp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)))


def cross_entropy(output: Array, target: Array) -> Array:
    """−log softmax(z)_y. output: (samples, classes) or (samples, context, tokens); target: class numbers."""
    _check_classes("cross_entropy", output, target)
    return _per_sample(-_picked(jax.nn.log_softmax(output), target))


def binary_cross_entropy(output: Array, target: Array) -> Array:
    """y log(1 + e^−z) + (1 − y) log(1 + e^z): exact at either end. output: (samples,) logits; target: 0 or 1.

    By `jax.nn.softplus`, whose gradient is σ(z) at z = 0 too, where max(z, 0) and |z| have a kink each.
    """
    output, target = _alike("binary_cross_entropy", output, target)
    return _per_sample(target * jax.nn.softplus(-output) + (1 - target) * jax.nn.softplus(output))


def hinge(output: Array, target: Array) -> Array:
    """max(0, 1 − (z_y − max of the other z)), Crammer & Singer 2001; of one output, max(0, 1 − ±z).

    output: (samples, classes) with class numbers, or (samples,) with targets 0 and 1 (or −1 and 1).
    """
    if output.ndim == target.ndim or output.shape[-1] == 1:
        output, target = _alike("hinge", output, target)
        return _per_sample(jax.nn.relu(1 - jnp.where(target > 0.5, output, -output)))
    _check_classes("hinge", output, target)
    chosen = jnp.arange(output.shape[-1]) == target[..., None]
    rival = jnp.where(chosen, -jnp.inf, output).max(-1)
    return _per_sample(jax.nn.relu(1 - _picked(output, target) + rival))


def output(output: Array, target: Array) -> Array:
    """The model's output as it is, for functions to be minimised."""
    return output
