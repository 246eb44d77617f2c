"""`vmap`: all members in one call, by torch.func.vmap, and one backward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kit_torch.feed import Batch
from kit_torch.setting import Setting


class Vmapped:
    """For modules that keep nothing but parameters and draw nothing."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.leaves = [view.detach().requires_grad_() for view in setting.leaves(setting.stacked.flat)]

    def begin(self, batch: Batch) -> Callable[[Batch], Tensor]:
        return self._step

    def _step(self, batch: Batch) -> Tensor:
        losses, gradients = self.compute(batch)
        shapes = (view.shape for view in self.setting.stacked.views.values())
        self.setting.stacked.deliver(g.reshape(shape) for g, shape in zip(gradients, shapes, strict=True))
        return losses.detach()

    def compute(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """The losses, and the gradient of each leaf."""
        with torch.enable_grad():
            losses = self.setting.losses(self.leaves, batch)
            # The gradient of the sum: each member's loss depends on its own parameters alone.
            found = torch.autograd.grad(losses.sum(), self.leaves, allow_unused=True, materialize_grads=True)
        return losses, list(found)
