"""The kit's rules at work: `kit.rules.step` over all parameters of a stack, with JAX's arrays in the compiled loop and
NumPy's outside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kit.engine import Stack
from kit.rules import numpy_namespace
from kit.rules.rule import Rule
from kit.rules.step import scalars, step
from kit_jax import xp
from kit_jax.environment import jax
from kit_jax.stack import over_members

Array = jax.Array
Host = np.ndarray[Any, np.dtype[Any]]
Tree = Any


class RuleUpdate:
    """State of the optimizer: {parameter: {slot: (N, …)}}."""

    def __init__(self, rule: Rule, stack: Stack) -> None:
        self.rule, self.decays, self.clips, self.members = rule, stack.decays, stack.clips, stack.size
        self.names = rule.scalar_names()

    # --- in the compiled loop

    def advance(
        self,
        member_loss: Callable[..., Array],
        parameters: dict[str, Array],
        slots: Tree,
        now: Array,
        samples: Tree,
    ) -> tuple[dict[str, Array], dict[str, Array], Tree]:
        """One step of all members: readings (N,), parameters, slots.

        member_loss(parameters, samples): of one; now: (N, scalars); samples: (sets, …).
        """
        sets = len(samples[0])
        both = over_members(jax.value_and_grad(member_loss), sets, self.members // sets)
        losses, found = both(parameters, samples)
        after, slots_after = step(
            self.rule,
            xp,
            list(parameters.values()),
            [found[name] for name in parameters],
            [slots[name] for name in parameters],
            lambda rank: scalars(xp, self.names, now, rank),
            decays=self.decays,
            clips=self.clips,
        )
        named = (dict(zip(parameters, each, strict=True)) for each in (after, slots_after))
        return {"loss": losses}, *named

    # --- outside it, in NumPy

    def start(self, parameters: Mapping[str, Host], first: Host) -> Tree:
        """The slots before the first step; first: (N, scalars)."""

        def shaped(rank: int) -> Any:
            return scalars(numpy_namespace, self.names, first, rank)

        return {name: self.rule.start(numpy_namespace, p, shaped(p.ndim)) for name, p in parameters.items()}

    def evaluated(self, parameters: dict[str, Host], slots: Tree, last: Host) -> dict[str, Host]:
        """The parameters to report. last: (N, scalars), of the last step."""
        return {
            name: np.asarray(
                self.rule.evaluated(numpy_namespace, p, slots[name], scalars(numpy_namespace, self.names, last, p.ndim))
            )
            for name, p in parameters.items()
        }

    @property
    def averages(self) -> bool:
        """Whether the parameters to report are others than those trained."""
        return type(self.rule).evaluated is not Rule.evaluated

    def arrays(self, slots: Tree) -> dict[str, dict[str, Host]]:
        """As a `State` holds them: slot -> parameter -> (N, …)."""
        found: dict[str, dict[str, Host]] = {}
        for name, own in slots.items():
            for slot, value in own.items():
                found.setdefault(slot, {})[name] = value
        return found

    def restored(self, arrays: Mapping[str, Mapping[str, Host]], parameters: Mapping[str, Host]) -> Tree:
        """The inverse of `arrays`."""
        return {
            name: {slot: np.asarray(values[name]) for slot, values in arrays.items() if name in values}
            for name in parameters
        }
