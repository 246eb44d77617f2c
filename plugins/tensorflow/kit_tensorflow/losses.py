"""Losses: one number for each sample, from logits or values: `(output, target) -> (samples,)`.

Each has a second form, `loss.columns`, for stacks: there the samples stand last, which is how the matrix products of a
stack come out and go in fastest, and the axes before broadcast. Two instances:

    cross_entropy.columns(output (…, classes, samples), target (…, samples))    -> (…, samples)
    mse.columns(output (…, samples), target (…, samples))                       -> (…, samples)

A loss has that form only if each sample's loss depends on that sample alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from kit.errors import InvalidValueError
from kit_tensorflow.environment import tf

Tensor = Any
Loss = Callable[..., Tensor]

TARGET_WITH_OUTPUTS = (
    4  # rank of a stack's target that has several numbers per sample: (replicates, 1, outputs, samples)
)


def with_columns(columns: Loss) -> Callable[[Loss], Loss]:
    """Attach the form for stacks to a loss."""

    def attach(loss: Loss) -> Loss:
        loss.columns = columns  # type: ignore[attr-defined]
        return loss

    return attach


def elementwise(formula: Loss) -> Loss:
    """A loss that compares number with number: both forms, from the formula of one number and its target."""

    def columns(output: Tensor, target: Tensor, **options: Any) -> Tensor:
        values = formula(output, tf.cast(target, output.dtype), **options)
        return tf.reduce_mean(values, axis=-2) if target.shape.rank == TARGET_WITH_OUTPUTS else values

    @with_columns(columns)
    @functools.wraps(formula)
    def loss(output: Tensor, target: Tensor, **options: Any) -> Tensor:
        _check_alike(formula.__name__, output, target)
        return _per_sample(formula(output, tf.cast(target, output.dtype), **options))

    return loss


def _per_sample(values: Tensor) -> Tensor:
    """The mean over whatever a sample has besides its first axis."""
    rank = values.shape.rank
    return values if rank == 1 else tf.reduce_mean(values, axis=tuple(range(1, rank)))


def _said(tensor: Tensor) -> str:
    return "(" + ", ".join("samples" if i == 0 else str(n) for i, n in enumerate(tensor.shape)) + ")"


def _check_alike(name: str, output: Tensor, target: Tensor) -> None:
    # Broadcasting (samples, 1) with (samples,) would compare each sample with every other one.
    if output.shape.rank != target.shape.rank or output.shape[1:] != target.shape[1:]:
        raise InvalidValueError(
            f"loss '{name}' compares each output with its target, but the model's output has shape {_said(output)} "
            f"and the target {_said(target)}."
        )


def _check_classes(name: str, output: Tensor, target: Tensor) -> None:
    if output.shape.rank != target.shape.rank + 1 or output.shape[1:-1] != target.shape[1:]:
        raise InvalidValueError(
            f"loss '{name}' needs one logit for each class, but the model's output has shape {_said(output)} "
            f"and the target, of class numbers, {_said(target)}."
        )


@elementwise
def mse(output: Tensor, target: Tensor) -> Tensor:
    """(ŷ − y)². output, target: (samples,) or (samples, outputs)."""
    error = output - target
    return error * error


@elementwise
def mae(output: Tensor, target: Tensor) -> Tensor:
    """|ŷ − y|; its gradient is 0 where they are equal."""
    return tf.abs(output - target)


@elementwise
def huber(output: Tensor, target: Tensor, *, delta: float) -> Tensor:
    """½ e² where |e| ≤ δ, else δ (|e| − ½ δ). Huber 1964."""
    size = tf.abs(output - target)
    return tf.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


@elementwise
def binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """max(z, 0) − z y + log(1 + e^−|z|): stable at either end. output: (samples,) logits; target: 0 or 1."""
    return tf.maximum(output, 0) - output * target + tf.math.log1p(tf.exp(-tf.abs(output)))


def _cross_entropy_columns(output: Tensor, target: Tensor) -> Tensor:
    largest = tf.stop_gradient(tf.reduce_max(output, axis=-2, keepdims=True))
    total = tf.reduce_sum(tf.exp(output - largest), axis=-2)
    right = tf.one_hot(target, output.shape[-2], axis=target.shape.rank - 1, dtype=output.dtype)
    return tf.math.log(total) + tf.squeeze(largest, -2) - tf.reduce_sum(output * right, axis=-2)


@with_columns(_cross_entropy_columns)
def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """−log softmax(z)_y. output: (samples, classes) or (samples, context, tokens); target: class numbers."""
    _check_classes("cross_entropy", output, target)
    return _per_sample(tf.nn.sparse_softmax_cross_entropy_with_logits(target, output))


def _sign_margin(output: Tensor, target: Tensor) -> Tensor:
    return tf.maximum(1 - (2 * tf.cast(target, output.dtype) - 1) * output, 0)


def _class_margin(output: Tensor, target: Tensor, axis: int) -> Tensor:
    place = target.shape.rank + 1 + axis
    right = tf.one_hot(target, output.shape[axis], axis=place, on_value=True, off_value=False, dtype=tf.bool)
    own = tf.reduce_sum(tf.where(right, output, tf.zeros_like(output)), axis)
    rival = tf.reduce_max(tf.where(right, output.dtype.min, output), axis)
    return tf.maximum(1 - own + rival, 0)


def _hinge_columns(output: Tensor, target: Tensor) -> Tensor:
    of_one_output = output.shape.rank == target.shape.rank
    return _sign_margin(output, target) if of_one_output else _class_margin(output, target, -2)


@with_columns(_hinge_columns)
def hinge(output: Tensor, target: Tensor) -> Tensor:
    """max(0, 1 − (z_y − max of the other z)), Crammer & Singer 2001; of one output, max(0, 1 − ±z).

    output: (samples, classes) with class numbers, or (samples,) with targets 0 and 1.
    """
    if output.shape.rank == target.shape.rank:
        _check_alike("hinge", output, target)
        return _per_sample(_sign_margin(output, target))
    _check_classes("hinge", output, target)
    return _per_sample(_class_margin(output, target, -1))


def output(output: Tensor, target: Tensor) -> Tensor:
    """The model's output as it is."""
    return output


with_columns(output)(output)
