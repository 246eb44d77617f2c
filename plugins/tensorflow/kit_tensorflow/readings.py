"""What is read from a model outside training, in compiled functions: losses, accuracies, gradients."""

from __future__ import annotations

from typing import Any

from kit_tensorflow.criterion import Criterion
from kit_tensorflow.environment import quiet, tf
from kit_tensorflow.loop import invoke
from kit_tensorflow.strategies.batched import BatchedGradients

Tensor = Any
# "single" and "gradient" are of one member; a number is of a stack whose members are spread over so many sets of rows.
Kind = str | int


class Readings:
    """The functions of one criterion, each traced when it is first used."""

    def __init__(self, criterion: Criterion) -> None:
        self.criterion, self.network = criterion, criterion.network
        self._functions: dict[Any, Any] = {}

    def __call__(self, kind: Kind, rows: list[Tensor], tensors: list[Tensor]) -> Any:
        """rows: x and y, any number of them, but for gradients, where it is always the batch's. tensors: parameters in
        the model's order, then buffers.

        "single": (3,), the sums of losses and of right answers, and the model's penalty. A number: the same of each
        member, (members, 3). "gradient": the gradients, in the parameters' order.
        """
        axis = 1 if kind not in ("single", "gradient", 1) else 0
        free = rows[0].shape[0] if kind == "gradient" else None
        specs = [tf.TensorSpec((*t.shape[:axis], free, *t.shape[axis + 1 :]), t.dtype) for t in rows]
        specs += [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
        key = (kind, *specs)
        if key in self._functions:
            return invoke(self._functions[key], [*rows, *tensors])
        with quiet():
            function = tf.function(lambda x, y, *rest: self._traced(kind, x, y, rest), autograph=False)
            self._functions[key] = function.get_concrete_function(*specs)
            return invoke(self._functions[key], [*rows, *tensors])

    def _traced(self, kind: Kind, x: Tensor, y: Tensor, rest: tuple[Tensor, ...]) -> Any:
        if kind == "single":
            return self._sums(x, y, rest)
        if kind == "gradient":
            return self._gradient(x, y, rest)
        return self._batched_sums(x, y, rest, int(kind))

    def _sums(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...]) -> Tensor:
        criterion, count = self.criterion, len(self.network.layouts)
        output, _, penalties = criterion.output(rest[:count], rest[count:], x, y, training=False)
        losses = tf.cast(criterion.losses(output, y), tf.float64)
        rows = tf.cast(tf.shape(x)[0], tf.float64)
        total = tf.reduce_mean(losses) * rows  # a slice counts by its rows, also where the loss is a mean already
        penalty = sum((tf.cast(p, tf.float64) for p in penalties), tf.constant(0.0, tf.float64))
        return tf.stack([total, tf.reduce_sum(self._right(output, y, -1)), penalty])

    def _batched_sums(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...], sets: int) -> Tensor:
        batched = BatchedGradients(self.criterion.problem, self.criterion.dtype, sets)
        output, target = batched.output(dict(zip(self.network.names, rest, strict=True)), x, y, {})
        losses = tf.cast(batched.per_sample(output, target), tf.float64)
        right = tf.broadcast_to(self._right(output, target, -2), tf.shape(losses))
        sums = [tf.reshape(tf.reduce_sum(values, axis=-1), (-1,)) for values in (losses, right)]
        return tf.stack([*sums, tf.zeros_like(sums[0])], axis=1)

    def _right(self, output: Tensor, target: Tensor, axis: int) -> Tensor:
        """1 for each sample that is predicted rightly, else 0, float64; a sample of several tokens counts in part."""
        accuracy = self.criterion.problem.accuracy
        if accuracy == "argmax" and output.shape.rank > target.shape.rank:
            right = tf.equal(_first_largest(output, axis), tf.cast(target, tf.int32))
        elif accuracy is not None:  # one number per sample: its sign decides
            right = tf.equal(output > 0, tf.cast(target, output.dtype) > 0.5)
        else:
            return tf.zeros((1,), tf.float64)
        counted = tf.cast(right, tf.float64)
        return tf.reduce_mean(counted, axis=1) if axis == -1 and counted.shape.rank > 1 else counted

    def _gradient(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...]) -> list[Tensor]:
        # Without the host's draws there is nothing to drop units by: then as in evaluation.
        count, training = len(self.network.layouts), not self.criterion.problem.noise
        return self.criterion.gradient(rest[:count], rest[count:], x, y, None, training=training)[1]


def _first_largest(output: Tensor, axis: int) -> Tensor:
    """`tf.argmax`, which on a CPU takes twice as long as this."""
    largest = tf.reduce_max(output, axis=axis, keepdims=True)
    count = output.shape[axis]
    numbers = tf.reshape(tf.range(count), (count,) + (1,) * (-1 - axis))
    return tf.reduce_min(tf.where(output == largest, numbers, count), axis=axis)
