"""A compiled stack in PyTorch: state in and out, steps, evaluation, gradients. See `kit.engine.Program`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kit.engine import Native, Problem, Split, Stack, State
from kit.rules.rule import Rule
from kit_torch import choice
from kit_torch.batches import Batch, Feed
from kit_torch.draws import Draws, kept
from kit_torch.flat import Stacked, to_numpy
from kit_torch.loops import Compiled, Views, Vmapped
from kit_torch.modules import Loss, draws, fitted, moving
from kit_torch.updates import NativeUpdate, RuleUpdate

GENERATOR = "torch.generator"  # among a state's buffers: what PyTorch's generator was left in by each member

EVALUATED_NUMBERS = (
    2**22
)  # in one forward pass of an evaluation: rows × members × features, so that memory stays bounded


class TorchProgram:
    """N trials of one problem. `modules`: one prototype for each trial, with its own buffers; `strategies`: the loops
    that may be tried, the universal one first; `strategy`: the one to use, or None to choose by timing."""

    def __init__(
        self,
        problem: Problem,
        optimizer: Rule | Native,
        stack: Stack,
        *,
        modules: list[nn.Module],
        loss: Loss,
        device: torch.device,
        dtype: torch.dtype,
        autocast: bool,
        steps: int,
        strategies: tuple[str, ...],
        strategy: str | None,
    ) -> None:
        self.problem, self.stack, self.loss = problem, stack, loss
        self.device, self.dtype, self.autocast, self.steps_left = device, dtype, autocast, steps
        self.strategies, self.strategy = strategies, strategy or ""
        self.compile_seconds = 0.0
        self.timings: dict[str, float] = {}
        self.notes: list[str] = []  # candidates that were left out, and why
        self.modules = [module.to(device=device, dtype=dtype) for module in modules]
        shapes = {name: tuple(p.shape) for name, p in modules[0].named_parameters()}
        self.stacked = Stacked(shapes, stack.size, dtype, device)
        self.draws = Draws(stack.seeds.tolist(), device) if draws(problem, modules[0]) else None
        self.views = Views(
            self.stacked, self.modules, loss, self.casting, self.draws, flat=not isinstance(optimizer, Native)
        )
        self.feed = Feed(problem, stack, device, dtype)
        self.evaluation = {
            split: [torch.as_tensor(v).to(device) for v in (block.x, block.y)]
            for split, block in problem.evaluation.items()
        }
        if isinstance(optimizer, Native):
            members = [dict(module.named_parameters()) for module in self.modules]
            self.update: RuleUpdate | NativeUpdate = NativeUpdate(optimizer, members)
        else:
            self.update = RuleUpdate(optimizer, self.stacked, stack)
        self._vmapped: Vmapped | None = None
        self._compiled: Compiled | None = None

    # --- state

    def load(self, state: State) -> None:
        with torch.no_grad():
            self.stacked.flat.copy_(self.stacked.joined(state.parameters))
            for name in moving(self.modules[0]):
                for n, module in enumerate(self.modules):
                    module.get_buffer(name).copy_(torch.as_tensor(state.buffers[name][n]))
        if self.draws is not None:
            given = state.buffers.get(GENERATOR)
            # A copy for each: PyTorch 2.13 crashes on a state that begins inside another tensor's memory.
            rows = self.draws.start if given is None else [torch.as_tensor(row).clone() for row in given]
            self.draws.states = list(rows)
        self.update.load(state.slots)

    def state(self) -> State:
        buffers = {
            name: torch.stack([module.get_buffer(name) for module in self.modules]).cpu().numpy().copy()
            for name in moving(self.modules[0])
        }
        if self.draws is not None:
            buffers[GENERATOR] = torch.stack(self.draws.states).numpy().copy()
        return State(parameters=to_numpy(self.stacked.views), slots=self.update.arrays(), buffers=buffers)

    def evaluated_parameters(self) -> dict[str, Any]:
        return to_numpy(self.stacked.split(self.update.evaluated(self.stacked.flat)))

    # --- training

    def advance(
        self,
        indices: Any,
        scalars: Any,
        *,
        samples: tuple[Any, Any] | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> Any:
        if not self.strategy:
            began = time.perf_counter()
            self.strategy, self.timings = choice.fastest(self, indices, scalars, samples, noise)
            self.compile_seconds += time.perf_counter() - began
        losses = self.run(self.strategy, indices, scalars, samples, noise)
        self.steps_left -= len(scalars)
        return losses

    def run(self, strategy: str, indices: Any, scalars: Any, samples: Any, noise: Any) -> Any:
        """K steps by one strategy; the losses, (K, N), float64 in NumPy."""
        found = list(self._steps(strategy, indices, scalars, samples, noise))
        return torch.stack(found).double().cpu().numpy()

    def _steps(self, strategy: str, indices: Any, scalars: Any, samples: Any, noise: Any) -> Iterator[Tensor]:
        steps = len(scalars)
        # (K, S, N, 1): one call then unpacks a step's scalars, each shaped for the flat buffer.
        packed = torch.as_tensor(scalars).permute(0, 2, 1).unsqueeze(-1).to(self.device, self.dtype).contiguous()
        batches = self.feed.chunk(steps, indices, samples, noise)
        if strategy == "compiled":
            yield from self._compiled_steps(batches, packed)
            return
        gradients = self.views if strategy == "views" else self.vmapped
        for k, batch in enumerate(batches):
            if self.update.closes:
                yield self.update.close(self.views, batch, scalars[k, :, 0], self.stacked)
                continue
            losses = gradients(batch)
            self.update(packed[k], scalars[k, :, 0])
            yield losses

    def _compiled_steps(self, batches: Iterator[Batch], packed: Tensor) -> Iterator[Tensor]:
        assert isinstance(self.update, RuleUpdate)
        for k, batch in enumerate(batches):
            slots = self.update.started(packed[k])
            first = self._compiled is None
            began = time.perf_counter()
            losses, flat, slots = self.compiled(self.stacked.flat, slots, batch, packed[k])
            if first:
                self.compile_seconds += time.perf_counter() - began
            self.stacked.flat.copy_(flat)
            self.update.slots, self.update.now = slots, packed[k]
            yield losses

    @property
    def vmapped(self) -> Vmapped:
        if self._vmapped is None:
            self._vmapped = Vmapped(self.stacked, self.modules[0], self.loss, self.casting)
        return self._vmapped

    @property
    def compiled(self) -> Compiled:
        if self._compiled is None:
            assert isinstance(self.update, RuleUpdate)
            self._compiled = Compiled(self.stacked, self.modules[0], self.loss, self.casting, self.update.pure)
        return self._compiled

    def casting(self) -> AbstractContextManager[Any]:
        """Around forward passes alone: a rule's own products are not for bfloat16, and autocast keeps its copies of the
        weights until it ends, so that steps inside would be taken at old weights."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext()

    # --- reading

    def evaluate(self, split: Split) -> dict[str, Any]:
        x, y = self.evaluation[split]
        parameters = self.stacked.split(self.update.evaluated(self.stacked.flat).detach())
        rows = x.shape[1]
        size = max(1, EVALUATED_NUMBERS // max(1, self.stack.size * x[0, 0].numel()))
        totals: dict[str, Tensor] = {}
        with torch.no_grad(), kept(self.device):
            for start in range(0, rows, size):
                part = slice(start, start + size)
                for name, values in self._evaluate_rows(parameters, x[:, part], y[:, part]).items():
                    share = values.double() * ((min(rows, start + size) - start) / rows)
                    totals[name] = totals[name] + share if name in totals else share
        return {name: value.cpu().numpy() for name, value in totals.items()}

    def _evaluate_rows(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Means over a slice of the rows: name -> (N,)."""
        if "vmap" in self.strategies and self.stack.size > 1:
            shell = self.modules[0].eval()
            own = None if len(x) == 1 else 0
            xs, ys = (x[0], y[0]) if len(x) == 1 else (x[self.feed.replicates], y[self.feed.replicates])
            found = vmap(lambda p, a, b: self._measure(shell, p, a, b), in_dims=(0, own, own))(parameters, xs, ys)
            shell.train()
            return dict(found)
        each = []
        for n, module in enumerate(self.modules):
            r = 0 if len(x) == 1 else int(self.stack.replicates[n])
            module.eval()
            each.append(self._measure(module, {name: value[n] for name, value in parameters.items()}, x[r], y[r]))
            module.train()
        return {name: torch.stack([values[name] for values in each]) for name in each[0]}

    def _measure(self, module: nn.Module, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        with self.casting():
            output = functional_call(module, parameters, (x,))
        found = {"loss": self.loss(output, y)}
        if self.problem.accuracy == "argmax" and output.ndim > y.ndim:
            found["accuracy"] = (output.argmax(-1) == y).to(self.dtype).mean()
        elif self.problem.accuracy is not None:
            found["accuracy"] = ((fitted(output, y) > 0) == (y > 0.5)).to(self.dtype).mean()
        return found

    def gradients(self, indices: Any, samples: tuple[Any, Any] | None = None) -> dict[str, Any]:
        one = None if indices is None else indices[None]
        gathered = None if samples is None else (samples[0][None], samples[1][None])
        noise = None
        batch = next(self.feed.chunk(1, one, gathered, noise))
        moved = [{name: module.get_buffer(name).clone() for name in moving(module)} for module in self.modules]
        states = None if self.draws is None else list(self.draws.states)
        self.views(batch)
        self.views.gather()
        if self.draws is not None and states is not None:
            self.draws.states = states  # a probe leaves training as it was: its draws and moving means too
        with torch.no_grad():
            for module, values in zip(self.modules, moved, strict=True):
                for name, value in values.items():
                    module.get_buffer(name).copy_(value)
        return to_numpy(self.stacked.gradient_views)

    def close(self) -> None:
        self._vmapped = self._compiled = None
