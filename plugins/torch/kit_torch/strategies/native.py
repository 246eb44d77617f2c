"""`views` for native optimizers: the plain loop, zero_grad, backward, step, for each member."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from kit_torch.feed import Batch, Stretch
from kit_torch.native_update import NativeUpdate
from kit_torch.setting import Setting


class NativeLoop:
    """One optimizer object for each member."""

    def __init__(self, setting: Setting, update: NativeUpdate) -> None:
        self.setting, self.update = setting, update

    def run(self, stretches: Iterable[Stretch], scalars: Any) -> list[Tensor]:
        members = range(len(self.setting.members))
        batches = (batch for stretch in stretches for batch in stretch.batches())
        found = []
        for batch, rates in zip(batches, scalars[:, :, 0].tolist(), strict=True):
            found.append(torch.stack([self._step(n, batch, rates[n]) for n in members]))
        return found

    def _step(self, n: int, batch: Batch, rate: float) -> Tensor:
        module, draws = self.setting.members[n], self.setting.draws
        x, y, noise = batch.member(n)

        def evaluate() -> Tensor:
            with torch.enable_grad():
                module.zero_grad()
                loss = self.setting.member_loss(module, x, y, noise)
                loss.backward()
            return loss.detach()

        with nullcontext() if draws is None else draws.of(n):
            return self.update.step(n, rate, evaluate)
