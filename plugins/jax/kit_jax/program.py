"""A compiled stack in JAX: state in and out, steps, evaluation, gradients. See `kit.engine.Program`.

Whatever comes from the host or goes to it is NumPy, with the members in the stack's order; on the device they stand in
the places of `kit_jax.layout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.engine import Problem, Split, Stack, State
from kit_jax.environment import jax
from kit_jax.evaluation import rows_at_once
from kit_jax.feed import Feed, on_device, padded, resident
from kit_jax.layout import Layout
from kit_jax.loop import Functions

Host = np.ndarray[Any, np.dtype[Any]]
Tree = Any
SCALARS = "scalars"  # among the slots of a state: those of the last step, which averages may be read with


class JaxProgram:
    """N trials of one problem. functions: compiled, or to be compiled, for stacks of this kind."""

    strategy = "loop"

    def __init__(self, problem: Problem, stack: Stack, functions: Functions, device: Any) -> None:
        self.problem, self.functions, self.device = problem, functions, device
        self.precision = functions.criterion.precision
        self.timings: dict[str, float] = {}
        self.evaluations: Host | None = None
        self.layout = Layout(stack.replicates)
        self.feed = Feed(problem, self.layout, self.precision, device)
        self.splits = {
            split: resident(block, self.layout.sets(shared=len(block.x) == 1), self.precision, device)
            for split, block in problem.evaluation.items()
        }
        self.parameters: Tree = {}
        self.slots: Tree = None  # None: not begun
        self.last: Host | None = None  # (N, scalars), of the last step, where averages are reported
        self._seconds_before = functions.seconds
        self._rows: int | None = None

    @property
    def compile_seconds(self) -> float:
        return self.functions.seconds - self._seconds_before

    # --- state

    def load(self, state: State) -> None:
        parameters = {name: np.asarray(value, self.precision) for name, value in state.parameters.items()}
        self.parameters = self._placed(parameters)
        given = dict(state.slots)
        last = given.pop(SCALARS, None)
        self.last = None if last is None else np.stack([last[n] for n in self.functions.update.names], axis=1)
        self.slots = self._placed(self.functions.update.restored(given, parameters)) if given else None

    def state(self) -> State:
        slots = {} if self.slots is None else self.functions.update.arrays(self._fetched(self.slots))
        if self.last is not None:
            slots[SCALARS] = {name: self.last[:, i].copy() for i, name in enumerate(self.functions.update.names)}
        return State(parameters=self._fetched(self.parameters), slots=slots)

    def evaluated_parameters(self) -> dict[str, Host]:
        parameters: dict[str, Host] = self._fetched(self.parameters)
        update = self.functions.update
        if self.slots is None or self.last is None:
            return parameters
        return update.evaluated(parameters, self._fetched(self.slots), self.last.astype(self.precision))

    def _placed(self, tree: Tree) -> Tree:
        """On the device, in places."""
        return jax.tree.map(lambda a: jax.device_put(self.layout.placed(a), self.device), tree)

    def _fetched(self, tree: Tree) -> Tree:
        """Copies in NumPy, in the stack's order: the device's own memory is written over by the next step."""
        return jax.tree.map(lambda a: np.array(self.layout.of_members(_host(a))), tree)

    # --- training

    def advance(
        self,
        indices: Any,
        scalars: Any,
        *,
        samples: tuple[Any, Any] | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> Host:
        given = (indices, samples, noise)
        if self.slots is None:
            fetched = self._fetched(self.parameters)
            self.slots = self._placed(self.functions.update.start(fetched, scalars[0].astype(self.precision)))
        rates = scalars[:, self.layout.order]
        room = self.feed.room(rates, *given)
        found = []
        for start in range(0, len(scalars), room):
            part = slice(start, min(start + room, len(scalars)))
            stretch = self.feed.stretch(part, room, *given)
            now = padded(rates[part], room, self.precision)
            steps = np.int32(part.stop - part.start)
            self.parameters, self.slots, readings = self.functions.loop(
                steps, now, stretch, self.feed.data, self.parameters, self.slots
            )
            found.append({name: np.asarray(values)[:steps] for name, values in readings.items()})
        if self.functions.update.averages:
            self.last = scalars[-1].copy()
        joined = {
            name: self.layout.of_members(np.concatenate([each[name] for each in found]), axis=1) for name in found[0]
        }
        self.evaluations = joined["evaluations"].astype(np.int64) if "evaluations" in joined else None
        return joined["loss"].astype(np.float64)

    # --- reading

    def evaluate(self, split: Split) -> dict[str, Host]:
        data = self.splits[split]
        parameters = self.parameters
        if self.functions.update.averages:
            parameters = self._placed(self.evaluated_parameters())
        rows, totals = data["x"].shape[1], dict[str, Any]()
        size = min(rows, self._rows_at_once(data))
        for first in range(0, rows, size):
            taken = min(size, rows - first)
            found = self.functions.reading(taken, parameters, data, np.int32(first))
            for name, values in found.items():
                totals[name] = totals.get(name, 0.0) + np.asarray(values, np.float64) * (taken / rows)
        return {name: self.layout.of_members(value) for name, value in totals.items()}

    def _rows_at_once(self, data: Mapping[str, Any]) -> int:
        if self._rows is None:
            first = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), self.parameters)
            self._rows = rows_at_once(self.functions.criterion, first, data["x"], self.layout.size)
        return self._rows

    def gradients(self, indices: Any, samples: tuple[Any, Any] | None = None) -> dict[str, Host]:
        given: dict[str, Any] = {}
        if indices is not None:
            given["rows"] = np.asarray(indices[self.feed.replicates], np.int32)
        if samples is not None:
            x, y = (on_device(values[self.feed.replicates], self.precision, self.device) for values in samples)
            given = {"x": x, "y": y}
        found: dict[str, Host] = self._fetched(self.functions.gradients(self.parameters, self.feed.data, given))
        return found

    def close(self) -> None:
        self.parameters, self.slots, self.splits, self.feed.data = {}, None, {}, {}


def _host(array: Any) -> Host:
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    return np.asarray(array)
