"""The built-in models as Keras models, with the parameters and options that `kit.architectures` lists.

Each layer is named so that its variables' paths are the canonical names (`kit_tensorflow.layout`), and starts as the
architecture says, so that a model used on its own begins as the host would begin it. A model that takes random draws
(dropout) gets them from the host as `noise`, so that both frameworks drop the same units; without, it draws its own.

A function's `stacked` is the form that trains a stack of its models as one, if there is one: `kit_tensorflow.stacked`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kit import architectures
from kit.architectures import cnn_sizes, features, image_shape, settings
from kit.engine import InputSpec, ParameterSpec
from kit.objectives import OBJECTIVES
from kit_tensorflow import stacked
from kit_tensorflow.activations import ACTIVATIONS
from kit_tensorflow.environment import keras
from kit_tensorflow.transformer import Transformer

Tensor = Any
Stage = Callable[[Tensor], Tensor]
ops = keras.ops


def starts(parameters: tuple[ParameterSpec, ...]) -> dict[str, Any]:
    """Canonical name -> Keras initializer."""
    made: dict[str, Any] = {}
    for parameter in parameters:
        match parameter.initial:
            case ("normal", deviation):
                made[parameter.name] = keras.initializers.RandomNormal(0.0, deviation)
            case ("uniform", bound):
                made[parameter.name] = keras.initializers.RandomUniform(-bound, bound)
            case ("constant", values):
                made[parameter.name] = _Constant(values)
            case name:
                made[parameter.name] = name
    return made


class _Constant(keras.initializers.Initializer):
    def __init__(self, values: Any) -> None:
        self.values = values

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return ops.reshape(ops.convert_to_tensor(self.values, dtype), shape)


def dense(name: str, into: int, out: int, start: Mapping[str, Any], prefix: str | None = None) -> Any:
    """A built dense layer. prefix: of its parameters' canonical names, where it is not the layer's name."""
    prefix = f"{name}." if prefix is None else prefix
    layer = keras.layers.Dense(
        out, kernel_initializer=start[f"{prefix}weight"], bias_initializer=start[f"{prefix}bias"], name=name
    )
    layer.build((None, into))
    return layer


def _squeezed(output: Tensor, inputs: InputSpec) -> Tensor:
    """(batch,) where the target is one number per sample."""
    one_number = inputs.outputs == 1 and inputs.task in ("binary", "regression")
    return ops.squeeze(output, -1) if one_number else output


def _flat(x: Tensor, inputs: InputSpec) -> Tensor:
    return x if len(x.shape) == 2 else ops.reshape(x, (-1, features(inputs)))


class Linear(keras.Model):
    """x W + b."""

    def __init__(self, inputs: InputSpec, name: str) -> None:
        super().__init__(name=name)
        start = starts(architectures.linear(inputs))
        self.dense = dense(name, features(inputs), inputs.outputs, start, prefix="")
        self.inputs_spec, self.built = inputs, True

    def call(self, x: Tensor) -> Tensor:
        return _squeezed(self.dense(_flat(x, self.inputs_spec)), self.inputs_spec)


class MLP(keras.Model):
    """Dense layers, an activation after each but the last, dropout after each activation."""

    def __init__(self, inputs: InputSpec, hidden: tuple[int, ...], activation: str, dropout: float) -> None:
        super().__init__(name="mlp")
        start = starts(architectures.mlp(inputs, hidden=hidden, activation=activation, dropout=dropout))
        widths = (features(inputs), *hidden, inputs.outputs)
        pairs = itertools.pairwise(widths)
        self.dense = [dense(f"layers.{i}", into, out, start) for i, (into, out) in enumerate(pairs)]
        self.activation, self.dropout = ACTIVATIONS[activation], dropout
        self.inputs_spec, self.built = inputs, True

    def call(self, x: Tensor, noise: Mapping[str, Tensor] | None = None, training: bool = False) -> Tensor:
        for stage in self.stages(noise, training):
            x = stage(x)
        return x

    def stages(self, noise: Mapping[str, Tensor] | None, training: bool | None) -> list[Stage]:
        """What a call does, one after the other."""

        def hidden(i: int, x: Tensor) -> Tensor:
            x = self.activation(self.dense[i](x))
            if training and self.dropout:
                draws = keras.random.uniform(ops.shape(x)) if noise is None else noise[f"dropout.{i}"]
                x = x * ops.cast(draws >= self.dropout, x.dtype) / (1 - self.dropout)
            return x

        return [
            lambda x: _flat(x, self.inputs_spec),
            *(partial(hidden, i) for i in range(len(self.dense) - 1)),
            lambda x: _squeezed(self.dense[-1](x), self.inputs_spec),
        ]


class CNN(keras.Model):
    """Convolutions, pooling after each, two dense layers. Samples are (height, width, channels)."""

    def __init__(self, inputs: InputSpec, channels: tuple[int, ...], kernel: int, hidden: int, activation: str) -> None:
        super().__init__(name="cnn")
        options = {"channels": channels, "kernel": kernel, "hidden": hidden, "activation": activation}
        start = starts(architectures.cnn(inputs, **options))
        self.shape_of_images, self.activation = image_shape(inputs), ACTIVATIONS[activation]
        height, width, depth = self.shape_of_images
        self.convolutions, self.pools = [], []
        for i, (out, size) in enumerate(zip(channels, cnn_sizes(inputs, channels), strict=True)):
            layer = keras.layers.Conv2D(
                out,
                kernel,
                padding="same",  # symmetric, as stride is 1 and the kernel's side odd
                data_format="channels_last",
                kernel_initializer=start[f"conv.{i}.weight"],
                bias_initializer=start[f"conv.{i}.bias"],
                name=f"conv.{i}",
            )
            layer.build((None, height, width, depth))
            self.convolutions.append(layer)
            self.pools.append(size != (height, width))
            (height, width), depth = size, out
        self.flat = height * width * depth
        self.dense = [dense("dense.0", self.flat, hidden, start), dense("dense.1", hidden, inputs.outputs, start)]
        self.inputs_spec, self.built = inputs, True

    def call(self, x: Tensor) -> Tensor:
        for stage in self.stages():
            x = stage(x)
        return x

    def stages(self, noise: Any = None, training: bool | None = None) -> list[Stage]:
        """What a call does, one after the other."""
        convolved = [partial(self._convolved, i) for i in range(len(self.convolutions))]
        return [lambda x: ops.reshape(x, (-1, *self.shape_of_images)), *convolved, self._classified]

    def _convolved(self, i: int, x: Tensor) -> Tensor:
        x = self.activation(self.convolutions[i](x))
        return ops.max_pool(x, 2, strides=2, data_format="channels_last") if self.pools[i] else x

    def _classified(self, x: Tensor) -> Tensor:
        x = self.activation(self.dense[0](ops.reshape(x, (-1, self.flat))))
        return _squeezed(self.dense[1](x), self.inputs_spec)


class Objective(keras.Model):
    """A function of two numbers, its position; what comes in is not looked at. -> (batch,), the value repeated."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name=name)
        self.position = self.add_weight(name="position", shape=(2,), initializer=_Constant(options["start"]))
        self.value = OBJECTIVES[name]
        self.options, self.built = {k: v for k, v in options.items() if k != "start"}, True

    def call(self, x: Tensor) -> Tensor:
        position = ops.convert_to_tensor(self.position)
        return ops.broadcast_to(self.value(position[0], position[1], **self.options), (ops.shape(x)[0],))


