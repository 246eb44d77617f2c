"""Activation checkpointing: a model's blocks keep their inputs alone, and are computed again for the backward pass.

Which parts are blocks is read from the model:

    stages(noise, training)    a model that has this method is a chain of what it gives, as the built-in models are
    keras.Sequential           a chain of its layers
    any other                  its layers that have layers of their own; those inside, where there are several

`tf.recompute_grad` knows the gradients of `tf.Variable`s; here a model's parameters are tensors, which go in as
arguments. A block is traced once, inside the model's own call, and that trace is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

from kit.errors import InvalidValueError
from kit.levers import segments
from kit_tensorflow.environment import keras, tf

Tensor = Any


@contextmanager
def recomputing(model: Any, scope: Any) -> Iterator[None]:
    """While a model is called: have its blocks computed again for the backward pass. scope: that holds the values of
    its variables. Raises `InvalidValueError` for one that has no blocks."""
    found = list(_blocks(model))
    if not found:
        raise InvalidValueError(
            f"activation_checkpointing: model '{model.name}' shows no blocks to compute again; make it a "
            "keras.Sequential or of layers that hold layers, or give it a method stages(noise, training) whose "
            "functions, one after the other, are its call."
        )
    segment = _Segment(model, scope)
    try:
        for block, chain in found:
            plain = block.call
            call = partial(_chained, segment, block, last=block is not model) if chain else partial(segment, plain)
            block.__dict__["call"] = call  # past Keras's bookkeeping of attributes: it is there for this call alone
        yield
    finally:
        for block, _ in found:
            block.__dict__.pop("call", None)


def _is_chain(layer: Any) -> bool:
    return isinstance(layer, keras.Sequential) or hasattr(layer, "stages")


def _blocks(layer: Any) -> Iterator[tuple[Any, bool]]:
    """(block, whether it is a chain of stages), the outermost."""
    if _is_chain(layer):
        yield layer, True
        return
    for child in layer._layers:
        if _is_chain(child):
            yield child, True
        elif getattr(child, "_layers", ()):
            inside = list(_blocks(child))
            yield from inside if len(inside) > 1 else [(child, False)]


def _chained(
    segment: _Segment, block: Any, x: Tensor, noise: Any = None, training: bool | None = None, *, last: bool, **_: Any
) -> Tensor:
    """last: whether the last stretch is computed again too: at a model's end it is needed at once."""
    sequential = isinstance(block, keras.Sequential)
    stages: list[Callable[[Tensor], Tensor]] = block.layers if sequential else block.stages(noise, training)
    for start, stop in segments([bool(getattr(stage, "_layers", ())) for stage in stages]):
        function = partial(_through, stages[start:stop])
        x = segment(function, x) if last or stop < len(stages) else function(x)
    return x


def _through(stages: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    return reduce(lambda value, stage: stage(value), stages, x)


class _Segment:
    """Calls functions of one tensor (and of what is the same for both passes) so that they are computed again."""

    def __init__(self, model: Any, scope: Any) -> None:
        self.model, self.scope = model, scope
        self.parameters, self.states = list(model.trainable_variables), list(model.non_trainable_variables)

    def __call__(self, function: Callable[..., Tensor], x: Tensor, **given: Any) -> Tensor:
        self._check(x)
        values = [self.scope.get_current_value(variable) for variable in self.parameters]
        states = [self.scope.get_current_value(variable) for variable in self.states]
        penalties: list[int] = []  # how many come out

        def compute(x: Tensor, *values: Tensor) -> list[Tensor]:
            mapping = zip([*self.parameters, *self.states], [*values, *states], strict=True)
            with keras.StatelessScope(state_mapping=list(mapping), collect_losses=True) as inner:
                y = function(x, **given)
            self._check(y)
            penalties[:] = [len(inner.losses)]
            after = [inner.get_current_value(variable) for variable in self.states]
            return [y, *inner.losses, *after]

        specs = [tf.TensorSpec.from_tensor(tensor) for tensor in (x, *values)]
        traced = tf.function(compute, autograph=False).get_concrete_function(*specs)
        y, *rest = _again(traced, 1 + penalties[0], x, values)
        for loss in rest[: penalties[0]]:
            self.model.add_loss(loss)
        for variable, value in zip(self.states, rest[penalties[0] :], strict=True):
            self.scope.add_update((variable, value))
        return y

    def _check(self, tensor: Any) -> None:
        """Only one tensor goes from block to block; what Keras fastens to it would be lost without a word."""
        if not tf.is_tensor(tensor) or getattr(tensor, "_keras_mask", None) is not None:
            what = "a mask beside its tensor" if tf.is_tensor(tensor) else f"a {type(tensor).__name__}"
            raise InvalidValueError(
                f"activation_checkpointing: a block of model '{self.model.name}' takes or gives {what}; it can be "
                "computed again where it takes one tensor and gives one."
            )


def _again(traced: Any, differentiable: int, x: Tensor, values: list[Tensor]) -> list[Tensor]:
    """What a traced function gives, its first results with gradients that it is called again for."""

    @tf.custom_gradient
    def segment(x: Tensor, *values: Tensor) -> Any:
        def backward(*gradients: Tensor) -> list[Tensor | None]:
            given = gradients[:differentiable]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                later = _after(given[0], x)
                sources = [tensor for tensor in (later, *values) if tensor.dtype.is_floating]
                tape.watch(sources)
                found = traced(later, *values)[:differentiable]
            taken = tape.gradient(found, sources, output_gradients=list(given))
            return taken if x.dtype.is_floating else [None, *taken]

        return traced(x, *values), backward

    found: list[Tensor] = segment(x, *values)
    return found


def _after(gradient: Tensor, x: Tensor) -> Tensor:
    """x, once the gradient is there: else the second pass would be computed beside the first, and kept. As
    `tf.recompute_grad` has it: a zero that is computed from the gradient, whatever that is."""
    one = tf.cast(tf.reduce_max(tf.reshape(gradient, [-1])[:1]), tf.bool)
    with tf.control_dependencies([gradient]):
        return tf.identity(x + tf.cast(tf.where(tf.equal(one, one), 0.0, float("nan")), x.dtype))
