"""Everything about a stack that its strategies share: the criterion, who trains on which samples, what cannot work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kit.engine import Block, Native, Problem, Stack, State
from kit.errors import InvalidValueError, KitError
from kit.rules.rule import Rule
from kit_tensorflow.criterion import Criterion
from kit_tensorflow.environment import tf
from kit_tensorflow.feed import Feed, Mode, Table, cast
from kit_tensorflow.keras_update import SLOT
from kit_tensorflow.precision import parameter_type
from kit_tensorflow.storage import Storage
from kit_tensorflow.strategies import ALL, GRAPH, Gradients, Strategy
from kit_tensorflow.strategies.accumulated import AccumulatedGradients
from kit_tensorflow.strategies.batched import BatchedGradients
from kit_tensorflow.strategies.single import FLAT_LIMIT, SingleGradients
from kit_tensorflow.strategies.vectorized import VectorizedGradients
from kit_tensorflow.update import Update
from kit_tensorflow.workshop import Workshop, options_key

STACK_BYTES = 2**31  # what the activations of a stack may take before its members train one after another


class Plan:
    """A problem, an optimizer and a stack on one device, in one precision. Made without building the model."""

    def __init__(self, problem: Problem, optimizer: Rule | Native, stack: Stack, workshop: Workshop) -> None:
        self.problem, self.optimizer, self.stack, self.workshop = problem, optimizer, stack, workshop
        self.device, self.dtype = workshop.device, workshop.dtype
        self.precision = parameter_type(self.dtype)
        self.replicates = [int(r) for r in stack.replicates]
        self._tables: dict[int, Table] = {}

    @property
    def criterion(self) -> Criterion:
        return self.workshop.criterion

    def table(self, block: Block) -> Table:
        """A block on the device; one that serves for training and evaluation lies there once."""
        if id(block) not in self._tables:
            with tf.device(self.device):
                self._tables[id(block)] = Table(block, self.precision)
        return self._tables[id(block)]

    def close(self) -> None:
        """Give back the data's memory on the device."""
        self._tables.clear()

    def check(self) -> None:
        """Raise `InvalidValueError` where the model's output does not fit the loss. Computes nothing."""
        block = self.problem.train or next(iter(self.problem.evaluation.values()), None)
        if block is None:
            return
        network = self.criterion.network
        x, y = (cast(a[0, :2], self.precision) for a in (block.x, block.y))
        specs = [tf.TensorSpec(a.shape, a.dtype) for a in (x, y)]
        specs += [tf.TensorSpec(layout.native_shape, self.precision) for layout in network.layouts]
        specs += [tf.TensorSpec(v.shape, v.dtype) for v in network.buffer_variables]
        if tuple(specs) in self.workshop.checked:
            return

        def loss(x: Any, y: Any, *state: Any) -> Any:
            count = len(network.layouts)
            return self.criterion.mean(state[:count], state[count:], x, y, None, training=False)[0]

        try:
            tf.function(loss, autograph=False).get_concrete_function(*specs)
        except KitError:
            raise
        except Exception as error:
            if not network.own:
                raise
            shape = tuple(block.x.shape[2:])
            raise InvalidValueError(
                f"model '{network.model.name}' cannot take samples of shape {shape}: {error}"
            ) from error
        self.workshop.checked.add(tuple(specs))

    def refusals(self) -> dict[str, str]:
        """Strategy -> why it cannot train this stack; those that can are not in it."""
        return {s.name: reason for s in ALL if (reason := self._refusal(s))}

    def _refusal(self, strategy: Strategy) -> str:
        problem, native = self.problem, isinstance(self.optimizer, Native)
        if problem.activation_checkpointing and strategy is not GRAPH:
            return "activation_checkpointing trains member by member, and XLA would take both passes for one"
        if strategy.kind == "single":
            return ""
        if strategy.kind == "batched":
            if native:
                return "an optimizer of Keras takes Keras's parameters"
            if problem.model_object is not None or not hasattr(problem.build_model, "stacked"):
                return "the model has no form for stacks"
            if not hasattr(problem.build_loss, "columns"):
                return "the loss has no form for stacks"
        elif self.stack.size == 1:
            return "there is one member only"
        elif native and len({options_key(options) for options in self._native.options}) > 1:
            return "the members' optimizers differ in more than their learning rates"
        return ""

    @property
    def _native(self) -> Native:
        assert isinstance(self.optimizer, Native)
        return self.optimizer

    def too_large(self, batch: int) -> bool:
        """Whether all members' activations at once are too much memory, estimated from the widest layer."""
        widest = max(
            (layout.native_shape[-1] for layout in self.criterion.network.layouts if layout.native_shape), default=1
        )
        units = max(math.prod(self.problem.inputs.shape[:-1]) * widest, math.prod(self.problem.inputs.shape))
        held = -(-batch // self.problem.gradient_accumulation)
        return 8 * 4 * units * held * self.stack.size > STACK_BYTES

    def update(self, member: int) -> Update:
        return self.workshop.update(self._native.options[member] if isinstance(self.optimizer, Native) else None)

    def first_slots(self, state: State, first: Any) -> dict[str, dict[str, Any]]:
        """`State.slots` before the first step. first: (N, S), the scalars of that step."""
        members = range(self.stack.size)
        if len({self.alike(n) for n in members}) == 1:
            return self.update(0).start(state, first)
        return together([self.update(n).start(state, first[n : n + 1]) for n in members])

    def evaluated(self, state: State) -> dict[str, Any]:
        """The parameters to report of a stack of Keras optimizers: their averages where they keep them."""
        slots = state.slots.get(SLOT)
        if not slots:
            return state.parameters
        each = []
        for n in range(self.stack.size):
            parameters, own = ({name: v[n : n + 1] for name, v in part.items()} for part in (state.parameters, slots))
            each.append(self.update(n).evaluated(parameters, own))  # type: ignore[attr-defined]
        return {name: np.concatenate([part[name] for part in each]) for name in state.parameters}

    def alike(self, member: int) -> Any:
        """Equal for members that one compiled loop can serve."""
        return options_key(self._native.options[member]) if isinstance(self.optimizer, Native) else None

    def order(self, strategy: Strategy) -> list[int]:
        """The members of a strategy's one group, those of a replicate together where that is of use."""
        members = list(range(self.stack.size))
        return sorted(members, key=lambda n: self.replicates[n]) if strategy.kind == "batched" else members

    def sets(self, members: list[int], *, evenly: bool) -> tuple[int, ...]:
        """The replicates whose samples some members need: each once where that serves, else one for every member.

        evenly: the members of each replicate stand together, and may share if they are equally many.
        """
        own = [self.replicates[n] for n in members]
        distinct = sorted(set(own))
        if len(distinct) == 1:
            return (distinct[0],)
        if evenly and len({own.count(r) for r in distinct}) == 1:
            return tuple(distinct)
        return tuple(own)

    def gradients(self, strategy: Strategy, sets: tuple[int, ...]) -> Gradients:
        whole, count = self._gradients(strategy, sets), self.problem.gradient_accumulation
        return whole if count == 1 else AccumulatedGradients(whole, count, axis=0 if len(sets) == 1 else 1)

    def _gradients(self, strategy: Strategy, sets: tuple[int, ...]) -> Gradients:
        if strategy.kind == "batched":
            return BatchedGradients(self.workshop.problem, self.dtype, len(sets))
        if strategy.kind == "vectorized":
            return VectorizedGradients(self.criterion, shared=len(sets) == 1)
        numbers = sum(math.prod(layout.native_shape) for layout in self.criterion.network.layouts)
        elementwise = isinstance(self.optimizer, Rule) and self.optimizer.elementwise
        constrained = any(self.criterion.network.constraints)
        return SingleGradients(self.criterion, flat=elementwise and not constrained and numbers <= FLAT_LIMIT)

    def storage(self, gradients: Gradients) -> Storage:
        return Storage(self.criterion.network.layouts, gradients.form, self.precision)

    def feed(self, sets: tuple[int, ...], chunk: Any) -> Feed:
        """The batches of a loop, in the shapes of a chunk (`kit_tensorflow.feed.Chunk`)."""
        noise, precision = tuple((name, tuple(shape)) for name, shape in self.problem.noise), self.precision.name
        if chunk.samples is not None:
            x, y = (cast(a[:0], self.precision) for a in chunk.samples)
            kinds = ((x.shape[3:], x.dtype.name), (y.shape[3:], y.dtype.name))
            return Feed("streamed", sets, x.shape[2], *kinds, 0, noise, precision)
        block = self.problem.train
        assert block is not None
        table = self.table(block)
        kinds = tuple((tuple(t.shape[1:]), t.dtype.name) for t in (table.x, table.y))
        mode: Mode = "full" if chunk.indices is None else "resident"
        batch = table.rows if chunk.indices is None else chunk.indices.shape[2]
        return Feed(mode, sets, batch, *kinds, int(table.x.shape[0]), noise, precision)


def together(parts: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The slots of some members behind those of others; zeros where a member has no such slot."""
    shapes = {(slot, name): value for part in parts for slot, named in part.items() for name, value in named.items()}
    sizes = [len(next(iter(next(iter(part.values())).values()))) if part else 0 for part in parts]
    found: dict[str, dict[str, Any]] = {}
    for (slot, name), like in shapes.items():
        values = [
            part[slot][name] if name in part.get(slot, {}) else np.zeros((size, *like.shape[1:]), like.dtype)
            for part, size in zip(parts, sizes, strict=True)
        ]
        found.setdefault(slot, {})[name] = np.concatenate(values)
    return found
