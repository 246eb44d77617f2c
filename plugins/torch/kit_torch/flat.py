"""The parameters of a stack in one flat buffer, (trials, parameters), with a view for each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Stacked:
    """N trials' parameters and gradients. `views[name]` and `gradient_views[name]` are (N, *shape) and share memory
    with
    `flat` and `gradient`, (N, parameters)."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], trials: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.shapes, self.trials = dict(shapes), trials
        self.spans: dict[str, tuple[int, int]] = {}
        end = 0
        for name, shape in self.shapes.items():
            start, end = end, end + int(torch.Size(shape).numel())
            self.spans[name] = (start, end)
        self.flat = torch.zeros(trials, end, dtype=dtype, device=device)
        self.gradient = torch.zeros_like(self.flat)
        self.views = self.split(self.flat)
        self.gradient_views = self.split(self.gradient)

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a (trials, parameters) tensor, name -> (trials, *shape)."""
        return {name: flat[:, a:b].view(len(flat), *self.shapes[name]) for name, (a, b) in self.spans.items()}

    def joined(self, arrays: Mapping[str, Any]) -> Tensor:
        """The inverse of `split`, from NumPy."""
        rows = [torch.as_tensor(arrays[name]).reshape(self.trials, -1) for name in self.spans]
        return torch.cat(rows, dim=1).to(self.flat)

    def member(self, n: int, gradients: bool = False) -> dict[str, Tensor]:
        """One trial's parameters (or gradients): name -> a contiguous view of its shape."""
        row = (self.gradient if gradients else self.flat)[n]
        return {name: row[a:b].view(self.shapes[name]) for name, (a, b) in self.spans.items()}


def to_numpy(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Copies in NumPy."""
    return {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}
