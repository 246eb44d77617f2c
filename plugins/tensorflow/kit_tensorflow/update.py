"""One update of a stack inside a compiled loop: by a rule of the kit, or by an optimizer of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from kit.engine import State
from kit.rules import numpy_namespace
from kit.rules.rule import Rule
from kit.rules.step import Scalars, scalars, step
from kit_tensorflow import xp
from kit_tensorflow.environment import tf
from kit_tensorflow.storage import Storage

Tensor = Any
Array = Any
Slots = Any  # a tree of dictionaries and lists of arrays, the members in front of each


class Update(Protocol):
    """What a loop needs of an optimizer. Slots are a tree, as arrays in NumPy and as tensors in a graph."""

    constrains: bool  # whether it applies the model's own constraints itself

    def start(self, state: State, first: Array) -> dict[str, dict[str, Array]]:
        """`State.slots` before the first step. first: (N, S), the scalars of that step."""

    def pack(self, slots: Mapping[str, Mapping[str, Array]], storage: Storage) -> Slots:
        """From `State.slots`."""

    def unpack(self, slots: Slots, storage: Storage) -> dict[str, dict[str, Array]]:
        """To `State.slots`."""

    def __call__(
        self, parameters: list[Tensor], gradients: list[Tensor], slots: Slots, now: Tensor, storage: Storage
    ) -> tuple[list[Tensor], Slots]:
        """now: (members, scalars), of this step."""


class RuleUpdate:
    """A rule: elementwise ones on whatever form the parameters have, matrix rules on the canonical one."""

    constrains = False

    def __init__(self, rule: Rule, decays: bool, clips: bool) -> None:
        self.rule, self.decays, self.clips = rule, decays, clips

    def start(self, state: State, first: Array) -> dict[str, dict[str, Array]]:
        """`State.slots` before the first step. first: (N, S), the scalars of that step."""
        found: dict[str, dict[str, Array]] = {}
        names = self.rule.scalar_names()
        for name, p in state.parameters.items():
            h = scalars(numpy_namespace, names, first.astype(p.dtype), p.ndim)
            for slot, value in self.rule.start(numpy_namespace, p, h).items():
                found.setdefault(slot, {})[name] = value
        return found

    def pack(self, slots: Mapping[str, Mapping[str, Array]], storage: Storage) -> Slots:
        if self.rule.elementwise:
            packed = {slot: storage.pack(named) for slot, named in slots.items()}
            return [{slot: packed[slot][i] for slot in slots} for i in range(len(storage.shapes(1)))]
        return [
            {
                slot: np.asarray(named[layout.name], storage.dtype)
                for slot, named in slots.items()
                if layout.name in named
            }
            for layout in storage.layouts
        ]

    def unpack(self, slots: Slots, storage: Storage) -> dict[str, dict[str, Array]]:
        if self.rule.elementwise:
            return {slot: storage.unpack([each[slot] for each in slots]) for slot in slots[0]}
        found: dict[str, dict[str, Array]] = {}
        for layout, each in zip(storage.layouts, slots, strict=True):
            for slot, value in each.items():
                found.setdefault(slot, {})[layout.name] = np.array(value)
        return found

    def __call__(
        self, parameters: list[Tensor], gradients: list[Tensor], slots: Slots, now: Tensor, storage: Storage
    ) -> tuple[list[Tensor], Slots]:
        if not self.rule.elementwise:
            parameters, gradients = storage.canonical(parameters), storage.canonical(gradients)
        names = self.rule.scalar_names()
        columns = tf.split(now, len(names), axis=1)  # (members, 1): what a flat buffer takes as it is
        shaped: dict[int, Scalars] = {}

        def of_rank(rank: int) -> Scalars:
            if rank not in shaped:
                shape = (-1,) + (1,) * (rank - 1)
                values = columns if rank == 2 else [tf.reshape(column, shape) for column in columns]
                shaped[rank] = Scalars(**dict(zip(names, values, strict=True)))
            return shaped[rank]

        parameters, slots = step(
            self.rule, xp, parameters, gradients, slots, of_rank, decays=self.decays, clips=self.clips
        )
        return (parameters if self.rule.elementwise else storage.from_canonical(parameters)), slots


def evaluated(rule: Rule, state: State, last: Array | None) -> dict[str, Array]:
    """The parameters to report, canonical. last: (N, S), the scalars of the last step."""
    if type(rule).evaluated is Rule.evaluated or not state.slots:
        return state.parameters
    names = rule.scalar_names()
    found = {}
    for name, p in state.parameters.items():
        now = np.full((len(p), len(names)), np.nan) if last is None else last
        h = scalars(numpy_namespace, names, now.astype(p.dtype), p.ndim)
        slots = {slot: named[name] for slot, named in state.slots.items() if name in named}
        found[name] = rule.evaluated(numpy_namespace, p, slots, h)
    return found
