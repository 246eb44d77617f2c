"""Random numbers that modules draw for themselves (a dropout of the user's own): a state of PyTorch's generator for
each member, so that its draws depend on its seed alone: neither on its neighbours nor on where the run was cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class Draws:
    """The state of the device's generator for each member."""

    NAME = "kit.random_state"  # among the buffers of a state

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.device, self.seeds = device, seeds
        self.begin()

    def begin(self) -> None:
        """Where each member's seed puts it."""
        self.states = [torch.Generator(self.device).manual_seed(int(seed)).get_state() for seed in self.seeds]

    @contextmanager
    def of(self, n: int) -> Iterator[None]:
        """Member n draws from its own state; the process's is put back."""
        outside = self._get()
        self._set(self.states[n])
        try:
            yield
        finally:
            self.states[n] = self._get()
            self._set(outside)

    def _get(self) -> torch.Tensor:
        if self.device.type == "cuda":
            return torch.cuda.get_rng_state(self.device)
        if self.device.type == "mps":
            return torch.mps.get_rng_state()
        return torch.random.get_rng_state()

    def _set(self, state: torch.Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state, self.device)
        elif self.device.type == "mps":
            torch.mps.set_rng_state(state)
        else:
            torch.random.set_rng_state(state)

    def array(self) -> Any:
        """(N, bytes), uint8."""
        return np.stack([state.cpu().numpy() for state in self.states])

    def load(self, array: Any) -> None:
        self.states = [torch.from_numpy(np.array(row, dtype=np.uint8)) for row in array]
