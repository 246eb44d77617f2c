"""One run over several devices: a process for each, that meets the others by `torch.distributed`.

Every process gets the whole batch's row numbers and takes its share of them (`kit.parallel.share`). A share's loss is
weighed so that the mean over the processes, which is what PyTorch makes of their gradients, is the mean over the batch.

    ddp     every process holds the whole model and its optimizer; gradients are averaged (DistributedDataParallel)
    fsdp    parameters, gradients and the optimizer's slots are divided among the processes (FSDP2, `fully_shard`)

Batch normalisation takes each share's own mean and variance, as both have it by themselves.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from kit.engine import DeviceReport, Dtype, Native, Problem, Stack
from kit.parallel import Rank, share
from kit.rules.rule import Rule
from kit_torch import devices
from kit_torch.engine import TorchEngine

LOOPBACK = ("lo", "lo0")  # Linux's, macOS's


def ddp(rank: Rank, threads: int) -> RankEngine:
    return RankEngine(rank, threads, sharded=False)


def fsdp(rank: Rank, threads: int) -> RankEngine:
    return RankEngine(rank, threads, sharded=True)


class RankEngine:
    """A process's part. See `kit.engine.Engine`."""

    name = "torch"

    def __init__(self, rank: Rank, threads: int, *, sharded: bool) -> None:
        self.rank, self.sharded, self.base = rank, sharded, TorchEngine(threads)
        self.place = "cpu"

    def versions(self) -> dict[str, str]:
        return self.base.versions()

    def devices(self) -> list[DeviceReport]:
        return self.base.devices()

    def strategies(self, *_: Any) -> tuple[str, ...]:
        return ("fsdp",) if self.sharded else ("ddp",)

    def compile(
        self,
        problem: Problem,
        optimizer: Rule | Native,
        stack: Stack,
        *,
        device: str,
        dtype: Dtype,
        steps: int,
        strategy: str | None = None,
    ) -> Any:
        self.place = device if device in ("cpu", "mps") else f"{device.partition(':')[0]}:{self.rank.local}"
        here = devices.device(self.place, dtype)
        self._meet(here)
        shared = Shared(self.rank, here, problem)
        # A full batch too is divided, by the numbers of its rows.
        problem = replace(problem, full_batch=False)
        if self.sharded:
            from kit_torch.sharded import ShardedProgram

            return ShardedProgram(shared, problem, optimizer, stack, dtype)
        from kit_torch.replicated import ReplicatedProgram

        made = self.base.compile(
            problem, optimizer, stack, device=self.place, dtype=dtype, steps=steps, strategy="views"
        )
        return ReplicatedProgram(shared, made)

    def _meet(self, here: torch.device) -> None:
        """By a file that nobody else can read; the connections are on the loopback interface. Whoever started the
        processes may have had them meet already, in a way of its own."""
        if dist.is_initialized():
            return
        if here.type == "cpu":
            names = {name for _, name in socket.if_nameindex()}
            os.environ.setdefault("GLOO_SOCKET_IFNAME", next(iter(n for n in LOOPBACK if n in names), ""))
        dist.init_process_group(
            "nccl" if here.type == "cuda" else "gloo",
            init_method=f"file://{self.rank.folder}/meeting",
            rank=self.rank.number,
            world_size=self.rank.size,
        )

    def initial_parameters(self, problem: Problem, seeds: Any) -> Any:
        return self.base.initial_parameters(problem, seeds)

    def lost_device(self, error: BaseException) -> bool:
        return self.base.lost_device(error)

    def peak_memory_bytes(self, device: str) -> int | None:
        return self.base.peak_memory_bytes(self.place)


class Shared:
    """A process's share of every batch, and what the processes tell each other."""

    def __init__(self, rank: Rank, device: torch.device, problem: Problem) -> None:
        self.number, self.size, self.device = rank.number, rank.size, device
        self.full = problem.train.x.shape[1] if problem.full_batch and problem.train is not None else 0
        self.replicates = 1 if problem.train is None else problem.train.x.shape[0]

    def batch(self, indices: Any, samples: Any, noise: Any, steps: int) -> tuple[Any, Any, Any, float]:
        """(indices, samples, noise, weight) of the share of some steps' batches, each (K, R, B, …).

        weight: of the share's mean loss, so that the mean over the processes is the batch's.
        """
        if indices is None and samples is None:
            indices = np.broadcast_to(np.arange(self.full), (steps, 1, self.full))
        size = indices.shape[2] if indices is not None else samples[0].shape[2]
        start, stop = share(size, self.number, self.size)
        own = slice(start, stop)
        return (
            None if indices is None else np.ascontiguousarray(indices[:, :, own]),
            None if samples is None else tuple(values[:, :, own] for values in samples),
            None if noise is None else {name: values[:, :, own] for name, values in noise.items()},
            (stop - start) / size * self.size,
        )

    def mean(self, array: Any) -> Any:
        """The mean over the processes of an array that each of them has, NumPy."""
        tensor = torch.as_tensor(array, device=self.device)
        dist.all_reduce(tensor)
        return (tensor / self.size).cpu().numpy()

    def each(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Every process's tensor, of one shape."""
        tensor = tensor.to(self.device).contiguous()
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor)
        return found
