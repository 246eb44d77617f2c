"""The built-in models as pure functions of their parameters: `(parameters, x, noise) -> output`.

Parameters are a dictionary with the canonical names and layouts of `kit.architectures` (a dense weight is (out, in), a
kernel (out, in, height, width)), so that there is nothing to convert. A model keeps nothing and draws nothing: what
random numbers it takes (dropout) the host hands in as `noise`.

    apply = mlp(inputs=InputSpec(shape=(64,), outputs=10, task="classification"), hidden=(32,))
    apply(parameters, x)            # x: (batch, 64) → (batch, 10)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kit.architectures import cnn_sizes, image_shape, settings
from kit.engine import InputSpec
from kit.objectives import OBJECTIVES
from kit_jax.environment import jax, jnp
from kit_jax.layers import convolution, dense, max_pool
from kit_jax.transformer import transformer_output

Array = jax.Array
Parameters = Mapping[str, Array]
Noise = Mapping[str, Array]
Apply = Callable[..., Array]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
}


def _squeezed(output: Array, inputs: InputSpec) -> Array:
    """(batch,) where the target is one number per sample."""
    one_number = inputs.outputs == 1 and inputs.task in ("binary", "regression")
    return output[..., 0] if one_number else output


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)


def linear(*, inputs: InputSpec) -> Apply:
    """x Wᵀ + b."""

    def apply(p: Parameters, x: Array) -> Array:
        return _squeezed(dense(p, "", _flat(x)), inputs)

    return apply


logistic = linear


def mlp(*, inputs: InputSpec, **options: Any) -> Apply:
    """Dense layers, an activation after each but the last, dropout after each activation."""
    chosen = settings("mlp", options)
    activation, dropout, hidden = ACTIVATIONS[chosen["activation"]], chosen["dropout"], len(chosen["hidden"])

    def apply(p: Parameters, x: Array, noise: Noise | None = None) -> Array:
        x = _flat(x)
        for i in range(hidden):
            x = activation(dense(p, f"layers.{i}", x))
            if noise is not None:
                x = x * (noise[f"dropout.{i}"] >= dropout) / (1 - dropout)
        return _squeezed(dense(p, f"layers.{hidden}", x), inputs)

    return apply


def cnn(*, inputs: InputSpec, **options: Any) -> Apply:
    """Convolutions with symmetric padding, pooling after each, two dense layers. Samples are (height, width,
    channels)."""
    chosen = settings("cnn", options)
    activation, channels = ACTIVATIONS[chosen["activation"]], chosen["channels"]
    shape, sizes = image_shape(inputs), cnn_sizes(inputs, channels)
    before = [shape[:2], *sizes]
    pools = [a != b for a, b in zip(before, sizes, strict=False)]

    def apply(p: Parameters, x: Array) -> Array:
        x = x.reshape(-1, *shape)
        for i, pooled in enumerate(pools):
            x = activation(convolution(x, p[f"conv.{i}.weight"], p[f"conv.{i}.bias"]))
            x = max_pool(x) if pooled else x
        x = activation(dense(p, "dense.0", _flat(x)))
        return _squeezed(dense(p, "dense.1", x), inputs)

    return apply


def transformer(*, inputs: InputSpec, **options: Any) -> Apply:
    """Token numbers (batch, context) to logits (batch, context, tokens) of the tokens that follow."""
    chosen = settings("transformer", options)
    return partial(transformer_output, heads=chosen["heads"], blocks=chosen["blocks"])


def objective(name: str, options: Mapping[str, Any]) -> Apply:
    """A function of two numbers, its position; what comes in is not looked at. Gives (batch,), the value repeated."""
    value, fixed = OBJECTIVES[name], {key: option for key, option in options.items() if key != "start"}

    def apply(p: Parameters, x: Array) -> Array:
        position = p["position"]
        return jnp.broadcast_to(value(position[0], position[1], **fixed), x.shape[:1])

    return apply


def quadratic(*, inputs: InputSpec, **options: Any) -> Apply:
    return objective("quadratic", settings("quadratic", options))


def rosenbrock(*, inputs: InputSpec, **options: Any) -> Apply:
    return objective("rosenbrock", settings("rosenbrock", options))


def beale(*, inputs: InputSpec, **options: Any) -> Apply:
    return objective("beale", settings("beale", options))


def himmelblau(*, inputs: InputSpec, **options: Any) -> Apply:
    return objective("himmelblau", settings("himmelblau", options))


def saddle(*, inputs: InputSpec, **options: Any) -> Apply:
    return objective("saddle", settings("saddle", options))
