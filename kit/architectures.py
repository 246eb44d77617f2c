"""The built-in models' parameters and options, written once for every backend.

A family is known by its canonical parameters: PyTorch's names and layouts, shapes, and the distribution that the start
is drawn from. The plugins build the modules; both get their options and parameters from here, so that they cannot
differ:

    ModelSpec record:   model_record("mlp", backend="torch", build="kit_torch.models:mlp")
    parameters:         mlp(InputSpec(shape=(64,), outputs=10, task="classification"), hidden=(32,))
                        → layers.0.weight (32, 64), layers.0.bias (32,), layers.1.weight (10, 32), layers.1.bias (10,)

Starts: a weight before ReLU, GELU or SiLU is uniform within ±√(6/fan_in) (He et al. 2015), before tanh, sigmoid or the
output within ±√(6/(fan_in + fan_out)) (Glorot & Bengio 2010); the transformer's are normal with deviation 0.02, those
that write into the residual stream 0.02/√(2 blocks) (Radford et al. 2019); biases are zero, gains one.

The objective functions themselves are in `kit.objectives`.
"""

from __future__ import annotations

import math
from typing import Any

from kit.engine import InputSpec, ParameterSpec
from kit.errors import InvalidValueError
from kit.families import ACTIVATIONS, FAMILIES, HYPERPARAMETERS, model_record, settings
from kit.objectives import OBJECTIVES

__all__ = [
    "ACTIVATIONS",
    "FAMILIES",
    "HYPERPARAMETERS",
    "NORM_EPSILON",
    "OBJECTIVES",
    "beale",
    "cnn",
    "cnn_sizes",
    "features",
    "himmelblau",
    "image_shape",
    "linear",
    "logistic",
    "mlp",
    "mlp_noise",
    "model_record",
    "objective",
    "quadratic",
    "rosenbrock",
    "saddle",
    "settings",
    "transformer",
]

Parameters = tuple[ParameterSpec, ...]
HE = ("relu", "gelu", "silu")  # activations after which about half of the variance is lost
EMBEDDING_DEVIATION = 0.02
NORM_EPSILON = 1e-5  # of every LayerNorm, in every framework (their defaults differ: 1e-5 and 1e-3)
KEY_BIAS = "a key bias adds the same to every score of a query, so its gradient is zero but for rounding"


def features(inputs: InputSpec) -> int:
    """Numbers in one sample: what a dense layer sees, images flattened as (height, width, channels)."""
    return math.prod(inputs.shape)


def dense(name: str, fan_in: int, fan_out: int, activation: str | None) -> Parameters:
    """`name.weight` (fan_out, fan_in) and `name.bias` (fan_out,) of a layer that `activation` follows; None: the
    output."""
    prefix = f"{name}." if name else ""
    return (
        ParameterSpec(name=f"{prefix}weight", shape=(fan_out, fan_in), initial=_uniform(fan_in, fan_out, activation)),
        ParameterSpec(name=f"{prefix}bias", shape=(fan_out,), initial="zeros"),
    )


def _uniform(fan_in: int, fan_out: int, activation: str | None) -> tuple[str, float]:
    return ("uniform", math.sqrt(6 / fan_in if activation in HE else 6 / (fan_in + fan_out)))


def linear(inputs: InputSpec, **options: Any) -> Parameters:
    """x W^T + b: `weight` (outputs, features), `bias` (outputs,)."""
    settings("linear", options)
    return dense("", features(inputs), inputs.outputs, None)


def logistic(inputs: InputSpec, **options: Any) -> Parameters:
    """Multinomial or binary logistic regression: the logits x W^T + b. Parameters as `linear`."""
    settings("logistic", options)
    return dense("", features(inputs), inputs.outputs, None)


def mlp(inputs: InputSpec, **options: Any) -> Parameters:
    """Dense layers `layers.0` … `layers.n`, an activation (then dropout) after each but the last, which is the
    output."""
    chosen = settings("mlp", options)
    widths = (features(inputs), *chosen["hidden"], inputs.outputs)
    last = len(widths) - 2
    return tuple(
        parameter
        for i in range(last + 1)
        for parameter in dense(f"layers.{i}", widths[i], widths[i + 1], chosen["activation"] if i < last else None)
    )


