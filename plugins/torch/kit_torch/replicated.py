"""`ddp`: every process holds the whole model; DistributedDataParallel averages gradients while they are taken."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kit.engine import Split, State
from kit_torch.draws import Draws
from kit_torch.program import TorchProgram
from kit_torch.ranks import Shared

APART = 1_000_003  # between the seeds of the processes, for what a module draws for itself


class ReplicatedProgram:
    """See `kit.engine.Program`: a program whose training passes go through DistributedDataParallel."""

    def __init__(self, shared: Shared, program: TorchProgram) -> None:
        self.shared, self.program, self.setting = shared, program, program.setting
        self.strategy, self.timings = "ddp", program.timings
        self.weight = 1.0
        setting = self.setting
        if setting.draws is not None:
            seeds = [int(seed) + APART * shared.number for seed in setting.stack.seeds]
            setting.draws = Draws(seeds, shared.device)
        self.replica: Any = None
        self._parameters: list[nn.Parameter] = []  # those that it averages
        self._replicate()
        program.compute = self._loss

    def _replicate(self) -> None:
        """Have the present parameters' gradients averaged: a native optimizer begins anew on parameters of its own."""
        parameters = list(self.setting.members[0].parameters())
        if [*map(id, parameters)] == [*map(id, self._parameters)]:
            return
        # Parameters that take no part are known from the first step, which is like every other; but a graph that is
        # declared to be static cannot hold back gradients, and then they are looked for in each.
        held = self.setting.problem.gradient_accumulation > 1
        kind = {"find_unused_parameters": True} if held else {"static_graph": True}
        self.replica = DistributedDataParallel(self.setting.members[0], **kind)
        self.setting.holding = self.replica.no_sync if held else nullcontext
        self._parameters = parameters

    def _loss(self, module: nn.Module, x: Tensor, y: Tensor, noise: Any) -> Tensor:
        return self.setting.member_loss(self.replica, x, y, noise) * self.weight

    @property
    def compile_seconds(self) -> float:
        return self.program.compile_seconds

    @property
    def evaluations(self) -> Any:
        return self.program.evaluations

    def load(self, state: State) -> None:
        buffers = dict(state.buffers)
        if Draws.NAME in buffers:  # of all processes, one behind the other
            buffers[Draws.NAME] = np.split(buffers[Draws.NAME], self.shared.size, axis=1)[self.shared.number]
        self.program.load(State(parameters=state.parameters, slots=state.slots, buffers=buffers))
        self._replicate()

    def state(self) -> State:
        found = self.program.state()
        if Draws.NAME in found.buffers:
            each = self.shared.each(torch.from_numpy(found.buffers[Draws.NAME]))
            found.buffers[Draws.NAME] = torch.cat(each, dim=1).cpu().numpy()
        return found

    def evaluated_parameters(self) -> dict[str, Any]:
        return self.program.evaluated_parameters()

    def advance(
        self, indices: Any, scalars: Any, *, samples: Any = None, noise: Mapping[str, Any] | None = None
    ) -> Any:
        indices, samples, noise, self.weight = self.shared.batch(indices, samples, noise, len(scalars))
        return self.shared.mean(self.program.advance(indices, scalars, samples=samples, noise=noise))

    def evaluate(self, split: Split) -> dict[str, Any]:
        """By the first process: all have the same parameters, and the moving means are the first one's."""
        return self.program.evaluate(split) if self.shared.number == 0 else {}

    def gradients(self, indices: Any, samples: Any = None) -> dict[str, Any]:
        one = None if indices is None else np.asarray(indices)[None]
        gathered = None if samples is None else tuple(np.asarray(values)[None] for values in samples)
        one, gathered, _, weight = self.shared.batch(one, gathered, None, 1)
        found = self.program.gradients(
            None if one is None else one[0], None if gathered is None else (gathered[0][0], gathered[1][0])
        )
        return {name: self.shared.mean(value * weight) for name, value in found.items()}

    def close(self) -> None:
        self.program.close()
