"""One member at a time: the gradient of a Keras model as it is. A stack is so many calls of one compiled function."""

from __future__ import annotations

from typing import Any

from kit_tensorflow.criterion import Criterion
from kit_tensorflow.storage import Form, Storage

Tensor = Any

# Up to here all parameters lie in one buffer, so that an update takes as many operations as for one parameter; above,
# putting them together and apart costs more than it saves.
FLAT_LIMIT = 100_000


class SingleGradients:
    """See `kit_tensorflow.strategies.Gradients`; of a stack of one."""

    def __init__(self, criterion: Criterion, *, flat: bool) -> None:
        self.criterion = criterion
        self.form: Form = "flat" if flat else "native"

    def __call__(
        self,
        storage: Storage,
        parameters: list[Tensor],
        buffers: list[Tensor],
        x: Tensor,
        y: Tensor,
        noise: dict[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        loss, gradients, after = self.criterion.gradient(
            storage.member(parameters), [buffer[0] for buffer in buffers], x, y, noise
        )
        return loss[None], storage.stack_of_one(gradients), [buffer[None] for buffer in after]

    def constrained(self, storage: Storage, parameters: list[Tensor]) -> list[Tensor]:
        constraints = self.criterion.network.constraints
        if not any(constraints):
            return parameters
        members = zip(storage.member(parameters), constraints, strict=True)
        return storage.stack_of_one([constrain(p) if constrain else p for p, constrain in members])