def mlp_noise(inputs: InputSpec, **options: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The uniform draws that dropout takes: ("dropout.0", (width,)) for each hidden layer; none without dropout.

    A unit is kept where its draw is ≥ p, and scaled by 1/(1 − p).
    """
    chosen = settings("mlp", options)
    if not chosen["dropout"]:
        return ()
    return tuple((f"dropout.{i}", (width,)) for i, width in enumerate(chosen["hidden"]))


def image_shape(inputs: InputSpec) -> tuple[int, int, int]:
    """(height, width, channels) of a sample; flat features are an image where `inputs.image_shape` says so.

    Raises `InvalidValueError` for samples that are no images.
    """
    if inputs.image_shape is not None:
        return inputs.image_shape
    if len(inputs.shape) == 3:
        height, width, channels = inputs.shape
        return height, width, channels
    raise InvalidValueError(
        f"model 'cnn' needs images (height, width, channels); a sample of this dataset has the shape {inputs.shape}. "
        "Models for it: mlp, linear, logistic."
    )


def cnn_sizes(inputs: InputSpec, channels: tuple[int, ...]) -> list[tuple[int, int]]:
    """(height, width) after each convolution and its 2×2 pooling (rounded down), which is left out once a side is 1."""
    height, width, _ = image_shape(inputs)
    sizes = []
    for _ in channels:
        if min(height, width) >= 2:
            height, width = height // 2, width // 2
        sizes.append((height, width))
    return sizes


def cnn(inputs: InputSpec, **options: Any) -> Parameters:
    """For each of `channels` a convolution `conv.i` (out, in, k, k), stride 1, k//2 zeros on every side; activation;
    2×2 max-pooling where `cnn_sizes` says so. Then flattened as (height, width, channels), `dense.0`, activation,
    `dense.1`."""
    chosen = settings("cnn", options)
    kernel, activation = chosen["kernel"], chosen["activation"]
    depth = image_shape(inputs)[2]
    found: list[ParameterSpec] = []
    for i, width in enumerate(chosen["channels"]):
        spread = _uniform(depth * kernel**2, width * kernel**2, activation)
        found += [
            ParameterSpec(name=f"conv.{i}.weight", shape=(width, depth, kernel, kernel), initial=spread),
            ParameterSpec(name=f"conv.{i}.bias", shape=(width,), initial="zeros"),
        ]
        depth = width
    height, width = cnn_sizes(inputs, chosen["channels"])[-1]
    found += dense("dense.0", height * width * depth, chosen["hidden"], activation)
    found += dense("dense.1", chosen["hidden"], inputs.outputs, None)
    return tuple(found)


def transformer(inputs: InputSpec, **options: Any) -> Parameters:
    """A causal language model over `inputs.tokens` tokens: embeddings, pre-norm blocks (LayerNorm ε 1e-5, attention,
    exact GELU), a last norm and the head. Output (batch, context, tokens)."""
    chosen = settings("transformer", options)
    width, blocks = chosen["width"], chosen["blocks"]
    if inputs.tokens is None or len(inputs.shape) != 1:
        raise InvalidValueError(
            f"model 'transformer' needs samples of token numbers; a sample of this dataset has the shape "
            f"{inputs.shape}. Datasets for it: characters, kjv."
        )
    if width % chosen["heads"]:
        raise InvalidValueError(
            f"model 'transformer': width={width} is not valid with heads={chosen['heads']}; it must be a multiple."
        )
    deviation = EMBEDDING_DEVIATION
    found = [
        ParameterSpec(name="token_embedding.weight", shape=(inputs.tokens, width), initial=("normal", deviation)),
        ParameterSpec(name="position_embedding.weight", shape=(inputs.shape[0], width), initial=("normal", deviation)),
    ]
    for i in range(blocks):
        found += _block(f"blocks.{i}", width, chosen["mlp_ratio"] * width, deviation / math.sqrt(2 * blocks))
    found += _norm("norm", width)
    found += _projection("head", width, inputs.tokens, deviation)
    return tuple(found)


def _block(name: str, width: int, inner: int, residual: float) -> list[ParameterSpec]:
    """One block; `residual` is the deviation of what writes into the residual stream."""
    found = _norm(f"{name}.norm1", width)
    found += _projection(f"{name}.attention.query", width, width, EMBEDDING_DEVIATION)
    found += _projection(f"{name}.attention.key", width, width, EMBEDDING_DEVIATION, exempt=KEY_BIAS)
    found += _projection(f"{name}.attention.value", width, width, EMBEDDING_DEVIATION)
    found += _projection(f"{name}.attention.out", width, width, residual)
    found += _norm(f"{name}.norm2", width)
    found += _projection(f"{name}.mlp.0", width, inner, EMBEDDING_DEVIATION)
    found += _projection(f"{name}.mlp.1", inner, width, residual)
    return found


def _norm(name: str, width: int) -> list[ParameterSpec]:
    return [
        ParameterSpec(name=f"{name}.weight", shape=(width,), initial="ones"),
        ParameterSpec(name=f"{name}.bias", shape=(width,), initial="zeros"),
    ]


def _projection(name: str, fan_in: int, fan_out: int, deviation: float, exempt: str = "") -> list[ParameterSpec]:
    return [
        ParameterSpec(name=f"{name}.weight", shape=(fan_out, fan_in), initial=("normal", deviation)),
        ParameterSpec(name=f"{name}.bias", shape=(fan_out,), initial="zeros", exempt_from_parity=exempt),
    ]


def objective(inputs: InputSpec, *, start: tuple[float, ...], **options: Any) -> Parameters:
    """The one parameter of every objective function, at its start: `position` (2,)."""
    if len(start) != 2:
        raise InvalidValueError(f"start={start!r} is not valid; it must be two numbers.")
    return (ParameterSpec(name="position", shape=(2,), initial=("constant", tuple(map(float, start)))),)


def quadratic(inputs: InputSpec, **options: Any) -> Parameters:
    """`kit.objectives.quadratic` of `position` (2,)."""
    return objective(inputs, **settings("quadratic", options))


def rosenbrock(inputs: InputSpec, **options: Any) -> Parameters:
    """`kit.objectives.rosenbrock` of `position` (2,)."""
    return objective(inputs, **settings("rosenbrock", options))


def beale(inputs: InputSpec, **options: Any) -> Parameters:
    """`kit.objectives.beale` of `position` (2,)."""
    return objective(inputs, **settings("beale", options))


def himmelblau(inputs: InputSpec, **options: Any) -> Parameters:
    """`kit.objectives.himmelblau` of `position` (2,)."""
    return objective(inputs, **settings("himmelblau", options))


def saddle(inputs: InputSpec, **options: Any) -> Parameters:
    """`kit.objectives.saddle` of `position` (2,)."""
    return objective(inputs, **settings("saddle", options))
