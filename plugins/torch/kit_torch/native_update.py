"""PyTorch's own optimizers at work: one object for each member of a stack, over its parameters alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from kit.engine import Native
from kit.errors import InvalidValueError
from kit_torch import optimizer_state

START = 1e-3  # any rate: every step sets its own


class NativeUpdate:
    """One optimizer for each member."""

    def __init__(self, optimizer: Native, members: list[nn.Module]) -> None:
        """Raises `InvalidValueError` with the class's own words where it does not take its arguments."""
        self.optimizer, self.members = optimizer, members
        self._make()
        step = inspect.unwrap(type(self.optimizers[0]).step)
        closure = inspect.signature(step).parameters.get("closure")
        # It evaluates the loss itself, as often as it likes.
        self.evaluates = closure is not None and closure.default is inspect.Parameter.empty

    def _make(self) -> None:
        self.optimizers = []
        for member, options in zip(self.members, self.optimizer.options, strict=True):
            trained = [p for p in member.parameters() if p.requires_grad]
            try:
                made = self.optimizer.build(trained, **{"lr": START, **options})
            except (TypeError, ValueError, RuntimeError) as error:
                name = getattr(self.optimizer.build, "__name__", repr(self.optimizer.build))
                raise InvalidValueError(f"optimizer '{name}' cannot be made: {error}") from error
            self._mode(made, "train")
            self.optimizers.append(made)
        self._taken = False

    @staticmethod
    def _mode(optimizer: Any, name: str) -> None:
        """Optimizers that report an average (schedule-free ones) are told whether they train."""
        switch = getattr(optimizer, name, None)
        if callable(switch):
            switch()

    @property
    def averages(self) -> bool:
        """Whether the parameters to report are others than those trained."""
        return callable(getattr(self.optimizers[0], "eval", None))

    def reporting(self) -> Iterator[None]:
        """For as long as the caller holds it, the members' parameters are those to report."""
        for optimizer in self.optimizers:
            self._mode(optimizer, "eval")
        yield
        for optimizer in self.optimizers:
            self._mode(optimizer, "train")

    def step(self, n: int, rate: float, evaluate: Callable[[], Tensor]) -> Tensor:
        """One step of member n. evaluate: leaves fresh gradients in its parameters and gives the loss. Returns the loss
        before the step."""
        optimizer = self.optimizers[n]
        for group in optimizer.param_groups:
            group["lr"] = rate
        self._taken = True
        if not self.evaluates:
            loss = evaluate()
            optimizer.step()
            return loss
        seen: list[Tensor] = []

        def closure() -> Tensor:
            seen.append(evaluate())
            return seen[-1]

        optimizer.step(closure)
        return seen[0]

    def arrays(self) -> dict[str, dict[str, Any]]:
        """{"native": {"state": (N, bytes)}}, uint8; {} before the first step."""
        if not self._taken:
            return {}
        return {"native": {"state": optimizer_state.packed([each.state_dict() for each in self.optimizers])}}

    def load(self, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        """The inverse of `arrays`; without a state every optimizer is a fresh object."""
        self._make()
        if "native" in arrays:
            states = optimizer_state.unpacked(np.asarray(arrays["native"]["state"]))
            for optimizer, state in zip(self.optimizers, states, strict=True):
                optimizer_state.restore(optimizer, state)
            self._taken = True
