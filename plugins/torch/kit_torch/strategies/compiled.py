"""`compiled`: torch.compile. The whole step, update included, is one graph where the forward pass is a function of the
parameters; of a module that keeps more than parameters the forward and backward passes are compiled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit_torch.feed import Batch
from kit_torch.rule_update import RuleUpdate, Slots
from kit_torch.setting import Setting
from kit_torch.strategies.loop import RuleLoop
from kit_torch.strategies.views import Views

# What torch.compile compiles with; inductor writes C++ or Triton.
BACKEND = "inductor"


def keep_compiled_code() -> None:
    """Have inductor keep what it compiled in the user's cache folder, where a later process finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "descentkit" / "inductor"))


class CompiledStep:
    """A whole step as one graph: (flat, slots, batch, scalars) -> (losses, flat, slots)."""

    def __init__(self, setting: Setting, update: RuleUpdate) -> None:
        keep_compiled_code()
        self.setting, self.update = setting, update
        self.whole = torch.compile(self._whole, backend=BACKEND, fullgraph=True, dynamic=False)

    def _whole(self, flat: Tensor, slots: Slots, batch: Batch, now: Tensor) -> tuple[Tensor, Tensor, Slots]:
        setting, stacked = self.setting, self.setting.stacked

        def total(leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
            losses = setting.losses(leaves, batch)
            return losses.sum(), losses

        gradients, losses = torch.func.grad(total, has_aux=True)(setting.leaves(flat))
        shaped = [g.reshape(v.shape) for g, v in zip(gradients, stacked.views.values(), strict=True)]
        if self.update.rule.elementwise:
            shaped = [g.reshape(len(flat), -1) for g in shaped]
            shaped = shaped if stacked.apart else [stacked.joined(shaped)]
        flat, slots = self.update.pure(flat, shaped, slots, now)
        return losses, flat, slots

    def run(self, batches: Iterable[Batch], scalars: Any) -> list[Tensor]:
        found = []
        stacked, update = self.setting.stacked, self.update
        for batch, now in zip(batches, update.prepare_plain(scalars), strict=True):
            losses, flat, slots = self.whole(stacked.flat, update.slots, batch, now)
            stacked.flat.copy_(flat)
            for own, after in zip(update.slots, slots, strict=True):
                for name, value in after.items():
                    own[name].copy_(value)
            found.append(losses)
        return found


def compiled_views(setting: Setting, update: RuleUpdate) -> RuleLoop:
    """The module's passes compiled; the update as ever."""
    keep_compiled_code()
    member: Callable[..., Tensor] = torch.compile(setting.member_loss, backend=BACKEND, dynamic=False)

    def compute(module: nn.Module, *batch: Any) -> Tensor:
        return member(module, *batch)

    return RuleLoop(Views(setting, compute), update)
