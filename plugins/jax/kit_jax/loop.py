"""The compiled functions of a kind of stack, without any data: the training loop, the readings, the gradients.

The loop takes as many steps as it is told of those that it has room for; its state is donated, so that a step writes
where the last one read. Everything is compiled once for its shapes, and found again by the next stack of that kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

from kit_jax.criterion import Criterion
from kit_jax.environment import jax, jnp
from kit_jax.feed import Arrays, picked, whole
from kit_jax.native_update import NativeUpdate
from kit_jax.rule_update import RuleUpdate
from kit_jax.stack import over_members

Array = jax.Array
Tree = Any


class Functions:
    """What programs of one kind share. `seconds`: spent on compiling so far."""

    def __init__(self, criterion: Criterion, update: RuleUpdate | NativeUpdate, members: int) -> None:
        self.criterion, self.update, self.members = criterion, update, members
        self.checked: set[Hashable] = set()  # shapes of samples and targets that the model and the loss take
        self.seconds = 0.0
        self._compiled: dict[Hashable, Callable[..., Any]] = {}

    def loop(self, *arguments: Any) -> Any:
        """(steps, scalars, stretch, data, parameters, state) -> parameters, state and readings: name -> (room, N)."""
        return self._call("loop", self._loop, arguments, donated=(4, 5))

    def reading(self, rows: int, *arguments: Any) -> Any:
        """(parameters, data, first): means over `rows` rows from the first on: {"loss": (N,), "accuracy": (N,)}."""

        def read(parameters: Tree, data: Arrays, first: Array) -> Tree:
            x, y = (jax.lax.dynamic_slice_in_dim(v, first, rows, axis=1) for v in (data["x"], data["y"]))
            samples = whole({**data, "x": x, "y": y})
            return over_members(self._read, len(data["blocks"]), self.members // len(data["blocks"]))(
                parameters, samples
            )

        return self._call(("reading", rows), read, arguments)

    def gradients(self, *arguments: Any) -> Any:
        """(parameters, data, given) -> the gradient of the mean loss. given: {"rows"}, {"x", "y"} or {}."""
        return self._call("gradients", self._gradients, arguments)

    # --- what is compiled

    def _member_loss(self, parameters: Tree, samples: Tree) -> Array:
        return self.criterion.loss(parameters, *samples)

    def _loop(
        self, steps: Array, scalars: Array, stretch: Arrays, data: Arrays, parameters: Tree, state: Tree
    ) -> tuple[Tree, Tree, dict[str, Array]]:
        same = None if "rows" in stretch or "x" in stretch else whole(data)

        def step(k: Array, parameters: Tree, state: Tree) -> Tree:
            now = {name: jax.lax.dynamic_index_in_dim(v, k, keepdims=False) for name, v in stretch.items()}
            samples = _samples(now, data, same)
            rates = jax.lax.dynamic_index_in_dim(scalars, k, keepdims=False)
            return self.update.advance(self._member_loss, parameters, state, rates, samples)

        def body(k: Array, carry: Tree) -> Tree:
            parameters, state, readings = carry
            found, parameters, state = step(k, parameters, state)
            return parameters, state, {name: values.at[k].set(found[name]) for name, values in readings.items()}

        shapes = jax.eval_shape(step, 0, parameters, state)[0]
        readings = {name: jnp.zeros((len(scalars), *each.shape), each.dtype) for name, each in shapes.items()}
        return jax.lax.fori_loop(0, steps, body, (parameters, state, readings))

    def _read(self, parameters: Tree, samples: Tree) -> Tree:
        x, y = samples
        output = self.criterion.output(parameters, x)
        found = {"loss": self.criterion.loss_of(output, y)}
        if self.criterion.problem.accuracy is not None:
            found["accuracy"] = self.criterion.accuracy(output, y)
        return found

    def _gradients(self, parameters: Tree, data: Arrays, given: Arrays) -> Tree:
        samples = _samples(given, data, whole(data) if not given else None)
        sets = len(samples[0])
        return over_members(jax.grad(self._member_loss), sets, self.members // sets)(parameters, samples)

    # --- compiling

    def _call(self, name: Hashable, function: Callable[..., Any], arguments: Any, donated: tuple[int, ...] = ()) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        key = (name, structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
        if key not in self._compiled:
            began = time.perf_counter()
            self._compiled[key] = jax.jit(function, donate_argnums=donated).lower(*arguments).compile()
            self.seconds += time.perf_counter() - began
        return self._compiled[key](*arguments)


def _samples(now: Arrays, data: Arrays, same: tuple[Array, Array] | None) -> tuple[Array, Array, Any]:
    """x, y (sets, B, …) of a step, and its draws, or None."""
    noise = {name.removeprefix("noise."): v for name, v in now.items() if name.startswith("noise.")} or None
    if same is not None:
        x, y = same
    else:
        x, y = (now["x"], now["y"]) if "x" in now else picked(data, now["rows"])
    return x, y, noise
