"""`recorded`: the operations of one step, recorded once and played back (`kit_torch.tape`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kit_torch.feed import Batch
from kit_torch.playback import play
from kit_torch.setting import Setting
from kit_torch.strategies.vmapped import Vmapped
from kit_torch.tape import record


class Recorded:
    """For modules whose forward pass does the same operations every time. A recording is made for each shape of batch.

    Raises `kit_torch.tape.Unrecordable` at the first step of one that cannot be recorded.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting, self.vmapped = setting, Vmapped(setting)
        self.places = None if setting.stacked.apart else setting.leaves(setting.stacked.gradient)
        self.players: dict[Any, Callable[..., Any]] = {}

    def __call__(self, batch: Batch) -> Tensor:
        arguments = (batch.x, batch.y, *(batch.noise or {}).values())
        key = tuple((a.shape, a.stride()) for a in arguments)
        player = self.players.get(key)
        if player is None:
            player = self.players[key] = self._record(batch)
        if self.places is not None:
            losses: Tensor = player(*arguments)
            return losses
        losses, gradients = player(*arguments)
        self.setting.stacked.deliver(gradient.unsqueeze(0) for gradient in gradients)  # a single large model's
        return losses

    def _record(self, batch: Batch) -> Callable[..., Any]:
        noise = {f"noise{i}": value for i, value in enumerate((batch.noise or {}).values())}
        arguments = {"x": batch.x, "y": batch.y, **noise}

        def step() -> list[Tensor]:
            losses, gradients = self.vmapped.compute(batch)
            return [losses, *gradients]

        tape, _ = record(step, self.vmapped.leaves, arguments)
        return play(tape, list(arguments), self.places)
