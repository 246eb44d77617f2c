"""`views` for native optimizers: zero_grad, backward, step, for each member, or what its optimizer needs instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kit_torch.feed import Batch, Stretch
from kit_torch.members import trained
from kit_torch.native_update import NativeUpdate
from kit_torch.setting import Setting


class NativeLoop:
    """One optimizer object for each member. `evaluations`: (K, N), gradients that each step of the last run took."""

    def __init__(self, setting: Setting, update: NativeUpdate, compute: Callable[..., Tensor] | None = None) -> None:
        self.setting, self.update, self.compute = setting, update, compute or setting.member_loss
        self.evaluations: Any = None

    def run(self, stretches: Iterable[Stretch], scalars: Any) -> list[Tensor]:
        members, draws = range(len(self.setting.members)), self.setting.draws
        assert draws is not None  # an optimizer may draw random numbers
        batches = (batch for stretch in stretches for batch in stretch.batches())
        alone = len(members) == 1
        self.evaluations = np.empty((len(scalars), len(members)), dtype=np.int64)
        found = []
        with draws.of(0) if alone else nullcontext():
            for k, (batch, rates) in enumerate(zip(batches, scalars[:, :, 0].tolist(), strict=True)):
                losses = []
                for n in members:
                    with nullcontext() if alone else draws.of(n):
                        loss, self.evaluations[k, n] = self.update.step(n, rates[n], self._evaluate(n, batch))
                    losses.append(loss)
                found.append(losses[0] if alone else torch.stack(losses))
        return found

    def _evaluate(self, n: int, batch: Batch) -> Any:
        setting, module = self.setting, self.setting.members[n]

        def evaluate(*, gradients: bool = True, second_order: bool = False) -> Tensor:
            with torch.enable_grad():
                module.zero_grad()
                if gradients and not second_order:
                    return setting.backward(batch, lambda part: self.compute(module, *part.member(n)))
                loss = self.compute(module, *batch.member(n))
                if not gradients:
                    return loss
                _differentiable_gradients(loss, module)
            return loss.detach()

        return evaluate


def _differentiable_gradients(loss: Tensor, module: nn.Module) -> None:
    """What `backward(create_graph=True)` does, without the reference cycle that it warns of."""
    parameters = list(trained(module).values())
    found = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.grad = gradient
