"""An optimizer of Keras as a pure function of its variables: `stateless_apply` for all of them, within a compiled loop.

`keras.optimizers.Optimizer` on TensorFlow overrides what `BaseOptimizer` does on every backend with versions for
`tf.distribute` that need `tf.Variable`s, and its accumulation of gradients and its overwriting by averages assign in
the branches of a condition, which has no pure form. A class that stands behind the optimizer's own in its method
resolution, and before those, puts the originals back and writes the conditions as selections; whatever the optimizer
itself overrides stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kit_tensorflow.environment import keras, tf

Tensor = Any


def functional(optimizer: Any) -> Any:
    """The optimizer itself, and those within it, with classes whose `apply` is pure."""
    for each in within(optimizer):
        kind = type(each)
        if not getattr(kind, "kit_functional", False):
            each.__class__ = _functional_class(kind)
            if getattr(each, "built", False):  # its variables were found by their handles; now by themselves
                numbered = enumerate(each._trainable_variables)
                each._trainable_variables_indices = {id(variable): i for i, variable in numbered}
    return optimizer


def within(optimizer: Any) -> Iterator[Any]:
    """An optimizer and those that it wraps (`LossScaleOptimizer`, `MultiOptimizer`), outermost first."""
    yield optimizer
    inner = getattr(optimizer, "inner_optimizer", None)
    for each in [*([inner] if inner is not None else []), *getattr(optimizer, "_inner_optimizers", [])]:
        yield from within(each)


def _functional_class(kind: Any) -> Any:
    bases = {base.__name__: base for base in kind.__mro__}
    if "TFOptimizer" not in bases or "BaseOptimizer" not in bases:
        return kind
    distributed, plain = bases["TFOptimizer"], vars(bases["BaseOptimizer"])
    originals = {name: plain[name] for name in vars(distributed) if name in plain and not name.startswith("__")}
    originals["_backend_apply_gradients"] = _apply
    return type(kind.__name__, (kind, type("Plain", (distributed,), originals)), {"kit_functional": True})


def _apply(self: Any, gradients: list[Tensor], variables: list[Any]) -> None:
    """`BaseOptimizer._backend_apply_gradients` without conditions: the same update, accumulation and averages."""
    if self.gradient_accumulation_steps:
        _accumulate(self, gradients, variables)
    else:
        _update(self, gradients, variables)
    if self.use_ema:
        self._update_model_variables_moving_average(self._trainable_variables)
        if self.ema_overwrite_frequency:
            due = (self.iterations + 1) % self.ema_overwrite_frequency == 0
            averages = self._model_variables_moving_average
            for variable, average in zip(self._trainable_variables, averages, strict=True):
                if average is not None:
                    variable.assign(keras.ops.where(due, average, variable))


def _update(self: Any, gradients: list[Tensor], variables: list[Any]) -> None:
    gradients = self._clip_gradients(gradients)
    self._apply_weight_decay(variables)
    self._backend_update_step(gradients, variables, self.learning_rate)


def _accumulate(self: Any, gradients: list[Tensor], variables: list[Any]) -> None:
    """What an update would make of everything, and of that what the step that completes a sum takes."""
    steps = self.gradient_accumulation_steps
    sums = [self._accumulated_gradients[self._get_variable_index(variable)] for variable in variables]
    totals = [gradient + total for gradient, total in zip(gradients, sums, strict=True)]
    due = (self._iterations + 1) % steps == 0
    everything = [*self._trainable_variables, *self.variables]
    before = [tf.convert_to_tensor(variable.value) for variable in everything]
    with keras.StatelessScope(state_mapping=list(zip(everything, before, strict=True))) as scope:
        _update(self, [total / steps for total in totals], variables)
    for variable, value in zip(everything, before, strict=True):
        after = scope.get_current_value(variable)
        if after is not value:
            variable.assign(keras.ops.where(due, keras.ops.cast(after, variable.dtype), value))
    for total, summed in zip(totals, sums, strict=True):
        summed.assign(keras.ops.where(due, keras.ops.zeros_like(total), total))


def scale(optimizer: Any, values: list[Tensor]) -> Tensor | float:
    """By what the loss is multiplied before its gradients are taken. values: of the optimizer's variables."""
    with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, values, strict=True))):
        return optimizer.scale_loss(1.0)
