"""The parameters of a stack in one flat buffer, (trials, width), with a view for each parameter.

Every parameter begins at a multiple of 64 bytes, as an array of its own would, so that what a matrix product gives does
not depend on where the parameter lies. The elements between are zero, as is their gradient.

A single large model's gradients are not joined in a buffer: there the copies would cost more than the calls they save.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

ALIGNED = 16  # elements: 64 bytes in float32, 128 in float64
JOINED = 2**20  # a model of so many elements or more keeps the gradients of its parameters apart


class Stacked:
    """N trials' parameters and gradients. `views[name]` is (N, *shape) and shares memory with `flat`, (N, width);
    `gradient_views[name]` likewise with `gradient`."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], trials: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.shapes, self.trials = dict(shapes), trials
        self.spans: dict[str, tuple[int, int]] = {}
        end = 0
        for name, shape in self.shapes.items():
            start = end
            size = int(torch.Size(shape).numel())
            self.spans[name] = (start, start + size)
            end = start + -(-size // ALIGNED) * ALIGNED
        self.flat = torch.zeros(trials, end, dtype=dtype, device=device)
        self.views = self.split(self.flat)
        self.apart = trials == 1 and end >= JOINED
        self.gradient = self.flat.new_zeros(trials, 0 if self.apart else end)
        self.gradient_views = {} if self.apart else self.split(self.gradient)
        self._found: list[Tensor] = []

    @property
    def segments(self) -> list[tuple[int, int]]:
        """The stretches of `flat` whose gradients lie together: one, or one for each parameter."""
        return list(self.spans.values()) if self.apart else [(0, self.flat.shape[1])]

    def deliver(self, gradients: Iterable[Tensor | None]) -> None:
        """Take the gradients of a step, one (N, *shape) for each parameter; None for one that took no part."""
        views = list(self.views.values())
        given = [torch.zeros_like(v) if g is None else g for v, g in zip(views, gradients, strict=True)]
        if self.apart:
            self._found = given
        else:
            torch._foreach_copy_(list(self.gradient_views.values()), given)

    def gradients(self) -> list[Tensor]:
        """The gradients of the step, (N, *shape) for each parameter."""
        return self._found if self.apart else list(self.gradient_views.values())

    def gradient_segments(self) -> list[Tensor]:
        """The gradients of the step, (N, …) for each of `segments`."""
        return [g.reshape(self.trials, -1) for g in self._found] if self.apart else [self.gradient]

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a (trials, width) tensor, name -> (trials, *shape)."""
        return {name: flat[:, a:b].view(len(flat), *self.shapes[name]) for name, (a, b) in self.spans.items()}

    def joined(self, parts: list[Tensor]) -> Tensor:
        """One (trials, width) tensor from a part (trials, size) for each parameter; zeros between them."""
        pieces: list[Tensor] = []
        end = 0
        for (a, b), part in zip(self.spans.values(), parts, strict=True):
            if a > end:
                pieces.append(part.new_zeros(len(part), a - end))
            pieces.append(part)
            end = b
        if end < self.flat.shape[1]:
            pieces.append(parts[0].new_zeros(self.trials, self.flat.shape[1] - end))
        return torch.cat(pieces, dim=1)

    def write(self, flat: Tensor, arrays: Mapping[str, Any]) -> None:
        """The inverse of `split`, from NumPy, into an existing buffer."""
        for name, (a, b) in self.spans.items():
            flat[:, a:b].copy_(torch.as_tensor(arrays[name]).reshape(self.trials, b - a))

    def member(self, n: int, flat: Tensor) -> dict[str, Tensor]:
        """One trial's part of a buffer: name -> a contiguous view of the parameter's shape."""
        return {name: flat[n, a:b].view(self.shapes[name]) for name, (a, b) in self.spans.items()}
