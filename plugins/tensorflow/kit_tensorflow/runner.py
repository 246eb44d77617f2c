"""A stack on the device under one strategy: groups of members, each with its state and a compiled loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kit.engine import State
from kit_tensorflow.environment import quiet, tf
from kit_tensorflow.feed import Chunk, Feed, handed, pad
from kit_tensorflow.loop import Loop
from kit_tensorflow.plan import Plan, together
from kit_tensorflow.storage import Storage
from kit_tensorflow.strategies import Strategy
from kit_tensorflow.update import Update

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Group:
    """Members that one call advances."""

    members: list[int]
    feed: Feed
    loop: Loop
    state: list[Tensor] = field(default_factory=list)  # flat


class Runner:
    """A strategy at work. chunk: the first steps' batches, for their shapes; state: where the stack starts."""

    def __init__(self, plan: Plan, strategy: Strategy, chunk: Chunk, state: State, scalars: int) -> None:
        self.plan, self.strategy = plan, strategy
        alone = strategy.kind == "single"
        member_lists = [[n] for n in range(plan.stack.size)] if alone else [plan.order(strategy)]
        self.groups: list[Group] = []
        for members in member_lists:
            sets = plan.sets(members, evenly=strategy.kind == "batched")
            feed = plan.feed(sets, chunk)
            # Which replicates the sets are does not matter to the loop, only how many.
            numbered = replace(feed, sets=tuple(range(len(sets))))
            key = (strategy, plan.alike(members[0]), len(members), numbered, scalars)
            if key not in plan.workshop.loops:
                gradients, update = plan.gradients(strategy, sets), plan.update(members[0])
                storage = plan.storage(gradients)
                packed = self._pack(state, members, update, storage)
                plan.workshop.loops[key] = Loop(
                    gradients, update, storage, numbered, packed, scalars, jit=strategy.jit, device=plan.device
                )
            self.groups.append(Group(members, feed, plan.workshop.loops[key]))
        self.loops = list({id(group.loop): group.loop for group in self.groups}.values())
        self.load(state)

    def _pack(self, state: State, members: list[int], update: Update, storage: Storage) -> Any:
        """The tree of a group's arrays: parameters, slots, buffers."""
        parameters = storage.pack({name: value[members] for name, value in state.parameters.items()})
        slots = {slot: {n: v[members] for n, v in named.items()} for slot, named in state.slots.items()}
        buffers = self.plan.criterion.network.buffers_of(state.buffers, members)
        return parameters, update.pack(slots, storage), buffers

    def load(self, state: State) -> None:
        """Set parameters, slots and buffers, canonical, of all members."""
        with tf.device(self.plan.device):
            for group in self.groups:
                packed = self._pack(state, group.members, group.loop.update, group.loop.storage)
                group.state = [tf.convert_to_tensor(np.ascontiguousarray(a)) for a in tf.nest.flatten(packed)]

    def state(self, groups: Sequence[Group] | None = None) -> State:
        """The state of all members, or of some groups, in the order of their members' numbers."""
        chosen = list(groups or self.groups)
        found = [self._unpack(group) for group in chosen]
        numbers = [n for group in chosen for n in group.members]
        places = np.argsort(numbers)

        def joined(parts: list[Array]) -> Array:
            return np.concatenate(parts)[places]

        first = found[0]
        return State(
            parameters={name: joined([s.parameters[name] for s in found]) for name in first.parameters},
            slots={
                slot: {name: value[places] for name, value in named.items()}
                for slot, named in together([s.slots for s in found]).items()
            },
            buffers={name: joined([s.buffers[name] for s in found]) for name in first.buffers},
        )

    def _unpack(self, group: Group) -> State:
        arrays = [tensor.numpy() for tensor in group.state]
        parameters, slots, buffers = tf.nest.pack_sequence_as(group.loop.structure, arrays)
        names = self.plan.criterion.network.buffers
        return State(
            parameters=group.loop.storage.unpack(parameters),
            slots=group.loop.update.unpack(slots, group.loop.storage),
            buffers={name: np.array(value) for name, value in zip(names, buffers, strict=True)},
        )

    def prepare(self, chunk: Chunk, scalars: Array) -> float:
        """Trace and compile, by a call of no steps. Returns the seconds that it took."""
        began = time.perf_counter()
        with quiet():
            for loop in self.loops:
                group = next(group for group in self.groups if group.loop is loop)
                loop(0, self._tensors(group, chunk, scalars, 0, 0, {}), group.state)
        return time.perf_counter() - began

    def advance(self, chunk: Chunk, scalars: Array, groups: Sequence[Group] | None = None) -> Array:
        """Take steps with all groups or some: the losses (K, members of the groups in their order)."""
        chosen = list(groups or self.groups)
        losses = np.empty((len(scalars), sum(len(group.members) for group in chosen)))
        capacity = self.loops[0].capacity
        for first in range(0, len(scalars), capacity):
            last, column = min(first + capacity, len(scalars)), 0
            shared: dict[Any, list[Tensor]] = {}
            for group in chosen:
                tensors = self._tensors(group, chunk, scalars, first, last, shared)
                found, group.state = group.loop(last - first, tensors, group.state)
                losses[first:last, column : column + len(group.members)] = found
                column += len(group.members)
        numbers = [n for group in chosen for n in group.members]
        return losses[:, np.argsort(numbers)]

    def _tensors(
        self, group: Group, chunk: Chunk, scalars: Array, first: int, last: int, shared: dict[Any, list[Tensor]]
    ) -> list[Tensor]:
        """The scalars' and the feed's tensors for some steps. shared: the feed's, made once for each set of samples."""
        feed, padded = group.feed, group.loop.padded
        with tf.device(self.plan.device):
            if feed.sets not in shared:
                table = None if self.plan.problem.train is None else self.plan.table(self.plan.problem.train)
                stepwise = [handed(a, self.plan.device) for a in chunk.arrays(feed, table, first, last, padded)]
                if feed.mode == "full":
                    assert table is not None
                    stepwise = [*table.whole(feed.sets), *stepwise]
                elif feed.mode == "resident":
                    assert table is not None
                    stepwise[1:1] = [table.x, table.y]
                shared[feed.sets] = stepwise
            own = scalars[first:last, group.members].astype(self.plan.precision)
            return [tf.constant(pad(own, padded)), *shared[feed.sets]]
