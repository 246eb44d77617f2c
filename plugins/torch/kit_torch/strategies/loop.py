"""What a strategy is: a way to train a stack by some steps. Each leaves the stack's parameters after them.

A step's losses stand where they were computed until the chunk is done: reading each would wait for the device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor

from kit_torch.feed import Batch
from kit_torch.rule_update import RuleUpdate


class Loop(Protocol):
    """A way to train."""

    def run(self, batches: Iterable[Batch], scalars: Any) -> list[Tensor]:
        """Take a step for each batch. scalars: (K, N, S), float64. Returns the losses of each step, (N,) or ()."""


class Gradients(Protocol):
    """Losses and gradients of one batch, for all members."""

    def __call__(self, batch: Batch) -> Tensor:
        """The losses, (N,) or (), detached; the gradients are delivered to the stack."""


class RuleLoop:
    """Gradients by any means, then the rule."""

    def __init__(self, gradients: Gradients, update: RuleUpdate) -> None:
        self.gradients, self.update = gradients, update

    def run(self, batches: Iterable[Batch], scalars: Any) -> list[Tensor]:
        found = []
        for batch, now in zip(batches, self.update.prepare(scalars), strict=True):
            found.append(self.gradients(batch))
            self.update(now)
        return found
