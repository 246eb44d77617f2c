"""`views`, the universal strategy: every member's own module, one after the other, as it is.

With one member this is the loop that one writes by hand, on one flat buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from kit_torch.feed import Batch
from kit_torch.members import trained
from kit_torch.setting import Setting


class Views:
    """Gradients by autograd, member by member. `compute`: (module, x, y, noise) -> loss."""

    def __init__(self, setting: Setting, compute: Callable[..., Tensor] | None = None) -> None:
        self.setting, self.compute = setting, compute or setting.member_loss
        self.parameters = [list(trained(module).values()) for module in setting.members]
        if not setting.stacked.apart:
            for n, own in enumerate(self.parameters):
                views = setting.stacked.member(n, setting.stacked.gradient)
                for parameter, view in zip(own, views.values(), strict=True):
                    parameter.grad = view

    def begin(self, batch: Batch) -> Callable[[Batch], Tensor]:
        return self._step

    def _step(self, batch: Batch) -> Tensor:
        stacked = self.setting.stacked
        if stacked.apart:
            for parameter in self.parameters[0]:
                parameter.grad = None
        else:
            stacked.gradient.zero_()
        losses = [self._member(n, module, batch) for n, module in enumerate(self.setting.members)]
        if stacked.apart:
            stacked.deliver(None if p.grad is None else p.grad.unsqueeze(0) for p in self.parameters[0])
        return losses[0] if len(losses) == 1 else torch.stack(losses)

    def _member(self, n: int, module: nn.Module, batch: Batch) -> Tensor:
        draws = self.setting.draws
        with torch.enable_grad(), nullcontext() if draws is None else draws.of(n):
            return self.setting.backward(batch, lambda part: self.compute(module, *part.member(n)))
