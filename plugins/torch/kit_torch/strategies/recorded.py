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

    def begin(self, batch: Batch) -> Callable[[Batch], Tensor]:
        key = tuple((a.shape, a.stride()) for a in _arguments(batch))
        if key not in self.players:
            self.players[key] = self._record(batch)
        player = self.players[key]
        if self.places is None:
            return lambda batch: self._apart(player, batch)
        if batch.noise is None:
            return lambda batch: player(batch.x, batch.y)
        return lambda batch: player(*_arguments(batch))

    def _apart(self, player: Callable[..., Any], batch: Batch) -> Tensor:
        """A single large model's gradients stay where they were computed."""
        losses: Tensor
        losses, gradients = player(*_arguments(batch))
        self.setting.stacked.deliver(gradient.unsqueeze(0) for gradient in gradients)
        return losses

    def _record(self, batch: Batch) -> Callable[..., Any]:
        names = ["x", "y", *(f"noise{i}" for i in range(len(batch.noise or {})))]
        arguments = dict(zip(names, _arguments(batch), strict=True))

        def step() -> list[Tensor]:
            losses, gradients = self.vmapped.compute(batch)
            return [losses, *gradients]

        tape, _ = record(step, self.vmapped.leaves, arguments)
        return play(tape, list(arguments), self.places)


def _arguments(batch: Batch) -> tuple[Tensor, ...]:
    return (batch.x, batch.y, *(batch.noise or {}).values())
