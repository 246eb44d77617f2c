"""What a strategy is: a way to train a stack by some steps. Each leaves the stack's parameters after them.

A step's losses stand where they were computed until the chunk is done: reading each would wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from torch import Tensor

from kit_torch.feed import Batch, Stretch
from kit_torch.rule_update import RuleUpdate


class Loop(Protocol):
    """A way to train."""

    def run(self, stretches: Iterable[Stretch], scalars: Any) -> list[Tensor]:
        """Take a step for each batch. scalars: (K, N, S), float64. Returns the losses in their order, of one step (N,)
        or (), or of several, (steps, N)."""


class Gradients(Protocol):
    """Losses and gradients of batches, for all members."""

    def begin(self, batch: Batch) -> Callable[[Batch], Tensor]:
        """What serves batches of this one's shape: it gives the losses, (N,) or (), detached, and delivers the
        gradients to the stack."""


class RuleLoop:
    """Gradients by any means, then the rule."""

    def __init__(self, gradients: Gradients, update: RuleUpdate) -> None:
        self.gradients, self.update = gradients, update

    def run(self, stretches: Iterable[Stretch], scalars: Any) -> list[Tensor]:
        found = []
        update, nows = self.update.step, self.update.prepare(scalars)
        for stretch in stretches:
            step = None
            for batch in stretch.batches():
                if step is None:
                    step = self.gradients.begin(batch)
                now = next(nows)  # before the gradients: it begins the slots
                found.append(step(batch))
                update(now)
        return found
