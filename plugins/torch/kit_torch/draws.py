"""PyTorch's generator, for modules that draw from it by themselves (`nn.Dropout`).

Each member of a stack has the generator's state to itself, seeded by its trial: what it draws does not depend on its
neighbours, is left alone by a reading, and stands in the state from which a run continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def started(seed: int, device: torch.device) -> Tensor:
    """The generator's state for a seed: bytes."""
    return torch.Generator(device).manual_seed(seed).get_state()


def get(device: torch.device) -> Tensor:
    if device.type == "cpu":
        return torch.get_rng_state()
    return torch.mps.get_rng_state() if device.type == "mps" else torch.cuda.get_rng_state(device)


def put(state: Tensor, device: torch.device) -> None:
    if device.type == "cpu":
        torch.set_rng_state(state)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        torch.cuda.set_rng_state(state, device)


@contextmanager
def kept(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside leaves the generator as it was."""
    state = get(device)
    try:
        yield
    finally:
        put(state, device)


class Draws:
    """The generators of the members. `with draws.of(n):` what is drawn inside is member n's."""

    def __init__(self, seeds: list[int], device: torch.device) -> None:
        self.device = device
        self.start = [started(seed, device) for seed in seeds]
        self.states = list(self.start)

    @contextmanager
    def of(self, n: int) -> Iterator[None]:
        put(self.states[n], self.device)
        yield
        self.states[n] = get(self.device)
