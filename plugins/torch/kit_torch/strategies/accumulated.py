"""Gradient accumulation, for any way to take gradients: those of a batch as the sum of those of its parts.

What a part's pass holds is given back before the next begins; what stays is one more copy of the gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kit_torch.feed import Batch
from kit_torch.setting import Setting, total
from kit_torch.strategies.loop import Gradients


def accumulated(setting: Setting, gradients: Gradients) -> Gradients:
    """These gradients, part by part where the problem asks for it."""
    return gradients if setting.problem.gradient_accumulation == 1 else Accumulated(setting, gradients)


class Accumulated:
    """See `kit_torch.strategies.loop.Gradients`."""

    def __init__(self, setting: Setting, inner: Gradients) -> None:
        self.setting, self.inner = setting, inner

    def begin(self, batch: Batch) -> Callable[[Batch], Tensor]:
        steps = [self.inner.begin(part) for part, _ in self.setting.parts(batch)]  # the last part may be smaller
        return lambda batch: self._step(steps, batch)

    def _step(self, steps: list[Callable[[Batch], Tensor]], batch: Batch) -> Tensor:
        stacked = self.setting.stacked
        losses, sums = [], [torch.zeros_like(view) for view in stacked.views.values()]
        for step, (part, share) in zip(steps, self.setting.parts(batch), strict=True):
            losses.append(step(part) * share)
            torch._foreach_add_(sums, stacked.gradients(), alpha=share)
        stacked.deliver(sums)
        return total(losses)
