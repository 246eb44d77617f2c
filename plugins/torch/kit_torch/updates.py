"""What turns gradients into new parameters: a rule over the flat buffer, or a native optimizer for each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit.engine import Native, Stack
from kit.rules.rule import Rule
from kit.rules.step import Scalars, step
from kit_torch import namespace as xp
from kit_torch import native
from kit_torch.flat import Stacked, to_numpy


class RuleUpdate:
    """A rule, over one flat buffer where it is elementwise, over each parameter where it is not."""

    closes = False

    def __init__(self, rule: Rule, stacked: Stacked, stack: Stack) -> None:
        self.rule, self.stacked, self.stack = rule, stacked, stack
        self.names = rule.scalar_names()
        self.slots: list[dict[str, Tensor]] = []
        self.now: Tensor | None = None  # the scalars of the last step, (S, N, 1)

    def __call__(self, scalars: Tensor, rates: Any) -> None:
        """One step from `stacked.gradient`. scalars: (S, N, 1)."""
        with torch.no_grad():
            slots = self.started(scalars)
            flat, self.slots = self.pure(self.stacked.flat, self.stacked.gradient, slots, scalars)
            self.stacked.flat.copy_(flat)
        self.now = scalars

    def started(self, scalars: Tensor) -> list[dict[str, Tensor]]:
        """The slots, made before the first step."""
        if not self.slots:
            shaped = self._shaped(scalars)
            self.slots = [self.rule.start(xp, p, shaped(p.ndim)) for p in self._parts(self.stacked.flat)]
        return self.slots

    def pure(self, flat: Tensor, gradient: Tensor, slots: Any, scalars: Tensor) -> tuple[Tensor, Any]:
        """(flat, slots) after a step; nothing is changed in place, so that it can be compiled."""
        parameters, slots = step(
            self.rule,
            xp,
            self._parts(flat),
            self._parts(gradient),
            slots,
            self._shaped(scalars),
            decays=self.stack.decays,
            clips=self.stack.clips,
        )
        if self.rule.elementwise:
            return parameters[0], slots
        return torch.cat([p.reshape(len(flat), -1) for p in parameters], dim=1), slots

    def _parts(self, flat: Tensor) -> list[Tensor]:
        return [flat] if self.rule.elementwise else list(self.stacked.split(flat).values())

    def _shaped(self, scalars: Tensor) -> Any:
        """rank -> the scalars as attributes, shaped for an array of that rank."""
        columns = dict(zip(self.names, scalars.unbind(0), strict=True))
        made = {2: Scalars(**columns)}

        def shaped(rank: int) -> Scalars:
            if rank not in made:
                shape = (-1, *(1,) * (rank - 1))
                made[rank] = Scalars(**{name: value.reshape(shape) for name, value in columns.items()})
            return made[rank]

        return shaped

    def evaluated(self, flat: Tensor) -> Tensor:
        """The parameters to report."""
        if not self.slots or self.now is None:
            return flat
        with torch.no_grad():
            shaped = self._shaped(self.now)
            parts = zip(self._parts(flat), self.slots, strict=True)
            found = [self.rule.evaluated(xp, p, s, shaped(p.ndim)) for p, s in parts]
            return found[0] if self.rule.elementwise else torch.cat([p.reshape(len(flat), -1) for p in found], dim=1)

    def arrays(self) -> dict[str, dict[str, Any]]:
        """slot -> parameter -> (N, …); a slot that a flat buffer holds is cut up as the parameters are."""
        found: dict[str, dict[str, Any]] = {}
        if self.now is not None:
            found["scalars"] = to_numpy(dict(zip(self.names, self.now.squeeze(-1), strict=True)))
        if self.rule.elementwise:
            for slot, value in (self.slots[0] if self.slots else {}).items():
                found[slot] = to_numpy(self.stacked.split(value))
            return found
        for name, slots in zip(self.stacked.spans, self.slots, strict=False):
            for slot, value in slots.items():
                found.setdefault(slot, {})[name] = value.detach().cpu().numpy().copy()
        return found

    def load(self, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        """The inverse of `arrays`."""
        arrays = dict(arrays)
        last = arrays.pop("scalars", None)
        flat = self.stacked.flat
        self.now = None
        if last is not None:
            self.now = torch.stack([torch.as_tensor(last[name]) for name in self.names]).unsqueeze(-1).to(flat)
        if not arrays:
            # A rule without slots holds an empty mapping for each part once it has begun.
            self.slots = [] if self.now is None else [{} for _ in self._parts(flat)]
        elif self.rule.elementwise:
            self.slots = [{slot: self.stacked.joined(values) for slot, values in arrays.items()}]
        else:
            self.slots = [
                {slot: torch.as_tensor(values[name]).to(flat) for slot, values in arrays.items() if name in values}
                for name in self.stacked.spans
            ]


class NativeUpdate:
    """torch.optim's own classes, one object for each member."""

    def __init__(self, optimizer: Native, members: list[dict[str, Any]]) -> None:
        self.optimizers = [
            native.construct(optimizer.build, parameters, options, 1e-3)
            for parameters, options in zip(members, optimizer.options, strict=True)
        ]
        self.closes = _wants_closure(self.optimizers[0])
        self.fresh = [native.state_arrays(optimizer) for optimizer in self.optimizers]  # some begin with a state

    def __call__(self, scalars: Tensor, rates: Any) -> None:
        """One step from the gradients that stand in the members' parameters. rates: (N,)."""
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            native.set_rate(optimizer, float(rate))
            optimizer.step()

    def close(self, views: Any, batch: Any, rates: Any, stacked: Stacked) -> Tensor:
        """One step of optimizers that evaluate the loss themselves, as often as they like. Returns the losses
        before it."""
        losses = []
        for n, (optimizer, rate) in enumerate(zip(self.optimizers, rates, strict=True)):
            native.set_rate(optimizer, float(rate))
            first: list[Tensor] = []

            def closure(n: int = n, first: list[Tensor] = first, optimizer: Any = optimizer) -> Tensor:
                with torch.enable_grad():
                    optimizer.zero_grad()
                    loss = views.member_loss(n, batch)
                    loss.backward()
                first.append(loss.detach())
                return loss

            optimizer.step(closure)
            losses.append(first[0])
        return torch.stack(losses)

    def evaluated(self, flat: Tensor) -> Tensor:
        return flat

    def arrays(self) -> dict[str, dict[str, Any]]:
        """ "native" -> "<parameter's index>/<entry>" -> (N, …). What members hold in different shapes is kept apart."""
        each = [native.state_arrays(optimizer) for optimizer in self.optimizers]
        if not any(each):
            return {}
        alike = all(_shapes(arrays) == _shapes(each[0]) for arrays in each)
        if not alike:
            return {}  # histories of different lengths cannot be stacked: such a stack starts them anew when continued
        return {"native": {key: np.stack([arrays[key] for arrays in each]) for key in each[0]}}

    def load(self, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        given = arrays.get("native")
        for n, optimizer in enumerate(self.optimizers):
            fresh = self.fresh[n] if given is None else {key: values[n] for key, values in given.items()}
            native.restore(optimizer, fresh)


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {key: value.shape for key, value in arrays.items()}


def _wants_closure(optimizer: Any) -> bool:
    """Whether `step` cannot do without a closure: its parameter has no default."""
    import inspect

    parameters = inspect.signature(inspect.unwrap(type(optimizer).step)).parameters
    return "closure" in parameters and parameters["closure"].default is inspect.Parameter.empty
