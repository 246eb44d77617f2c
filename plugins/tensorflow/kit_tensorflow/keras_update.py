"""An optimizer of Keras inside a compiled loop: its variables become slots, its `apply` a pure function.

In the program's state its variables stand under one slot, "keras", each by its name, in Keras's axes:
`{"keras": {"iteration": (N,), "learning_rate": (N,), "dense_kernel_momentum": (N, 64, 32), …}}`. Members whose options
call for other variables (momentum 0 needs none) have zeros there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.engine import Native, State
from kit.errors import InvalidValueError, MemberError
from kit.needs import Needs
from kit_tensorflow import keras_functional
from kit_tensorflow.environment import keras, tf
from kit_tensorflow.network import Network
from kit_tensorflow.precision import floatx, parameter_type
from kit_tensorflow.storage import Storage

Tensor = Any
Array = Any
SLOT = "keras"
START = 1e-3  # a learning rate to make an optimizer with: every step sets its own


class KerasUpdate:
    """A Keras optimizer with its options; the learning rate comes with each step.

    Raises `InvalidValueError` with the class's own words when it cannot be made so.
    """

    constrains = True

    def __init__(self, native: Native, options: Mapping[str, Any], network: Network) -> None:
        self.native, self.options, self.network = native, options, network
        self.name = getattr(native.build, "__name__", str(native.build))
        self._check_needs()
        self.optimizer, self.references = self._made([np.zeros(v.shape, v.dtype) for v in self._variables()])
        self.variables = list(self.optimizer.variables)
        self.names = _names(self.variables)
        self.rates = self._rates()
        other, _ = self._made([np.ones(v.shape, v.dtype) for v in self._variables()])
        pairs = zip(self.variables, other.variables, strict=True)
        # Whether its variables begin at something that depends on where the parameters begin.
        self.follows = any(not np.array_equal(one.numpy(), two.numpy()) for one, two in pairs)

    # --- making

    def _variables(self) -> list[Any]:
        return list(self.network.model.trainable_variables)

    def _check_needs(self) -> None:
        needs = self.native.needs
        plain = Needs(rate=needs.rate, facts=needs.facts)
        if needs != plain or "model" in needs.facts.values():
            raise InvalidValueError(
                f"optimizer '{self.name}' needs {needs.said()}, which Keras's optimizers have no form for."
            )

    def _made(self, values: list[Array]) -> tuple[Any, list[Any]]:
        """(a new optimizer, the variables that it is built on: stand-ins for the model's own, with these values)."""
        dtype = parameter_type(self.network.dtype).name
        build, needs = self.native.build, self.native.needs
        told = {argument: self.native.facts[fact] for argument, fact in needs.facts.items()}
        given = {"learning_rate": START} if _takes_rate(build) else {}
        try:
            with floatx(dtype):
                optimizer = build(**{**given, **told, **self.options})
                references = [_stand_in(v, value, dtype) for v, value in zip(self._variables(), values, strict=True)]
                keras_functional.functional(optimizer).build(references)
                keras_functional.functional(optimizer)  # what was made while building
        except (TypeError, ValueError, AttributeError) as error:
            raise MemberError(f"optimizer '{self.name}' cannot be made: {error}") from error
        return optimizer, references

    def _rates(self) -> list[tuple[int, float]]:
        """The places of the learning rates among the variables, each in terms of the experiment's."""
        found = []
        for each in keras_functional.within(self.optimizer):
            rate = getattr(each, "_learning_rate", None)
            found += [(i, float(rate.numpy())) for i, variable in enumerate(self.variables) if variable is rate]
        base = START if _takes_rate(self.native.build) else next((rate for _, rate in found if rate), 0.0)
        shares = [(i, rate / base) for i, rate in found if rate]
        if not shares:
            raise InvalidValueError(
                f"optimizer '{self.name}' has no learning rate that can be set at each step; give a number, not a "
                "schedule."
            )
        return [(i, 1.0 if abs(share - 1) < 1e-6 else share) for i, share in shares]

    def start(self, state: State, first: Array) -> dict[str, dict[str, Array]]:
        members = range(len(first))
        if self.follows:
            each = [self._first_values(state, n) for n in members]
        else:
            each = [[variable.numpy() for variable in self.variables]] * len(members)
        return {SLOT: {name: np.stack(values) for name, *values in zip(self.names, *each, strict=True)}}

    def _first_values(self, state: State, member: int) -> list[Array]:
        values = [
            np.transpose(state.parameters[layout.name][member : member + 1], layout.to_native)[0]
            for layout in self.network.layouts
        ]
        return [variable.numpy() for variable in self._made(values)[0].variables]

    # --- slots

    def pack(self, slots: Mapping[str, Mapping[str, Array]], storage: Storage) -> list[Array]:
        return [np.asarray(slots[SLOT][name]) for name in self.names]

    def unpack(self, slots: list[Array], storage: Storage) -> dict[str, dict[str, Array]]:
        return {SLOT: {name: np.array(value) for name, value in zip(self.names, slots, strict=True)}}

    def evaluated(self, parameters: Mapping[str, Array], slots: Mapping[str, Array]) -> dict[str, Array]:
        """The parameters to report, canonical, (N, *shape): the averages where the optimizer keeps them (`use_ema`).

        slots: name -> (N, …).
        """
        found = dict(parameters)
        places = {id(variable): name for variable, name in zip(self.variables, self.names, strict=True)}
        layouts = {id(variable): layout for variable, layout in zip(self.references, self.network.layouts, strict=True)}
        for each in keras_functional.within(self.optimizer):
            if not getattr(each, "use_ema", False):
                continue
            taken = slots[places[id(each._iterations)]]  # (N,)
            pairs = zip(each._trainable_variables, each._model_variables_moving_average, strict=True)
            for variable, average in pairs:
                if average is not None:
                    layout = layouts[id(variable)]
                    value = slots[places[id(average)]].transpose(layout.to_canonical)
                    begun = (taken > 0).reshape(-1, *[1] * (value.ndim - 1))
                    found[layout.name] = np.where(begun, value, found[layout.name])
        return found

    # --- in the graph

    def __call__(
        self, parameters: list[Tensor], gradients: list[Tensor], slots: list[Tensor], now: Tensor, storage: Storage
    ) -> tuple[list[Tensor], list[Tensor]]:
        slots = list(slots)
        for place, share in self.rates:
            rate = now[:, 0] if share == 1.0 else now[:, 0] * share
            slots[place] = tf.cast(rate, slots[place].dtype)
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
            factor = keras_functional.scale(self.optimizer, slots)
            if tf.is_tensor(factor) or factor != 1.0:  # the optimizer divides by it again
                gradients = [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]
            after, own = self.optimizer.stateless_apply(list(slots), list(gradients), list(parameters))
        except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
            raise InvalidValueError(
                f"optimizer '{self.name}' cannot run as a pure function, which a compiled loop needs: {error}"
            ) from error
        typed = [tf.cast(now, before.dtype) for now, before in zip(own, slots, strict=True)]
        return [tf.convert_to_tensor(p) for p in after], typed


def _names(variables: list[Any]) -> list[str]:
    """Each variable's name; its number where it has none of its own, or one that it shares."""
    names = [variable.name for variable in variables]
    automatic = [re.fullmatch(r"variable(_\d+)?", name) is not None or names.count(name) > 1 for name in names]
    return [str(i) if auto else name for i, (name, auto) in enumerate(zip(names, automatic, strict=True))]


def _takes_rate(build: Any) -> bool:
    parameters = inspect.signature(build).parameters
    return "learning_rate" in parameters


def _stand_in(variable: Any, value: Array, dtype: str) -> Any:
    """What the optimizer is built on: a variable with the model's path, constraint and shape, but its own value."""
    stand_in = keras.Variable(value, dtype=dtype, name=variable.name)
    stand_in._path, stand_in.constraint = variable.path, variable.constraint
    return stand_in
