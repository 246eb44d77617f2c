"""Losses, accuracies and gradients of a stack at given parameters, outside training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kit.engine import State
from kit.levers import parts
from kit_tensorflow.environment import tf
from kit_tensorflow.feed import Table
from kit_tensorflow.plan import Plan
from kit_tensorflow.storage import Storage
from kit_tensorflow.strategies import BATCHED

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]

SLICE_NUMBERS = 2**23  # of the widest layer's outputs that are held at once


class Evaluation:
    """Evaluates a stack: by batched products where the model has that form, else member by member.

    Rows are taken in slices, so that memory stays bounded however large a split is.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.network, self.readings = plan.criterion.network, plan.workshop.readings
        self.together = not plan.refusals().get(BATCHED.name) and plan.stack.size > 1
        self.storage = Storage(self.network.layouts, "canonical" if self.together else "native", plan.precision)

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
        sums = np.zeros((self.plan.stack.size, 3))
        for n, offset in enumerate(table.offsets(self.plan.replicates)):
            tensors = self._member(state, n)
            for first, last in self._slices(table, 1):
                rows = [t[offset + first : offset + last] for t in (table.x, table.y)]
                found = self.readings("single", rows, tensors).numpy()
                sums[n, :2] += found[:2]
                sums[n, 2] = found[2]
        return sums

    def _member(self, state: State, n: int) -> list[Tensor]:
        """One member's parameters in Keras's axes, and its buffers."""
        native = Storage(self.network.layouts, "native", self.plan.precision)
        own = native.pack({name: value[n : n + 1] for name, value in state.parameters.items()})
        buffers = self.network.buffers_of(state.buffers, slice(n, n + 1))
        return [tf.convert_to_tensor(np.ascontiguousarray(a[0])) for a in (*own, *buffers)]

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
            sums[order] += self.readings(len(sets), rows, tensors).numpy()
        return sums

    def gradients(self, state: State, x: Array, y: Array) -> dict[str, Array]:
        """The gradient of the mean loss of each member: name -> (N, *canonical shape). x, y: (R or 1, B, …)."""
        found = []
        with tf.device(self.plan.device):
            for n, replicate in enumerate(self.plan.replicates):
                r = replicate if len(x) > 1 else 0
                found.append(self._gradient(x[r], y[r], self._member(state, n)))
        native = Storage(self.network.layouts, "native", self.plan.precision)
        return native.unpack([np.stack(members) for members in zip(*found, strict=True)])

    def _gradient(self, x: Array, y: Array, tensors: list[Tensor]) -> list[Array]:
        """One member's, part by part where the problem asks for it."""
        sums: list[Array] = []
        for start, stop in parts(len(x), min(len(x), self.plan.problem.gradient_accumulation)):
            rows = [tf.convert_to_tensor(np.ascontiguousarray(a[start:stop])) for a in (x, y)]
            share = self.plan.precision.type((stop - start) / len(x))
            taken = [share * g.numpy() for g in self.readings("gradient", rows, tensors)]
            sums = [a + b for a, b in zip(sums, taken, strict=True)] if sums else taken
        return sums
