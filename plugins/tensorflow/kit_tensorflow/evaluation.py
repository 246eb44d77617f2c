"""Losses, accuracies and gradients at given parameters, outside training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kit.engine import State
from kit_tensorflow.environment import quiet, tf
from kit_tensorflow.feed import Table
from kit_tensorflow.loop import invoke
from kit_tensorflow.plan import Plan
from kit_tensorflow.storage import Storage
from kit_tensorflow.strategies import BATCHED
from kit_tensorflow.strategies.batched import BatchedGradients

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]

SLICE_NUMBERS = 2**23  # of the widest layer's outputs that are held at once


class Evaluation:
    """Evaluates a stack: by batched products where the model has that form, else member by member.

    Rows are taken in slices, so that memory stays bounded however large a split is.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.network = plan.criterion.network
        self.together = not plan.refusals().get(BATCHED.name) and plan.stack.size > 1
        self.storage = Storage(self.network.layouts, "canonical" if self.together else "native", plan.precision)
        self._functions: dict[Any, Any] = {}

    def evaluate(self, state: State, table: Table) -> dict[str, Array]:
        """{"loss": (N,), "accuracy": (N,)} over a split; state: parameters to evaluate, and buffers."""
        with tf.device(self.plan.device):
            sums = self._together(state, table) if self.together else self._one_by_one(state, table)
        loss, right, penalty = sums.T
        found = {"loss": loss / table.rows + penalty}
        if self.plan.problem.accuracy is not None:
            found["accuracy"] = right / table.rows
        return found

    def _slices(self, table: Table, members: int) -> list[tuple[int, int]]:
        units = math.prod(table.x.shape[1:])
        for layout in self.network.layouts:
            positions = math.prod(table.x.shape[1:-1])
            units = max(units, positions * (layout.native_shape[-1] if layout.native_shape else 1))
        size = max(1, SLICE_NUMBERS // (units * members))
        return [(first, min(first + size, table.rows)) for first in range(0, table.rows, size)]

    def _one_by_one(self, state: State, table: Table) -> Array:
        """(N, 3): the sums of losses and of right answers, and the model's penalty."""
        packed = self.storage.pack(state.parameters)
        buffers = self.network.buffers_of(state.buffers)
        sums = np.zeros((self.plan.stack.size, 3))
        for n, offset in enumerate(table.offsets(self.plan.replicates)):
            tensors = [tf.convert_to_tensor(np.ascontiguousarray(a[n])) for a in (*packed, *buffers)]
            for first, last in self._slices(table, 1):
                rows = [t[offset + first : offset + last] for t in (table.x, table.y)]
                found = self._call("single", rows, tensors).numpy()
                sums[n, :2] += found[:2]
                sums[n, 2] = found[2]
        return sums

    def _together(self, state: State, table: Table) -> Array:
        plan = self.plan
        order = plan.order(BATCHED)
        sets = plan.sets(order, evenly=True) if table.replicates > 1 else (0,)
        packed = self.storage.pack({name: value[order] for name, value in state.parameters.items()})
        tensors = [tf.convert_to_tensor(np.ascontiguousarray(a)) for a in packed]
        sums = np.zeros((plan.stack.size, 3))
        for first, last in self._slices(table, plan.stack.size):
            parts = [[t[a + first : a + last] for a in table.offsets(sets)] for t in (table.x, table.y)]
            rows = [tf.stack(part) if len(sets) > 1 else part[0] for part in parts]
            sums[order] += self._call(len(sets), rows, tensors).numpy()
        return sums

    def _call(self, kind: Any, rows: list[Tensor], tensors: list[Tensor]) -> Any:
        """Run the compiled function of a kind: "single", "gradient", or the number of sets. Any number of rows, but for
        gradients, where it is always the batch's."""
        axis = 1 if kind not in ("single", "gradient", 1) else 0
        free = None if kind != "gradient" else rows[0].shape[0]
        specs = [tf.TensorSpec((*t.shape[:axis], free, *t.shape[axis + 1 :]), t.dtype) for t in rows]
        specs += [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
        key = (kind, *specs)
        if key in self._functions:
            return invoke(self._functions[key], [*rows, *tensors])
        with quiet():
            function = tf.function(self._function(kind), autograph=False)
            self._functions[key] = function.get_concrete_function(*specs)
            return invoke(self._functions[key], [*rows, *tensors])

    def _function(self, kind: Any) -> Any:
        if kind == "single":
            return lambda x, y, *rest: self._sums(x, y, rest)
        if kind == "gradient":
            return lambda x, y, *rest: self._gradient(x, y, rest)
        return lambda x, y, *rest: self._batched_sums(x, y, rest, kind)

    def _sums(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...]) -> Tensor:
        criterion, count = self.plan.criterion, len(self.network.layouts)
        output, _, penalties = criterion.output(rest[:count], rest[count:], x, y, training=False)
        losses = tf.cast(criterion.losses(output, y), tf.float64)
        rows = tf.cast(tf.shape(x)[0], tf.float64)
        total = tf.reduce_mean(losses) * rows  # a slice counts by its rows, also where the loss is a mean already
        penalty = sum((tf.cast(p, tf.float64) for p in penalties), tf.constant(0.0, tf.float64))
        return tf.stack([total, tf.reduce_sum(self._right(output, y, -1)), penalty])

    def _batched_sums(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...], sets: int) -> Tensor:
        batched = BatchedGradients(self.plan.problem, self.plan.dtype, sets)
        named = dict(zip(self.network.names, rest, strict=True))
        output, target = batched.output(named, x, y, {})
        losses = tf.cast(batched.per_sample(output, target), tf.float64)
        right = tf.broadcast_to(self._right(output, target, -2), tf.shape(losses))
        sums = [tf.reshape(tf.reduce_sum(values, axis=-1), (-1,)) for values in (losses, right)]
        return tf.stack([*sums, tf.zeros_like(sums[0])], axis=1)

    def _right(self, output: Tensor, target: Tensor, axis: int) -> Tensor:
        """1 for each sample that is predicted rightly, else 0, float64; a sample of several tokens counts in part."""
        accuracy = self.plan.problem.accuracy
        if accuracy == "argmax" and output.shape.rank > target.shape.rank:
            right = tf.equal(tf.argmax(output, axis=axis, output_type=tf.int32), tf.cast(target, tf.int32))
        elif accuracy is not None:  # one number per sample: its sign decides
            right = tf.equal(output > 0, tf.cast(target, output.dtype) > 0.5)
        else:
            return tf.zeros((1,), tf.float64)
        counted = tf.cast(right, tf.float64)
        return tf.reduce_mean(counted, axis=1) if axis == -1 and counted.shape.rank > 1 else counted

    def gradients(self, state: State, x: Array, y: Array) -> dict[str, Array]:
        """The gradient of the mean loss of each member: name -> (N, *canonical shape).

        x, y: (R or 1, B, …). Where the model drops units by the host's draws, nothing is dropped.
        """
        native = Storage(self.network.layouts, "native", self.plan.precision)
        packed = native.pack(state.parameters)
        buffers = self.network.buffers_of(state.buffers)
        found = []
        with tf.device(self.plan.device):
            for n, replicate in enumerate(self.plan.replicates):
                tensors = [tf.convert_to_tensor(np.ascontiguousarray(a[n])) for a in (*packed, *buffers)]
                r = replicate if len(x) > 1 else 0
                rows = [tf.convert_to_tensor(np.ascontiguousarray(a[r])) for a in (x, y)]
                found.append([g.numpy() for g in self._call("gradient", rows, tensors)])
        return native.unpack([np.stack(parts) for parts in zip(*found, strict=True)])

    def _gradient(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...]) -> list[Tensor]:
        count, training = len(self.network.layouts), not self.plan.problem.noise
        return self.plan.criterion.gradient(rest[:count], rest[count:], x, y, None, training=training)[1]
