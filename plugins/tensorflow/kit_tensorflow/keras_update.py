"""An optimizer of Keras inside a compiled loop: its variables become slots, its `apply` a pure function.

In the program's state its variables stand under one slot, "keras", each by its name, in Keras's axes:
`{"keras": {"iteration": (N,), "learning_rate": (N,), "dense_kernel_momentum": (N, 64, 32), …}}`. Members whose options
call for other variables (momentum 0 needs none) have zeros there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kit.engine import State
from kit.errors import InvalidValueError
from kit_tensorflow.environment import keras, tf
from kit_tensorflow.network import Network
from kit_tensorflow.precision import parameter_type
from kit_tensorflow.storage import Storage

Tensor = Any
Array = Any
SLOT = "keras"


class KerasUpdate:
    """A Keras optimizer with its options; the learning rate comes with each step.

    Raises `InvalidValueError` with the class's own words when it cannot be made so.
    """

    constrains = True

    def __init__(self, kind: Any, options: Mapping[str, Any], network: Network) -> None:
        name = getattr(kind, "__name__", str(kind))
        self.kind, self.options, self.network = _functional(kind), options, network
        try:
            self.optimizer = self._built(network.model.trainable_variables)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidValueError(f"optimizer '{name}' cannot be made: {error}") from error
        self.variables = list(self.optimizer.variables)
        rate = getattr(self.optimizer, "_learning_rate", None)
        places = [i for i, variable in enumerate(self.variables) if variable is rate]
        if not places:
            raise InvalidValueError(
                f"optimizer '{name}' has no learning rate that can be set at each step; give a number, not a schedule."
            )
        self.rate_at = places[0]
        self.names = _names(self.variables)

    def _built(self, values: list[Any]) -> Any:
        """A fresh optimizer for parameters of these values, in the model's order and axes."""
        dtype = parameter_type(self.network.dtype).name
        with _floatx(dtype):
            made = self.kind(**self.options)
            made.build(_references(self.network, dtype, values))
        return made

    def start(self, state: State, first: Array) -> dict[str, dict[str, Array]]:
        members = len(first)
        each = [[variable.numpy() for variable in self.variables]] * members
        if any(value.ndim and np.ptp(value) for value in each[0]):
            # It begins from the parameters themselves (an average of them): from the run's own, not the model's.
            each = [
                [variable.numpy() for variable in self._built(self._native(state, n)).variables] for n in range(members)
            ]
        return {SLOT: {name: np.stack([own[i] for own in each]) for i, name in enumerate(self.names)}}

    def _native(self, state: State, n: int) -> list[Array]:
        """One member's parameters in the model's order and axes."""
        layouts = self.network.layouts
        return [np.transpose(state.parameters[found.name][n], np.argsort(found.axes)) for found in layouts]

    def pack(self, slots: Mapping[str, Mapping[str, Array]], storage: Storage) -> list[Array]:
        return [np.asarray(slots[SLOT][name]) for name in self.names]

    def unpack(self, slots: list[Array], storage: Storage) -> dict[str, dict[str, Array]]:
        return {SLOT: {name: np.array(value) for name, value in zip(self.names, slots, strict=True)}}

    def __call__(
        self, parameters: list[Tensor], gradients: list[Tensor], slots: list[Tensor], now: Tensor, storage: Storage
    ) -> tuple[list[Tensor], list[Tensor]]:
        slots = list(slots)
        slots[self.rate_at] = tf.cast(now[:, 0], slots[self.rate_at].dtype)
        if now.shape[0] == 1:
            after = self._of_one(storage.member(parameters), storage.member(gradients), [s[0] for s in slots])
            return storage.stack_of_one(after[0]), [s[None] for s in after[1]]
        together: Any = tf.vectorized_map(
            lambda member: self._of_one(*member),
            (list(parameters), list(gradients), slots),
            fallback_to_while_loop=False,
        )
        return list(together[0]), list(together[1])

    def _of_one(
        self, parameters: list[Tensor], gradients: list[Tensor], slots: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        try:
            after, own = self.optimizer.stateless_apply(list(slots), list(gradients), list(parameters))
        except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
            raise InvalidValueError(
                f"optimizer '{self.optimizer.__class__.__name__}' cannot run as a pure function, which a compiled loop "
                f"needs (gradient accumulation cannot): {error}"
            ) from error
        typed = [tf.cast(now, before.dtype) for now, before in zip(own, slots, strict=True)]
        return [tf.convert_to_tensor(p) for p in after], typed


def _names(variables: list[Any]) -> list[str]:
    """Each variable's name; its number where it has none of its own, or one that it shares."""
    names = [variable.name for variable in variables]
    automatic = [re.fullmatch(r"variable(_\d+)?", name) is not None or names.count(name) > 1 for name in names]
    return [str(i) if auto else name for i, (name, auto) in enumerate(zip(names, automatic, strict=True))]


def _functional(kind: Any) -> Any:
    """The class with Keras's own `apply` in the place of the one for `tf.distribute`, which has no pure form.

    `keras.optimizers.Optimizer` on TensorFlow overrides what `BaseOptimizer` does on every backend with versions that
    need `tf.Variable`s, and a `stateless_apply` that refuses. A class that stands behind the optimizer's own in its
    method resolution, and before those, puts the originals back; whatever the optimizer itself overrides stays.
    """
    bases = {base.__name__: base for base in kind.__mro__}
    if "TFOptimizer" not in bases or "BaseOptimizer" not in bases:
        return kind
    distributed, plain = bases["TFOptimizer"], vars(bases["BaseOptimizer"])
    originals = {name: plain[name] for name in vars(distributed) if name in plain and not name.startswith("__")}
    return type(kind.__name__, (kind, type("Plain", (distributed,), originals)), {})


def _references(network: Network, dtype: str, values: list[Any]) -> list[Any]:
    """The variables that an optimizer is built on: the model's own, or stand-ins of another precision or value."""
    found = []
    for variable, value in zip(network.model.trainable_variables, values, strict=True):
        if variable.dtype != dtype or value is not variable:
            stand_in = keras.Variable(np.asarray(value), dtype=dtype, name=variable.name)
            stand_in._path, stand_in.constraint = variable.path, variable.constraint
            variable = stand_in
        found.append(variable)
    return found


@contextlib.contextmanager
def _floatx(dtype: str) -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
