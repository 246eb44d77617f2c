"""The batches of a chunk, on the device: gathered for many steps in one go, as the batches are small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kit.engine import Block, Problem, Stack

GATHERED_BYTES = 8 * 2**20  # of samples at once: enough to amortise the call, little beside a model


class Batch(NamedTuple):
    """What one step trains on. `shared`: all trials see the same samples, and x, y have no axis for the trials."""

    x: Tensor  # (N, B, *sample), or (B, *sample) where shared
    y: Tensor
    noise: dict[str, Tensor] | None  # name -> like x
    shared: bool

    def member(self, n: int) -> tuple[Tensor, Tensor, dict[str, Tensor] | None]:
        """What one trial sees."""
        if self.shared:
            return self.x, self.y, self.noise
        return self.x[n], self.y[n], None if self.noise is None else {name: v[n] for name, v in self.noise.items()}


class Feed:
    """Batches for a stack of N trials of R replicates."""

    def __init__(self, problem: Problem, stack: Stack, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.replicates = torch.as_tensor(stack.replicates, device=device)
        self.draws = bool(problem.noise)
        self.resident = None if problem.train is None else _flat(problem.train, device)
        self.rows = 0 if problem.train is None else problem.train.x.shape[1]
        self.blocks = 1 if problem.train is None else problem.train.x.shape[0]
        self.one_replicate = int(stack.replicates.max()) == 0
        self.full = self._full(problem.train, stack) if problem.full_batch and problem.train is not None else None

    def _full(self, block: Block, stack: Stack) -> Batch:
        """All rows, once and for all steps."""
        if self.blocks == 1:
            return Batch(_tensor(block.x[0], self.device), _tensor(block.y[0], self.device), None, True)
        x, y = (_tensor(values[stack.replicates], self.device) for values in (block.x, block.y))
        return Batch(x, y, None, False)

    def chunk(
        self, steps: int, indices: Any, samples: tuple[Any, Any] | None, noise: Mapping[str, Any] | None
    ) -> Iterator[Batch]:
        """One batch for each step. indices: (K, R, B); samples: x (K, R, B, …), y; noise: name -> (K, R, B, …)."""
        if self.full is not None:
            for k in range(steps):
                drawn = None if noise is None else self._noise(noise, slice(k, k + 1))
                yield self.full if drawn is None else self.full._replace(noise={n: v[0] for n, v in drawn.items()})
            return
        per_step = self._bytes(indices, samples)
        size = max(1, GATHERED_BYTES // max(1, per_step))
        for start in range(0, steps, size):
            part = slice(start, min(steps, start + size))
            x, y = self._gather(indices[part]) if samples is None else self._move(samples[0][part], samples[1][part])
            drawn = None if noise is None else self._noise(noise, part)
            for k in range(part.stop - part.start):
                own = None if drawn is None else {name: value[k] for name, value in drawn.items()}
                yield Batch(x[k], y[k], own, self.one_replicate)

    def _bytes(self, indices: Any, samples: tuple[Any, Any] | None) -> int:
        if samples is not None:
            return int(samples[0][0].nbytes)
        assert self.resident is not None
        return int(indices[0].size * self.resident[0][0].numel() * self.resident[0].element_size())

    def _gather(self, indices: Any) -> tuple[Tensor, Tensor]:
        """indices: (K, R, B) rows of each replicate's block."""
        assert self.resident is not None
        rows = torch.as_tensor(indices).to(self.device)
        if self.blocks > 1:
            rows = rows + (torch.arange(self.blocks, device=self.device) * self.rows)[None, :, None]
        rows = rows[:, 0] if self.one_replicate else rows[:, self.replicates]
        x, y = self.resident
        flat = rows.reshape(-1)
        return (
            x.index_select(0, flat).view(*rows.shape, *x.shape[1:]),
            y.index_select(0, flat).view(*rows.shape, *y.shape[1:]),
        )

    def _move(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        moved = [_tensor(values, self.device) for values in (x, y)]
        return tuple(v[:, 0] if self.one_replicate else v[:, self.replicates] for v in moved)  # type: ignore[return-value]

    def _noise(self, noise: Mapping[str, Any], part: slice) -> dict[str, Tensor]:
        moved = {name: torch.as_tensor(value[part]).to(self.device, self.dtype) for name, value in noise.items()}
        return {name: v[:, 0] if self.one_replicate else v[:, self.replicates] for name, v in moved.items()}


def _tensor(values: Any, device: torch.device) -> Tensor:
    return torch.as_tensor(values).to(device)


def _flat(block: Block, device: torch.device) -> tuple[Tensor, Tensor]:
    """All replicates' rows in one table: x (R · rows, *sample), y."""
    return tuple(_tensor(v.reshape(-1, *v.shape[2:]), device) for v in (block.x, block.y))  # type: ignore[return-value]