@stacked.by(stacked.linear)
def linear(*, inputs: InputSpec) -> Any:
    return Linear(inputs, "linear")


@stacked.by(stacked.linear)
def logistic(*, inputs: InputSpec) -> Any:
    return Linear(inputs, "logistic")


@stacked.by(stacked.mlp)
def mlp(*, inputs: InputSpec, **options: Any) -> Any:
    return MLP(inputs, **settings("mlp", options))


def cnn(*, inputs: InputSpec, **options: Any) -> Any:
    return CNN(inputs, **settings("cnn", options))


def transformer(*, inputs: InputSpec, **options: Any) -> Any:
    start = starts(architectures.transformer(inputs, **options))
    return Transformer(inputs, start, **settings("transformer", options))


@stacked.by(stacked.objective("quadratic"))
def quadratic(*, inputs: InputSpec, **options: Any) -> Any:
    return Objective("quadratic", settings("quadratic", options))


@stacked.by(stacked.objective("rosenbrock"))
def rosenbrock(*, inputs: InputSpec, **options: Any) -> Any:
    return Objective("rosenbrock", settings("rosenbrock", options))


@stacked.by(stacked.objective("beale"))
def beale(*, inputs: InputSpec, **options: Any) -> Any:
    return Objective("beale", settings("beale", options))


@stacked.by(stacked.objective("himmelblau"))
def himmelblau(*, inputs: InputSpec, **options: Any) -> Any:
    return Objective("himmelblau", settings("himmelblau", options))


@stacked.by(stacked.objective("saddle"))
def saddle(*, inputs: InputSpec, **options: Any) -> Any:
    return Objective("saddle", settings("saddle", options))
