"""The compiled loop: K steps of some members in one call.

Its body is the same however many steps a call asks for, so that no number depends on how a run is cut into calls: the
number of steps is a tensor. XLA needs fixed shapes, so a compiled loop takes room for `capacity` steps and uses as many
as it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kit_tensorflow.environment import tf
from kit_tensorflow.feed import Feed
from kit_tensorflow.storage import Storage
from kit_tensorflow.strategies import Gradients
from kit_tensorflow.update import Update

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]

MOST_STEPS = 256  # of one call of a loop that XLA compiled: calling costs about 0.1 ms
MOST_BYTES = 2**23  # that are padded for such a call
MOST_STEPS_GRAPH = 4096


class Loop:
    """A loop for `members` members, traced once. Whatever varies comes in as tensors.

    state: the parameters in the storage's form, slots and buffers, as arrays: for their structure, shapes and types.
    """

    def __init__(
        self,
        gradients: Gradients,
        update: Update,
        storage: Storage,
        feed: Feed,
        state: Any,
        scalars: int,
        *,
        jit: bool,
        device: str,
    ) -> None:
        self.gradients, self.update, self.storage, self.feed = gradients, update, storage, feed
        self.device, self.jit, self.members = device, jit, len(state[0][0])
        self.structure = tf.nest.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), state)
        per_step = feed.bytes_per_step() + 8 * self.members * scalars
        self.capacity = int(np.clip(MOST_BYTES // per_step, 1, MOST_STEPS)) if jit else MOST_STEPS_GRAPH
        steps = self.capacity if jit else None
        self.specs = [
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((steps, self.members, scalars), storage.dtype),
            *feed.specs(steps),
            *tf.nest.flatten(self.structure),
        ]
        self._function: Any = None

    @property
    def padded(self) -> int:
        """To how many steps the step-wise arrays of a call must be padded; 0: not at all."""
        return self.capacity if self.jit else 0

    def trace(self) -> None:
        """Make the graph. Raises whatever the model, the loss or the rule raises."""
        if self._function is None:
            with tf.device(self.device):
                function = tf.function(self._run, jit_compile=self.jit, autograph=False)
                self._function = function.get_concrete_function(*self.specs)

    def __call__(self, steps: int, tensors: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[Array, list[Tensor]]:
        """Take steps. tensors: the scalars and the feed's; state: flat. Returns losses (steps, members) and state."""
        self.trace()
        with tf.device(self.device):
            given = [tf.constant(steps, tf.int32), *tensors, *state]
            losses, *after = invoke(self._function, given)
        return losses.numpy()[:steps], after

    def _run(self, steps: Tensor, scalars: Tensor, *rest: Tensor) -> list[Tensor]:
        count = len(self.feed.specs(None))
        feed, state = rest[:count], rest[count:]

        def body(i: Tensor, losses: Any, flat: list[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
            loss, flat = self._step(*self.feed.at(feed, i), scalars[i], flat)
            return i + 1, losses.write(i, loss), flat

        losses = tf.TensorArray(
            self.storage.dtype, size=self.capacity if self.jit else steps, element_shape=(self.members,)
        )
        _, losses, state = tf.while_loop(
            lambda i, *_: i < steps, body, (tf.constant(0), losses, list(state)), parallel_iterations=1
        )
        return [losses.stack(), *state]

    def _step(
        self, x: Tensor, y: Tensor, noise: dict[str, Tensor], now: Tensor, flat: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        parameters, slots, buffers = tf.nest.pack_sequence_as(self.structure, flat)
        losses, gradients, buffers = self.gradients(self.storage, parameters, buffers, x, y, noise)
        parameters, slots = self.update(parameters, gradients, slots, now, self.storage)
        if not self.update.constrains:
            parameters = self.gradients.constrained(self.storage, parameters)
        return losses, tf.nest.flatten((parameters, slots, buffers))


def invoke(function: Any, tensors: list[Tensor]) -> Any:
    """Call a concrete function with flat tensors: past the checks of structure, which cost 0.1 ms of every call."""
    direct = getattr(function, "_call_flat", None)
    return direct(tensors, function.captured_inputs) if direct else function(*tensors)
