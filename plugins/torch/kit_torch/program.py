"""A compiled stack in PyTorch: state in and out, steps, evaluation, gradients. See `kit.engine.Program`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from kit.engine import Native, Split, State
from kit.rules.rule import Rule
from kit_torch import choice, members
from kit_torch.choice import Work
from kit_torch.draws import Draws
from kit_torch.evaluation import Evaluation
from kit_torch.feed import Batch, Feed
from kit_torch.native_update import CannotContinueError, NativeUpdate
from kit_torch.rule_update import RuleUpdate
from kit_torch.setting import Setting
from kit_torch.strategies.accumulated import accumulated
from kit_torch.strategies.compiled import CompiledStep, compiled_views
from kit_torch.strategies.graphed import Graphed
from kit_torch.strategies.loop import Loop, RuleLoop
from kit_torch.strategies.native import NativeLoop
from kit_torch.strategies.recorded import Recorded
from kit_torch.strategies.views import Views
from kit_torch.strategies.vmapped import Vmapped
from kit_torch.tensors import to_numpy

GARBAGE = 1e3  # far from any gradient, and finite, so that what reads it goes wrong and does not fail


class TorchProgram:
    """N trials of one problem. `strategies`: the loops that may be tried, the universal one first; `strategy`: the one
    to use, or None to choose by timing."""

    def __init__(
        self,
        setting: Setting,
        optimizer: Rule | Native,
        *,
        steps: int,
        strategies: tuple[str, ...],
        strategy: str | None,
    ) -> None:
        self.setting, self.steps_left = setting, steps
        self.strategies, self.strategy = strategies, strategy or ""
        self.compile_seconds = 0.0
        self.timings: dict[str, float] = {}
        self.notes: list[str] = []  # candidates that were left out, and why
        self.compute: Any = None  # of the loss of a training pass, in place of the setting's own: `Views`
        self.evaluations: Any = None  # see `kit.engine.Program`
        self.feed = Feed(setting.problem, setting.stack, setting.device, setting.dtype)
        self.evaluation = Evaluation(setting)
        self.update: RuleUpdate | NativeUpdate
        if isinstance(optimizer, Native):
            self.update = NativeUpdate(optimizer, setting.members, setting.stacked)
            self.update.check_parts(setting.problem.gradient_accumulation)
        else:
            graphs = self.setting.device.type == "cuda"
            self.update = RuleUpdate(optimizer, setting.stacked, setting.stack, floats=not graphs)
        self._loops: dict[str, Loop] = {}

    # --- state

    def load(self, state: State) -> None:
        setting = self.setting
        with torch.no_grad():
            setting.stacked.write(setting.stacked.flat, state.parameters)
            members.load(setting.members, state.buffers)
            if setting.draws is not None:
                setting.draws.begin()
                if Draws.NAME in state.buffers:
                    setting.draws.load(state.buffers[Draws.NAME])
            self.update.load(state.slots)

    def state(self) -> State:
        buffers = members.arrays(self.setting.members)
        if self.setting.draws is not None:
            buffers[Draws.NAME] = self.setting.draws.array()
        state = State(parameters=to_numpy(self.setting.stacked.views), buffers=buffers)
        try:
            state.slots = self.update.arrays()
        except CannotContinueError as error:
            state.unsaved = str(error)
        return state

    def evaluated_parameters(self) -> dict[str, Any]:
        names = self.setting.stacked.spans
        return to_numpy(dict(zip(names, self._reported(), strict=True)))

    def _reported(self) -> list[Tensor]:
        """The parameters to report, each (N, *shape)."""
        stacked = self.setting.stacked
        with torch.no_grad():
            if isinstance(self.update, RuleUpdate):
                return list(stacked.split(self.update.evaluated(stacked.flat)).values())
            if not self.update.averages:
                return list(stacked.views.values())
            trained = stacked.flat.clone()
            for _ in self.update.reporting():
                found = stacked.flat.clone()
            stacked.flat.copy_(trained)  # there and back is not the same to the last bit
            return list(stacked.split(found).values())

    # --- training

    def advance(
        self,
        indices: Any,
        scalars: Any,
        *,
        samples: tuple[Any, Any] | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> Any:
        work = Work(indices, scalars, samples, noise)
        if not self.strategy:
            began = time.perf_counter()
            self.strategy, self.timings = choice.fastest(self, work)
            for name in [name for name in self._loops if name != self.strategy]:
                self.forget(name)
            self.compile_seconds += time.perf_counter() - began
        elif not self._loops and len(scalars) > 0:
            self._prepare(work)
        losses = self.run(self.strategy, work)
        self.steps_left -= len(scalars)
        return losses

    def _prepare(self, work: Work) -> None:
        """Let a given strategy build what it needs in a step that does not count."""
        if self.strategy not in ("recorded", "compiled", "graphed"):
            return
        began = time.perf_counter()
        state = self.state()
        self.run(self.strategy, work.steps([0]))
        self.load(state)
        self.compile_seconds += time.perf_counter() - began

    def run(self, strategy: str, work: Work) -> Any:
        """K steps by one strategy; the losses, (K, N), float64 in NumPy."""
        steps = len(work.scalars)
        loop = self._loop(strategy)
        with torch.no_grad():
            found = loop.run(self.feed.chunk(steps, work.indices, work.samples, work.noise), work.scalars)
            joined = torch.stack(found) if len(found) == steps else torch.cat(found)
            self.evaluations = getattr(loop, "evaluations", None)
            if isinstance(self.update, NativeUpdate):
                members.gather(self.setting.members, self.setting.stacked)
            return joined.reshape(steps, self.setting.stack.size).double().cpu().numpy()

    def _loop(self, strategy: str) -> Loop:
        if strategy not in self._loops:
            self._loops[strategy] = self._made(strategy)
        return self._loops[strategy]

    def _made(self, strategy: str) -> Loop:
        setting, update = self.setting, self.update
        if isinstance(update, NativeUpdate):
            return NativeLoop(setting, update, self.compute)
        match strategy:
            case "vmap":
                return RuleLoop(accumulated(setting, Vmapped(setting)), update)
            case "recorded":
                return RuleLoop(accumulated(setting, Recorded(setting)), update)
            case "compiled":
                return CompiledStep(setting, update) if setting.traits.vectorises else compiled_views(setting, update)
            case "graphed":
                return Graphed(setting, update)
            case _:
                return RuleLoop(Views(setting, self.compute), update)

    def forget(self, strategy: str) -> None:
        """Give back the memory of a loop."""
        self._loops.pop(strategy, None)

    # --- reading

    def evaluate(self, split: Split) -> dict[str, Any]:
        return self.evaluation.measure(split, self._reported())

    def gradients(self, indices: Any, samples: tuple[Any, Any] | None = None) -> dict[str, Any]:
        one = None if indices is None else indices[None]
        gathered = None if samples is None else (samples[0][None], samples[1][None])
        batch = next(next(self.feed.chunk(1, one, gathered, None)).batches())
        setting = self.setting
        kept = members.arrays(setting.members)  # a probe leaves training as it was: moving means, and draws too
        drawn = None if setting.draws is None else setting.draws.array()
        found = []
        for n, module in enumerate(setting.members):
            with nullcontext() if setting.draws is None else setting.draws.of(n):
                found.append(self._gradients(n, module, batch))
        members.load(setting.members, kept)
        if setting.draws is not None:
            setting.draws.load(drawn)
        stacked = [torch.stack(each) for each in zip(*found, strict=True)]
        return to_numpy(dict(zip(setting.stacked.spans, stacked, strict=True)))

    def spoil(self) -> None:
        """Leave garbage where the gradients of an earlier step would lie, for `kit check`: see `kit.engine.Arrays`."""
        for module in self.setting.members:
            for parameter in members.trained(module).values():
                parameter.grad = torch.full_like(parameter, GARBAGE)

    def _gradients(self, n: int, module: nn.Module, batch: Batch) -> list[Tensor]:
        """A member's gradients, part by part where the problem asks for it."""
        parameters = list(members.trained(module).values())
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        for part, share in self.setting.parts(batch):
            loss = self.setting.member_loss(module, *part.member(n)) * share
            found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            torch._foreach_add_(sums, found)
        return sums

    def close(self) -> None:
        self._loops.clear()
