"""PyTorch's own optimizers, and anyone's, at work: one object for each member of a stack, over its parameters alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from kit.engine import Native
from kit.errors import InvalidValueError
from kit_torch import optimizer_state
from kit_torch.driven import Driven, Evaluate
from kit_torch.members import place
from kit_torch.stacked import Stacked


class CannotContinueError(Exception):
    """The state of an optimizer cannot be stored. The message is a sentence."""


class NativeUpdate:
    """One optimizer for each member."""

    def __init__(self, optimizer: Native, members: list[nn.Module], stacked: Stacked) -> None:
        """Raises `InvalidValueError` with the class's own words where it does not take its arguments."""
        self.optimizer, self.members, self.stacked = optimizer, members, stacked
        self._checked = False
        self._make()

    def _make(self) -> None:
        place(self.members, self.stacked)  # new parameters: a hook that an optimizer put on the old ones is gone
        self.driven = [Driven(self.optimizer, n, member) for n, member in enumerate(self.members)]
        self._taken = False

    def check_parts(self, count: int) -> None:
        """Raise `InvalidValueError` where gradients cannot be taken in parts."""
        first = self.driven[0]
        why = "the loss itself" if first.closure == "loss" else "second derivatives" if first.needs.second_order else ""
        if count > 1 and why:
            raise InvalidValueError(
                f"optimizer '{first.name}' takes {why}, for which the whole batch's activations must be there at once; "
                "leave out gradient_accumulation."
            )

    @property
    def averages(self) -> bool:
        """Whether the parameters to report are others than those trained; before the first step they are the same."""
        return self._taken and bool(self.driven[0].modes)

    def reporting(self) -> Iterator[None]:
        """For as long as the caller holds it, the members' parameters are those to report."""
        for each in self.driven:
            each.mode("eval")
        yield
        for each in self.driven:
            each.mode("train")

    def step(self, n: int, rate: float, evaluate: Evaluate) -> tuple[Tensor, int]:
        """One step of member n. Returns the loss before the step, and how many times gradients were taken."""
        self._taken = True
        return self.driven[n].step(rate, evaluate)

    def arrays(self) -> dict[str, dict[str, Any]]:
        """{"native": {"state": (N, bytes)}}, uint8; {} before the first step. Raises `CannotContinueError`."""
        if not self._taken:
            return {}
        try:
            rows = [each.to_bytes() for each in self.driven]
            if not self._checked:
                self.driven[0].check(rows[0])
                self._checked = True
        except (optimizer_state.CannotStoreError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            name = self.driven[0].name
            raise CannotContinueError(f"The state of optimizer '{name}' cannot be stored: {error}.") from error
        return {"native": {"state": optimizer_state.packed(rows)}}

    def load(self, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        """The inverse of `arrays`; without a state every optimizer is a fresh object."""
        self._make()
        if "native" in arrays:
            table = np.asarray(arrays["native"]["state"])
            for each, row in zip(self.driven, table, strict=True):
                each.restore(row.tobytes())
            self._taken = True
