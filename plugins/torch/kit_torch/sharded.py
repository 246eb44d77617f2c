"""`fsdp`: parameters, gradients and slots divided among the processes, row by row of each parameter (FSDP2).

A block's parameters are put together for its passes alone, by FSDP's own hooks. The rule runs on a process's own rows,
as on a model that is as small as that; so it must be an elementwise one. What leaves the process is whole again: the
state, the parameters to report, gradients for probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

from kit.engine import Dtype, Native, Problem, Split, Stack, State
from kit.errors import InvalidValueError
from kit.rules.rule import Rule
from kit_torch import checkpointing, members
from kit_torch.evaluation import Evaluation
from kit_torch.feed import Batch, Feed
from kit_torch.network import make, make_loss, try_out
from kit_torch.ranks import Shared
from kit_torch.rule_update import RuleUpdate
from kit_torch.setting import Setting
from kit_torch.stacked import Stacked
from kit_torch.strategies.loop import RuleLoop

Named = dict[str, Any]
SLICE = 64  # rows that are evaluated at once: fewer than most batches that are worth so many devices


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """What is put together at a time: the outermost elements of lists and chains that have parts of their own."""
    for child in module.children():
        holds = isinstance(child, nn.ModuleList | nn.Sequential)
        yield from (part for part in child if any(True for _ in part.children())) if holds else blocks(child)


def divide(module: nn.Module, mesh: DeviceMesh) -> None:
    """Divide a module's parameters. Between passes none is whole, the root's neither: here they are read."""
    for part in [*blocks(module), module]:
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
        if mesh.device_type == "cpu":  # gloo has sums, and no means
            part.set_force_sum_reduction_for_comms(True)


class ShardedProgram:
    """See `kit.engine.Program`."""

    def __init__(self, shared: Shared, problem: Problem, optimizer: Rule | Native, stack: Stack, dtype: Dtype) -> None:
        if isinstance(optimizer, Native) or not optimizer.elementwise:
            name = getattr(getattr(optimizer, "build", type(optimizer)), "__name__", "")
            raise InvalidValueError(
                f"parallel='fsdp' divides every parameter among the devices, and optimizer '{name}' is not one of the "
                "kit's elementwise rules, which run on a part of it; choose one of those (adam, momentum, …), or 'ddp'."
            )
        self.shared, self.strategy, self.timings = shared, "fsdp", dict[str, float]()
        self.compile_seconds, self.evaluations, self.weight = 0.0, None, 1.0
        precision = torch.float64 if dtype == "float64" else torch.float32
        module, loss = make(problem, int(stack.seeds[0])), make_loss(problem)
        traits = try_out(problem, module, loss, precision)
        if traits.draws:
            raise InvalidValueError(
                "parallel='fsdp' needs a model that draws no random numbers of its own; 'ddp' takes any."
            )
        module = module.to(device=shared.device, dtype=precision)
        self.shapes = {name: tuple(p.shape) for name, p in members.trained(module).items()}
        if problem.activation_checkpointing:
            checkpointing.recompute(module)
        divide(module, init_device_mesh(shared.device.type, (shared.size,)))
        module.train()
        own = {name: tuple(p.to_local().shape) for name, p in self._parameters(module)}
        self.setting = Setting(
            problem=problem,
            stack=stack,
            stacked=Stacked(own, 1, precision, shared.device),
            members=[module],
            loss=loss,
            traits=traits,
            draws=None,
            device=shared.device,
            dtype=precision,
            autocast=dtype == "bfloat16",
        )
        self.module = module
        self.feed = Feed(problem, stack, shared.device, precision)
        self.evaluation = Evaluation(self.setting)
        self.update = RuleUpdate(optimizer, self.setting.stacked, stack)
        self.loop = RuleLoop(self, self.update)

    @staticmethod
    def _parameters(module: nn.Module) -> list[tuple[str, Any]]:
        return list(members.trained(module).items())

    # --- rows

    def _own(self, whole: Any) -> Any:
        """This process's rows of a whole array (1, rows, …): as FSDP cuts them, `torch.chunk`."""
        each = -(-whole.shape[1] // self.shared.size)
        return whole[:, each * self.shared.number : each * (self.shared.number + 1)]

    def _whole(self, name: str, own: Tensor) -> Any:
        """A parameter's array (1, *shape), NumPy, of the rows (1, rows, …) that each process has."""
        rows, *rest = self.shapes[name]
        padded = own.new_zeros(-(-rows // self.shared.size), *rest)
        padded[: own.shape[1]] = own[0]
        return torch.cat(self.shared.each(padded))[:rows].unsqueeze(0).cpu().numpy()

    def _put(self, flat: Tensor) -> None:
        """Let the module have the parameters of a buffer."""
        views = self.setting.stacked.member(0, flat)
        with torch.no_grad():
            for name, parameter in self._parameters(self.module):
                parameter.to_local().copy_(views[name])

    # --- state

    def load(self, state: State) -> None:
        stacked = self.setting.stacked
        stacked.write(stacked.flat, {name: self._own(value) for name, value in state.parameters.items()})
        members.load([self.module], state.buffers)
        slots = {
            slot: named if slot == "scalars" else {name: self._own(value) for name, value in named.items()}
            for slot, named in state.slots.items()
        }
        self.update.load(slots)

    def state(self) -> State:
        slots: dict[str, Named] = {}
        for slot, named in self.update.arrays().items():
            whole = slot == "scalars"
            slots[slot] = named if whole else {n: self._whole(n, torch.as_tensor(v)) for n, v in named.items()}
        stacked = self.setting.stacked
        parameters = {name: self._whole(name, view) for name, view in stacked.views.items()}
        return State(parameters=parameters, slots=slots, buffers=members.arrays([self.module]))

    def evaluated_parameters(self) -> Named:
        stacked = self.setting.stacked
        with torch.no_grad():
            reported = stacked.split(self.update.evaluated(stacked.flat))
        return {name: self._whole(name, view) for name, view in reported.items()}

    # --- training

    def advance(
        self, indices: Any, scalars: Any, *, samples: Any = None, noise: Mapping[str, Any] | None = None
    ) -> Any:
        steps = len(scalars)
        indices, samples, noise, self.weight = self.shared.batch(indices, samples, noise, steps)
        with torch.no_grad():
            found = self.loop.run(self.feed.chunk(steps, indices, samples, noise), scalars)
        return self.shared.mean(torch.stack(found).reshape(steps, 1).double().cpu().numpy())

    def begin(self, batch: Batch) -> Callable[[Batch], Tensor]:
        """See `kit_torch.strategies.loop.Gradients`."""
        return self._step

    def _step(self, batch: Batch) -> Tensor:
        stacked = self.setting.stacked
        self._put(stacked.flat)
        for _, parameter in self._parameters(self.module):
            parameter.grad = None
        with torch.enable_grad():
            loss = self.setting.backward(batch, self._loss)
        own = [None if p.grad is None else p.grad.to_local().unsqueeze(0) for _, p in self._parameters(self.module)]
        stacked.deliver(own)
        if self.setting.stack.clips and self.update.last is not None:
            self._clip()
        return loss

    def _loss(self, part: Batch) -> Tensor:
        return self.setting.member_loss(self.module, *part.member(0)) * self.weight

    def _clip(self) -> None:
        """By the norm over all processes; the rule's own clipping, by what is here, then finds nothing to do."""
        gradients = self.setting.stacked.gradient_segments()
        squares = torch.stack([(g.double() ** 2).sum() for g in gradients]).sum()
        dist.all_reduce(squares)
        norm, limit = float(squares.sqrt()), float(self.limit)
        if norm > limit:
            for gradient in gradients:
                gradient.mul_(limit / norm)

    @property
    def limit(self) -> float:
        assert self.update.last is not None
        return float(self.update.last[0, self.update.names.index("clip_norm")])

    # --- reading

    def evaluate(self, split: Split) -> Named:
        """Each process by its share of the rows, in as many passes as the others: a pass is everybody's."""
        stacked, (x, y) = self.setting.stacked, self.evaluation.blocks[split]
        rows = x.shape[1]
        each = -(-rows // self.shared.size)
        mine = range(each * self.shared.number, min(rows, each * (self.shared.number + 1)))
        size = max(1, min(each, SLICE))
        for buffer in self.module.buffers():
            dist.broadcast(buffer, 0)
        self.module.eval()
        sums: dict[str, float] = {}
        with torch.no_grad():
            self._put(self.update.evaluated(stacked.flat))
            for first in range(0, each, size):
                part = list(mine[first : first + size])
                chosen = part or [0]
                means = self.evaluation.means(self.module, {}, x[0, chosen], y[0, chosen])
                for name, value in means.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(part) / rows
        self.module.train()
        return {name: self.shared.mean(np.array([value])) * self.shared.size for name, value in sums.items()}

    def gradients(self, indices: Any, samples: Any = None) -> Named:
        one = None if indices is None else np.asarray(indices)[None]
        gathered = None if samples is None else tuple(np.asarray(values)[None] for values in samples)
        one, gathered, _, self.weight = self.shared.batch(one, gathered, None, 1)
        batch = next(next(self.feed.chunk(1, one, gathered, None)).batches())
        self._put(self.setting.stacked.flat)
        kept = members.arrays([self.module])
        for _, parameter in self._parameters(self.module):
            parameter.grad = None
        with torch.enable_grad():
            self.setting.backward(batch, self._loss)
        members.load([self.module], kept)
        return {
            name: self._whole(name, torch.zeros_like(p.to_local()[None]) if p.grad is None else p.grad.to_local()[None])
            for name, p in self._parameters(self.module)
        }

    def close(self) -> None:
        """Its process ends with it."""
