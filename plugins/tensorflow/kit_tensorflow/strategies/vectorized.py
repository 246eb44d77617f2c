"""All members at once: `tf.vectorized_map` of the gradient of any Keras model.

The map of a gradient, not the gradient of a map: the latter is eighty times slower in a compiled loop. What the members
share (their samples, where they belong to one replicate) is not expanded.
"""

from __future__ import annotations

from typing import Any

from kit_tensorflow.criterion import Criterion
from kit_tensorflow.environment import tf
from kit_tensorflow.storage import Form, Storage

Tensor = Any


class VectorizedGradients:
    """See `kit_tensorflow.strategies.Gradients`. shared: all members train on one set of samples."""

    form: Form = "native"

    def __init__(self, criterion: Criterion, *, shared: bool) -> None:
        self.criterion, self.shared = criterion, shared

    def __call__(
        self,
        storage: Storage,
        parameters: list[Tensor],
        buffers: list[Tensor],
        x: Tensor,
        y: Tensor,
        noise: dict[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        def on_shared(member: Any) -> Any:
            return self.criterion.gradient(*member, x, y, noise)

        def on_own(member: Any) -> Any:
            return self.criterion.gradient(*member)

        state = (list(parameters), list(buffers))
        together: Any = (
            tf.vectorized_map(on_shared, state, fallback_to_while_loop=False)
            if self.shared
            else tf.vectorized_map(on_own, (*state, x, y, noise), fallback_to_while_loop=False)
        )
        losses, gradients, after = together
        return losses, list(gradients), list(after)

    def constrained(self, storage: Storage, parameters: list[Tensor]) -> list[Tensor]:
        constraints = self.criterion.network.constraints
        return [
            tf.vectorized_map(constrain, p, fallback_to_while_loop=False) if constrain else p
            for p, constrain in zip(parameters, constraints, strict=True)
        ]
