"""A rule at work on a stack: its slots, its scalars, one step at a time.

An elementwise rule runs over the stack's flat buffer, as a formula in place (`kit_torch.inplace`) where it is one, else
as it is written. Other rules run over each parameter in its own shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit.engine import Stack
from kit.rules.rule import Rule
from kit.rules.step import Scalars, global_norm, step
from kit_torch import xp
from kit_torch.formula import Formula, Untraceable, evaluate
from kit_torch.inplace import InPlace
from kit_torch.stacked import Stacked
from kit_torch.tensors import to_numpy

# Elements that a formula passes over at once: more, and what it has just written has left the cache.
BLOCK = 2**16

Now = Any  # the scalars of one step, as `RuleUpdate.prepare` made them
Slots = list[dict[str, Tensor]]


class RuleUpdate:
    """One rule on one stack. `slots`: a mapping for the flat buffer, or one for each parameter; [] before step 1.

    floats: take a single trial's scalars as Python floats; False where a graph of the step is kept, as they would be in
    it for good.
    """

    def __init__(self, rule: Rule, stacked: Stacked, stack: Stack, *, floats: bool = True) -> None:
        self.rule, self.stacked, self.stack = rule, stacked, stack
        self.floats = floats and stack.size == 1
        self.names = rule.scalar_names()
        self.slots: Slots = []
        self.last: Any = None  # (N, S), float64: the scalars of the last step
        self._formula: InPlace | None = None
        # The blocks that the formula passes over: parameters, segment and columns of the gradient, slots and
        # temporaries.
        self._work: list[tuple[Tensor, int, slice, list[Tensor]]] = []
        self._joined_work: list[tuple[Tensor, Tensor, list[Tensor]]] = []  # the same, where the gradient's memory stays

    # --- training

    def prepare(self, scalars: Any) -> Iterator[Now]:
        """What each of K steps needs of scalars (K, N, S), float64. Starts the slots before the first step."""
        self._begin(scalars)
        if self._formula is None:
            yield from self._plain(scalars)
            return
        limits: Any = [None] * len(scalars)
        if self.stack.clips:
            limits = self._tensor(scalars[:, :, self.names.index("clip_norm")]).unbind(0)
        yield from zip(self._roots(self._formula, scalars), limits, strict=True)

    def prepare_plain(self, scalars: Any) -> Iterator[Tensor]:
        """As `prepare`, for `pure`: (S, N, 1) for each step."""
        self._begin(scalars)
        yield from self._plain(scalars)

    def _begin(self, scalars: Any) -> None:
        if not self.slots:
            self._start(scalars[0])
        self.last = scalars[-1]

    def _plain(self, scalars: Any) -> tuple[Tensor, ...]:
        # (K, S, N, 1): one call then unpacks a step's scalars, each shaped for the flat buffer.
        return self._tensor(scalars.transpose(0, 2, 1)[..., None]).unbind(0)

    def step(self, now: Now) -> None:
        """One step from the stack's gradients."""
        if self._formula is None:
            self._plain_step(now)
            return
        values, limit = now
        update = self._formula.update
        if not self.stacked.apart:
            if limit is not None:
                clip([self.stacked.gradient], limit)
            for p, g, others in self._joined_work:
                update(p, g, *others, *values)
            return
        gradients = self.stacked.gradient_segments()
        if limit is not None:
            clip(gradients, limit)
        for p, segment, columns, others in self._work:
            update(p, gradients[segment][:, columns], *others, *values)

    def _roots(self, formula: InPlace, scalars: Any) -> Any:
        """The values that the formula takes, for each step."""
        named = {name: scalars[:, :, i] for i, name in enumerate(self.names)}
        found = [np.broadcast_to(evaluate(root, named), scalars.shape[:2]) for root in formula.roots]
        if not found:
            return [()] * len(scalars)
        if formula.floats:
            return np.stack(found)[:, :, 0].T.tolist()
        return [each.unbind(0) for each in self._tensor(np.stack(found, axis=1)[..., None]).unbind(0)]

    def _plain_step(self, now: Tensor) -> None:
        flat, self.slots = self.pure(self.stacked.flat, self._parts_of_gradient(), self.slots, now)
        self.stacked.flat.copy_(flat)

    def pure(self, flat: Tensor, gradients: list[Tensor], slots: Slots, now: Tensor) -> tuple[Tensor, Slots]:
        """(flat, slots) after a step, nothing changed in place. now: (S, N, 1)."""
        parameters, slots = step(
            self.rule,
            xp,
            self._parts(flat),
            gradients,
            slots,
            self._shaped(now),
            decays=self.stack.decays,
            clips=self.stack.clips,
        )
        return self._joined(flat, parameters), slots

    def _joined(self, flat: Tensor, parts: list[Tensor]) -> Tensor:
        if self.rule.elementwise and not self.stacked.apart:
            return parts[0]
        # The elements between parameters are kept as they are.
        whole = flat.clone()
        for (a, b), part in zip(self.stacked.spans.values(), parts, strict=True):
            whole[:, a:b] = part.reshape(len(flat), -1)
        return whole

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """What the rule is applied to, one after the other."""
        if self.rule.elementwise:
            return [flat[:, a:b] for a, b in self.stacked.segments]
        return list(self.stacked.split(flat).values())

    def _parts_of_gradient(self) -> list[Tensor]:
        return self.stacked.gradient_segments() if self.rule.elementwise else self.stacked.gradients()

    def _shaped(self, now: Tensor) -> Any:
        """rank -> the scalars as attributes, shaped for an array of that rank. now: (S, N, 1)."""
        columns = dict(zip(self.names, now.unbind(0), strict=True))
        made = {2: Scalars(**columns)}

        def shaped(rank: int) -> Scalars:
            if rank not in made:
                shape = (-1, *(1,) * (rank - 1))
                made[rank] = Scalars(**{name: value.reshape(shape) for name, value in columns.items()})
            return made[rank]

        return shaped

    def _tensor(self, values: Any) -> Tensor:
        """Rounded once, from float64."""
        return torch.as_tensor(np.ascontiguousarray(values)).to(self.stacked.flat)

    def _now(self) -> Tensor:
        """The last step's scalars, (S, N, 1)."""
        return self._tensor(self.last.T[..., None])

    # --- slots

    def _start(self, first: Any) -> None:
        """Make the slots before the first step. first: (N, S), its scalars."""
        shaped = self._shaped(self._tensor(first.T[..., None]))
        self.slots = [self.rule.start(xp, p, shaped(p.ndim)) for p in self._parts(self.stacked.flat)]
        self._bind()

    def _bind(self) -> None:
        """Find the formula, and cut the buffers into blocks for it."""
        self._formula, self._work = None, []
        parts = self._parts(self.stacked.flat)
        alike = all(
            slot.shape == p.shape for p, slots in zip(parts, self.slots, strict=True) for slot in slots.values()
        )
        if not self.rule.elementwise or not alike:
            return
        try:
            self._formula = formula = InPlace(
                Formula(self.rule, tuple(self.slots[0]), decays=self.stack.decays), floats=self.floats
            )
        except Untraceable:
            return
        width = max(1, BLOCK // self.stacked.trials)
        widest = min(width, max((p.shape[1] for p in parts), default=0))
        temporaries = [self.stacked.flat.new_empty(self.stacked.trials, widest) for _ in range(formula.temporaries)]
        for i, (p, slots) in enumerate(zip(parts, self.slots, strict=True)):
            for start in range(0, p.shape[1], width):
                columns = slice(start, min(start + width, p.shape[1]))
                own = [slot[:, columns] for slot in slots.values()]
                own += [t[:, : columns.stop - columns.start] for t in temporaries]
                self._work.append((p[:, columns], i, columns, own))
        if not self.stacked.apart:
            gradient = self.stacked.gradient
            self._joined_work = [(p, gradient[:, columns], own) for p, _, columns, own in self._work]

    # --- reading and restoring

    def evaluated(self, flat: Tensor) -> Tensor:
        """The parameters to report, (N, width)."""
        if not self.slots or self.last is None or type(self.rule).evaluated is Rule.evaluated:
            return flat
        shaped = self._shaped(self._now())
        parts = zip(self._parts(flat), self.slots, strict=True)
        return self._joined(flat, [self.rule.evaluated(xp, p, s, shaped(p.ndim)) for p, s in parts])

    def arrays(self) -> dict[str, dict[str, Any]]:
        """slot -> parameter -> (N, …); a slot that a flat buffer holds is cut up as the parameters are. "scalars": of
        the last step, which averages may be read with."""
        found: dict[str, dict[str, Any]] = {}
        if self.last is not None:
            found["scalars"] = {name: self.last[:, i].copy() for i, name in enumerate(self.names)}
        shapes = self.stacked.shapes
        if self.rule.elementwise and not self.stacked.apart:
            for slot, value in (self.slots[0] if self.slots else {}).items():
                found[slot] = to_numpy(self.stacked.split(value))
            return found
        for (name, shape), slots in zip(shapes.items(), self.slots, strict=False):
            for slot, value in slots.items():
                whole = value.reshape(-1, *shape) if self.rule.elementwise else value
                found.setdefault(slot, {})[name] = whole.detach().cpu().numpy().copy()
        return found

    def load(self, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        """The inverse of `arrays`."""
        given = dict(arrays)
        last = given.pop("scalars", None)
        self.last = None if last is None else np.stack([last[name] for name in self.names], axis=1)
        self.slots, self._formula, self._work = [], None, []
        flat = self.stacked.flat
        if not given:
            if last is None:
                return
            self.slots = [{} for _ in self._parts(flat)]  # a rule without slots that has begun
        elif self.rule.elementwise and not self.stacked.apart:
            self.slots = [{slot: torch.zeros_like(flat) for slot in given}]
            for slot, value in self.slots[0].items():
                self.stacked.write(value, given[slot])
        else:
            for name in self.stacked.spans:
                own = {slot: values[name] for slot, values in given.items() if name in values}
                self.slots.append({slot: torch.as_tensor(value).to(flat).clone() for slot, value in own.items()})
            if self.rule.elementwise:
                self.slots = [{slot: v.reshape(len(v), -1) for slot, v in each.items()} for each in self.slots]
        self._bind()


def clip(gradients: list[Tensor], limit: Tensor) -> None:
    """`kit.rules.step.clip` in place: scale the gradients of each trial whose norm exceeds its limit down to it."""
    norm = global_norm(xp, gradients)
    exceeds = norm > limit
    one = torch.ones_like(norm)
    scale = torch.where(exceeds, limit, one) / torch.where(exceeds, norm, one)
    for gradient in gradients:
        gradient.mul_(scale.unsqueeze(1))
