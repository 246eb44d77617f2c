"""A model as a pure function of its parameters: what every strategy differentiates."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kit.engine import Dtype, Problem
from kit.errors import InvalidValueError
from kit_tensorflow import layout, own_models
from kit_tensorflow.checkpointing import recomputing
from kit_tensorflow.environment import keras, tf
from kit_tensorflow.precision import building

Tensor = Any


class Network:
    """The model of a problem, in a precision.

    layouts: of the trainable variables, in Keras's order. buffers: the names of the others (moving means, the state of
    the model's own random numbers).
    """

    def __init__(self, problem: Problem, dtype: Dtype) -> None:
        self.dtype, self.inputs = dtype, problem.inputs
        self.again = problem.activation_checkpointing
        self.own = problem.model_object is not None
        if self.own:
            self.model = own_models.make(problem.model_object, problem.inputs, dtype)
        else:
            with building(dtype):
                self.model = problem.build_model(inputs=problem.inputs, **problem.model_options)
        if problem.parameters is None:
            self.layouts = layout.own(self.model.trainable_variables, self.model)
        else:
            self.layouts = [layout.canonical(v, self.model.name) for v in self.model.trainable_variables]
            _check_canonical(self.layouts, problem)
        self.buffers = [found.name for found in layout.own(self.model.non_trainable_variables, self.model)]
        self.buffer_variables = self.model.non_trainable_variables
        self.constraints = [v.constraint for v in self.model.trainable_variables]
        self._takes_noise = "noise" in inspect.signature(self.model.call).parameters

    @property
    def names(self) -> list[str]:
        return [found.name for found in self.layouts]

    def buffers_of(self, named: Mapping[str, Any], members: Any = slice(None)) -> list[Any]:
        """Some members' buffers, in the model's order and types, from those of all, name -> (N, …)."""
        pairs = zip(self.buffers, self.buffer_variables, strict=True)
        return [np.asarray(named[name], variable.dtype)[members] for name, variable in pairs]

    def apply(
        self,
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
        x: Tensor,
        noise: Mapping[str, Tensor] | None,
        *,
        training: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One member's output (samples, …), its buffers after the call, and its penalties (regularizers), scalars.

        parameters: in Keras's order and axes.
        """
        given: dict[str, Any] = {"training": training}
        if noise and self._takes_noise:
            given["noise"] = dict(noise)
        variables = [*self.model.trainable_variables, *self.buffer_variables]
        values = zip(variables, [*parameters, *buffers], strict=True)
        # As `stateless_call`, but through `__call__`, which tells the layers inside whether this is training
        # and casts what comes in; `stateless_call` does neither.
        with keras.StatelessScope(state_mapping=list(values), collect_losses=True) as scope:
            with recomputing(self.model, scope) if training and self.again else contextlib.nullcontext():
                output = self.model(x, **given)
            penalties = [tf.convert_to_tensor(penalty) for penalty in self.model.losses]
        after = [scope.get_current_value(variable) for variable in self.buffer_variables]
        if not tf.is_tensor(output):
            raise InvalidValueError(
                f"model '{self.model.name}' must give one tensor of outputs; it gives {type(output).__name__}."
            )
        if self.dtype == "bfloat16":  # losses are computed on what was computed in bfloat16, not in it
            output, penalties = tf.cast(output, tf.float32), [tf.cast(p, tf.float32) for p in penalties]
        after = [tf.cast(now, before.dtype) for now, before in zip(after, buffers, strict=True)]
        return output, after, penalties


def _check_canonical(layouts: list[layout.Layout], problem: Problem) -> None:
    assert problem.parameters is not None
    found = {layout.name: layout.shape for layout in layouts}
    expected = {spec.name: tuple(spec.shape) for spec in problem.parameters}
    if found != expected:
        raise InvalidValueError(
            f"The model's parameters {found} are not those of its architecture, {expected}; "
            "a plugin's model must name its layers so that they are."
        )
