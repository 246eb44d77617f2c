"""The batches of a chunk, on the device: gathered for many steps in one go, as the batches are small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kit.engine import Problem, Stack
from kit.levers import parts
from kit_torch.tensors import as_tensor

GATHERED_BYTES = 2 * 2**20  # of samples at once: enough to amortise the calls, little beside a model, and in cache

Draws = dict[str, Tensor]


class Batch(NamedTuple):
    """What one step trains on. `shared`: all trials see the same samples, and x, y have no axis for the trials."""

    x: Tensor  # (N, B, *sample), or (B, *sample) where shared
    y: Tensor
    noise: Draws | None  # name -> (N, B, *shape), or (B, *shape) where shared
    shared: bool

    def member(self, n: int) -> tuple[Tensor, Tensor, Draws | None]:
        """What one trial sees."""
        if self.shared:
            return self.x, self.y, self.noise
        return self.x[n], self.y[n], None if self.noise is None else {name: v[n] for name, v in self.noise.items()}

    def parts(self, count: int) -> list[tuple[Batch, float]]:
        """(part, its share of the samples), `count` of them or fewer; itself where it is one."""
        if count == 1:
            return [(self, 1.0)]
        axis = 0 if self.shared else 1
        size = self.y.shape[axis]

        def of(tensor: Tensor, start: int, stop: int) -> Tensor:
            return tensor.narrow(axis, start, stop - start)

        return [
            (
                Batch(
                    of(self.x, start, stop),
                    of(self.y, start, stop),
                    None if self.noise is None else {name: of(v, start, stop) for name, v in self.noise.items()},
                    self.shared,
                ),
                (stop - start) / size,
            )
            for start, stop in parts(size, count)
        ]


class Stretch(NamedTuple):
    """The batches of some steps: along the first axis of each tensor, what `Batch` holds for each of them. `same`: x
    and y are the same for all steps, and stand there once."""

    steps: int
    x: Tensor
    y: Tensor
    noise: Draws | None
    shared: bool
    same: bool

    def batches(self) -> Iterator[Batch]:
        """Step by step."""
        xs, ys = self.x.unbind(0), self.y.unbind(0)
        if self.same:
            xs, ys = xs * self.steps, ys * self.steps
        if self.noise is None:
            for x, y in zip(xs, ys, strict=True):
                yield Batch(x, y, None, self.shared)
            return
        drawn = [value.unbind(0) for value in self.noise.values()]
        for x, y, *own in zip(xs, ys, *drawn, strict=True):
            yield Batch(x, y, dict(zip(self.noise, own, strict=True)), self.shared)

    def tensors(self, start: int, stop: int) -> list[Tensor]:
        """x, y and draws of some of the steps."""
        samples = [self.x, self.y] if self.same else [self.x[start:stop], self.y[start:stop]]
        return [*samples, *(value[start:stop] for value in (self.noise or {}).values())]


class Feed:
    """Batches for a stack of N trials of R replicates.

    A stack's batches are all shared or all not, so that a loop made for one of them fits them all.
    """

    def __init__(self, problem: Problem, stack: Stack, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype, self.trials = device, dtype, stack.size
        self.names = [name for name, _ in problem.noise]
        one_replicate = int(np.max(stack.replicates)) == 0
        in_order = np.array_equal(stack.replicates, np.arange(stack.size))
        # Which replicate each trial sees; None: each its own, in order.
        self.replicates = None if in_order else torch.as_tensor(stack.replicates, dtype=torch.int64, device=device)
        self.resident: tuple[Tensor, Tensor] | None = None
        self.blocks = self.rows = 0
        if problem.train is not None:
            # All replicates' rows in one table: x (R · rows, *sample), y.
            x, y = (as_tensor(v, dtype=dtype, device=device) for v in (problem.train.x, problem.train.y))
            self.blocks, self.rows = x.shape[:2]
            self.resident = (x.flatten(0, 1), y.flatten(0, 1))
        all_alike = problem.full_batch and self.blocks == 1 and not self.names
        self.shared = one_replicate or all_alike
        self._rows: tuple[Tensor, Tensor] | None = None

    def chunk(
        self, steps: int, indices: Any, samples: tuple[Any, Any] | None, noise: Mapping[str, Any] | None
    ) -> Iterator[Stretch]:
        """The batches of K steps. indices: (K, R, B); samples: x (K, R, B, …), y; noise: name -> (K, R, B, …)."""
        size = max(1, GATHERED_BYTES // max(1, self._bytes(indices, samples, noise)))
        for start in range(0, steps, size):
            part = slice(start, min(steps, start + size))
            same = samples is None and indices is None
            if samples is not None:
                x, y = (self._moved(values[part]) for values in samples)
            else:
                x, y = self._whole() if indices is None else self._gather(indices[part])
            drawn = None if noise is None else {name: self._moved(noise[name][part]) for name in self.names}
            yield Stretch(part.stop - part.start, x, y, drawn, self.shared, same)

    def _whole(self) -> tuple[Tensor, Tensor]:
        """All rows, once for all steps."""
        if self._rows is None:
            x, y = self._all_rows()
            self._rows = x.unsqueeze(0), y.unsqueeze(0)
        return self._rows

    def _all_rows(self) -> tuple[Tensor, Tensor]:
        assert self.resident is not None
        x, y = (v.unflatten(0, (self.blocks, self.rows)) for v in self.resident)
        if self.shared:
            return x[0], y[0]
        if self.blocks == 1:
            return tuple(v.expand(self.trials, *v.shape[1:]) for v in (x, y))  # type: ignore[return-value]
        return (x, y) if self.replicates is None else (x[self.replicates], y[self.replicates])

    def _bytes(self, indices: Any, samples: tuple[Any, Any] | None, noise: Mapping[str, Any] | None) -> int:
        """What one step's samples and draws take, for all trials that see their own."""
        lists = 1 if self.shared else self.trials
        total = 0 if noise is None else sum(int(values[0, 0].size) for values in noise.values()) * lists
        if samples is not None:
            return total + int(samples[0][0, 0].nbytes) * lists
        if indices is None:
            return total
        assert self.resident is not None
        return total + int(lists * indices.shape[-1] * self.resident[0][0].numel() * self.resident[0].element_size())

    def _gather(self, indices: Any) -> tuple[Tensor, Tensor]:
        """indices: (K, R, B) rows of each replicate's own block."""
        assert self.resident is not None
        rows = torch.as_tensor(indices).to(self.device)
        if self.blocks > 1:
            rows = rows + (torch.arange(self.blocks, device=self.device) * self.rows)[None, :, None]
        rows = self._of_trials(rows)
        flat = rows.reshape(-1)
        return tuple(v.index_select(0, flat).view(*rows.shape, *v.shape[1:]) for v in self.resident)  # type: ignore[return-value]

    def _moved(self, values: Any) -> Tensor:
        """Host arrays (K, R, …) on the device, one for each trial or one for all."""
        return self._of_trials(as_tensor(values, dtype=self.dtype, device=self.device))

    def _of_trials(self, values: Tensor) -> Tensor:
        """(K, R, …) as (K, N, …), or (K, …) where all trials see the same."""
        if self.shared:
            return values[:, 0]
        return values if self.replicates is None else values[:, self.replicates]
