"""Gradient accumulation, for any way to take gradients: those of a batch as the sum of those of its parts.

The parts are the turns of a loop, so that the activations of one are given back before the next begins: as operations
one beside the other, a graph's executor may begin them all.
"""

from __future__ import annotations

from typing import Any

from kit.levers import parts
from kit_tensorflow.environment import tf
from kit_tensorflow.storage import Form, Storage
from kit_tensorflow.strategies import Gradients

Tensor = Any


class AccumulatedGradients:
    """See `kit_tensorflow.strategies.Gradients`. count: of parts; axis: of the samples in x, y and noise."""

    def __init__(self, inner: Gradients, count: int, axis: int) -> None:
        self.inner, self.count, self.axis = inner, count, axis
        self.form: Form = inner.form

    def __call__(
        self,
        storage: Storage,
        parameters: list[Tensor],
        buffers: list[Tensor],
        x: Tensor,
        y: Tensor,
        noise: dict[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        size = x.shape[self.axis]
        stretches = parts(size, self.count)
        length = stretches[0][1]
        equal = [stop - start for start, stop in stretches].count(length)
        sums = [tf.zeros((parameters[0].shape[0],), storage.dtype), *(tf.zeros_like(p) for p in parameters)]

        def add(start: Tensor, length: int, sums: list[Tensor], buffers: list[Tensor]) -> tuple[Any, Any]:
            own = [self._part(values, start, length) for values in (x, y, *noise.values())]
            drawn = dict(zip(noise, own[2:], strict=True))
            losses, gradients, after = self.inner(storage, parameters, buffers, own[0], own[1], drawn)
            share = tf.constant(length / size, storage.dtype)
            return [total + share * now for total, now in zip(sums, [losses, *gradients], strict=True)], after

        def turn(i: Tensor, sums: list[Tensor], buffers: list[Tensor]) -> tuple[Any, ...]:
            return i + 1, *add(i * length, length, sums, buffers)

        _, sums, buffers = tf.while_loop(
            lambda i, *_: i < equal,
            turn,
            (tf.constant(0), sums, list(buffers)),
            parallel_iterations=1,
            maximum_iterations=equal,
        )
        for start, stop in stretches[equal:]:
            sums, buffers = add(start, stop - start, sums, buffers)
        return sums[0], sums[1:], buffers

    def _part(self, values: Tensor, start: Tensor, length: int) -> Tensor:
        begin = [0] * len(values.shape)
        begin[self.axis] = start
        size = values.shape.as_list()
        size[self.axis] = length
        return tf.reshape(tf.slice(values, tf.stack(begin), size), size)

    def constrained(self, storage: Storage, parameters: list[Tensor]) -> list[Tensor]:
        return self.inner.constrained(storage, parameters)
