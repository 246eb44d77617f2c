"""`compiled`: whole steps, update included, as one program, of one step and of several.

Of a module that keeps more than parameters the forward and backward passes are compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kit_torch import inductor
from kit_torch.feed import Batch, Stretch
from kit_torch.inductor import Program
from kit_torch.rule_update import RuleUpdate
from kit_torch.setting import Setting, total
from kit_torch.strategies.loop import RuleLoop
from kit_torch.strategies.views import Views

SEVERAL = 8  # steps in one program
SHORT_SECONDS = 5e-4  # only steps shorter than this gain from being called several at once
CHECKED = 4  # times that so many steps at once must equal so many one by one, to the last bit


class CompiledStep:
    """Steps as programs: (flat, slots, x, y, noise, scalars of the steps) -> losses, (steps, N); flat and slots are
    written into.

    How many steps a program takes must change no bit, or a run would depend on how it was cut into chunks: the program
    of several steps is used only if it is found to give what the program of one gives.
    """

    def __init__(self, setting: Setting, update: RuleUpdate) -> None:
        self.setting, self.update = setting, update
        self.programs: dict[Any, tuple[Program, Program | None]] = {}  # by the shapes of the batches

    def run(self, stretches: Iterable[Stretch], scalars: Any) -> list[Tensor]:
        found = []
        nows = torch.stack(list(self.update.prepare_plain(scalars)))  # (K, S, N, 1)
        done = 0
        for stretch in stretches:
            own = nows[done : done + stretch.steps]
            done += stretch.steps
            found += self._stretch(stretch, own)
        return found

    def _stretch(self, stretch: Stretch, nows: Tensor) -> list[Tensor]:
        one, several = self._programs_for(stretch, nows)
        state = self._state()
        found = []
        start = 0
        while start < stretch.steps:
            many = several is not None and stretch.steps - start >= SEVERAL
            stop = start + (SEVERAL if many else 1)
            program = several if several is not None and many else one
            found.append(program([*state, *stretch.tensors(start, stop), nows[start:stop]]))
            start = stop
        return found

    def _state(self) -> list[Tensor]:
        return [self.setting.stacked.flat, *(value for each in self.update.slots for value in each.values())]

    def _programs_for(self, stretch: Stretch, nows: Tensor) -> tuple[Program, Program | None]:
        key = tuple((tensor.shape[1:], tensor.stride()[1:]) for tensor in stretch.tensors(0, 1))
        if key not in self.programs:
            one = self._compiled(stretch, nows, 1)
            several: Program | None = None
            if self._seconds(one, stretch, nows) < SHORT_SECONDS:
                trial = _repeated(stretch, SEVERAL * CHECKED)
                scalars = nows[torch.arange(SEVERAL * CHECKED, device=nows.device) % len(nows)]
                several = self._compiled(trial, scalars, SEVERAL)
                several = several if self._equal(one, several, trial, scalars) else None
            self.programs[key] = (one, several)
        return self.programs[key]

    def _seconds(self, one: Program, stretch: Stretch, nows: Tensor) -> float:
        """What a step takes, the quickest of some, on a copy of the state."""
        state = [tensor.clone() for tensor in self._state()]
        times = []
        for _ in range(SEVERAL):
            began = time.perf_counter()
            one([*state, *stretch.tensors(0, 1), nows[:1]])
            times.append(time.perf_counter() - began)
        return min(times)

    def _compiled(self, stretch: Stretch, nows: Tensor, steps: int) -> Program:
        names = None if stretch.noise is None else list(stretch.noise)
        slots = [list(each) for each in self.update.slots]

        def whole(flat: Tensor, *given: Tensor) -> Tensor:
            rest = list(given)
            own = [{name: rest.pop(0) for name in each} for each in slots]
            x, y, *drawn, scalars = rest
            after, slots_after, losses = flat, own, []
            for k in range(steps):
                noise = None if names is None else dict(zip(names, (value[k] for value in drawn), strict=True))
                which = 0 if stretch.same else k
                batch = Batch(x[which], y[which], noise, stretch.shared)
                loss, after, slots_after = self._step(after, slots_after, batch, scalars[k])
                losses.append(loss)
            flat.copy_(after)
            for before, now in zip(own, slots_after, strict=True):
                for name, value in before.items():
                    value.copy_(now[name])
            return torch.stack(losses).reshape(steps, -1)

        inputs = [*self._state(), *stretch.tensors(0, steps), nows[:steps]]
        return inductor.compiled(whole, inputs, pure=self.setting.traits.pure)

    def _step(
        self, flat: Tensor, slots: list[dict[str, Tensor]], batch: Batch, now: Tensor
    ) -> tuple[Tensor, Tensor, list[dict[str, Tensor]]]:
        """(losses, flat, slots) after one step, nothing changed in place."""
        setting, stacked = self.setting, self.setting.stacked

        def of(part: Batch, share: float) -> tuple[list[Tensor], Tensor]:
            def summed(leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
                losses = setting.losses(leaves, part)
                losses = losses if share == 1 else losses * share
                return losses.sum(), losses

            found: tuple[list[Tensor], Tensor] = torch.func.grad(summed, has_aux=True)(setting.leaves(flat))
            return found

        found = [of(part, share) for part, share in setting.parts(batch)]
        losses = total(losses for _, losses in found)
        gradients = [total(each) for each in zip(*(gradients for gradients, _ in found), strict=True)]
        shaped = [g.reshape(v.shape) for g, v in zip(gradients, stacked.views.values(), strict=True)]
        if self.update.rule.elementwise:
            shaped = [g.reshape(len(flat), -1) for g in shaped]
            shaped = shaped if stacked.apart else [stacked.joined(shaped)]
        flat, slots = self.update.pure(flat, shaped, slots, now)
        return losses, flat, slots

    def _equal(self, one: Program, several: Program, stretch: Stretch, nows: Tensor) -> bool:
        """Whether both give the same bits, from the state that the stack is in."""
        single, many = ([tensor.clone() for tensor in self._state()] for _ in range(2))
        for start in range(0, stretch.steps, SEVERAL):
            steps = range(start, start + SEVERAL)
            losses = torch.cat([one([*single, *stretch.tensors(k, k + 1), nows[k : k + 1]]) for k in steps])
            found = several([*many, *stretch.tensors(start, start + SEVERAL), nows[start : start + SEVERAL]])
            if not torch.equal(_bits(losses), _bits(found)):
                return False
        return all(torch.equal(_bits(a), _bits(b)) for a, b in zip(single, many, strict=True))


def _bits(tensor: Tensor) -> Tensor:
    """As whole numbers, so that NaN equals itself."""
    return tensor.contiguous().view(torch.int64 if tensor.dtype == torch.float64 else torch.int32)


def _repeated(stretch: Stretch, steps: int) -> Stretch:
    """A stretch of so many steps, made of another's over and over."""
    order = torch.arange(steps, device=stretch.x.device) % stretch.steps
    noise = None if stretch.noise is None else {name: value[order] for name, value in stretch.noise.items()}
    if stretch.same:
        return stretch._replace(steps=steps, noise=noise)
    return stretch._replace(steps=steps, x=stretch.x[order], y=stretch.y[order], noise=noise)


def compiled_views(setting: Setting, update: RuleUpdate) -> RuleLoop:
    """The module's passes compiled; the update as ever."""
    inductor.keep_compiled_code()
    member: Callable[..., Tensor] = torch.compile(setting.member_loss, backend=inductor.BACKEND, dynamic=False)

    def compute(module: nn.Module, *batch: Any) -> Tensor:
        return member(module, *batch)

    return RuleLoop(Views(setting, compute), update)
