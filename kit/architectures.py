"""The canonical parameters of the built-in models: names, shapes and initial distributions, shared by every backend.

Framework-free and light. A function takes what the model must fit and the model's options and gives its parameters in
PyTorch's names and layouts (a dense weight is (out, in), a kernel (out, in, height, width)); the host draws their start
once, and each backend's module of the same family takes them. Two instances:

    linear(inputs)                       # weight (outputs, features), bias (outputs,)
    mlp(inputs, hidden=(32,))            # layers.0.weight (32, features), layers.0.bias, layers.1.weight (outputs, 32), …

`HYPERPARAMETERS` holds the options of each family, once for all backends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kit.engine import InputSpec, ParameterSpec
from kit.errors import InvalidValueError
from kit.records import Hyperparameter

ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "silu")
ACTIVATION = Hyperparameter(
    name="activation", default="relu", choices=ACTIVATIONS, help="Non-linearity of the hidden layers."
)
NORM_EPSILON = 1e-5  # of every LayerNorm, in both frameworks (their defaults differ: 1e-5 and 1e-3)


def _start(x0: float, x1: float) -> Hyperparameter:
    return Hyperparameter(name="start", default=(x0, x1), help="The two coordinates at which the run starts.")


HYPERPARAMETERS: dict[str, tuple[Hyperparameter, ...]] = {
    "linear": (),
    "logistic": (),
    "mlp": (
        Hyperparameter(name="hidden", default=(32,), low=1, help="Width of each hidden layer.", unit="units"),
        ACTIVATION,
        Hyperparameter(
            name="dropout",
            default=0.0,
            low=0.0,
            high=1.0,
            bounds="[)",
            help="Share of hidden units dropped in training.",
        ),
    ),
    "cnn": (
        Hyperparameter(name="channels", default=(8, 16), low=1, help="Kernels of each convolution."),
        Hyperparameter(name="kernel", default=3, choices=(1, 3, 5, 7), help="Side of each kernel; odd.", unit="pixels"),
        Hyperparameter(name="hidden", default=32, low=1, help="Width of the dense layer.", unit="units"),
        ACTIVATION,
    ),
    "transformer": (
        Hyperparameter(name="width", default=32, low=1, help="Size of a token's vector; a multiple of heads."),
        Hyperparameter(name="heads", default=2, low=1, help="Attention heads of each block."),
        Hyperparameter(name="blocks", default=2, low=1, help="Blocks of attention and dense layers."),
        Hyperparameter(name="mlp_ratio", default=4, low=1, help="Hidden width of a block's dense layers, in widths."),
    ),
    "quadratic": (
        Hyperparameter(
            name="condition", default=10.0, low=1.0, log=True, help="Condition number κ: ratio of the two curvatures."
        ),
        _start(1.0, 1.0),
    ),
    "rosenbrock": (
        Hyperparameter(name="a", default=1.0, help="The minimum is at (a, a²)."),
        Hyperparameter(name="b", default=100.0, low=0.0, help="Steepness of the valley's walls."),
        _start(-1.2, 1.0),
    ),
    "beale": (_start(1.0, 1.0),),
    "himmelblau": (_start(0.0, 0.0),),
    "saddle": (_start(1.0, 0.001),),
}


def linear(inputs: InputSpec, **options: Any) -> tuple[ParameterSpec, ...]:
    """One dense layer: x W' + b. Glorot-uniform weights (Glorot & Bengio 2010), zero bias."""
    features = math.prod(inputs.shape)
    return (
        ParameterSpec(name="weight", shape=(inputs.outputs, features), initial=_glorot(features, inputs.outputs)),
        ParameterSpec(name="bias", shape=(inputs.outputs,), initial="zeros"),
    )


logistic = linear


def mlp(
    inputs: InputSpec, *, hidden: tuple[int, ...] = (32,), activation: str = "relu", **options: Any
) -> tuple[ParameterSpec, ...]:
    """Dense layers of the given widths, then one to the outputs."""
    widths = (math.prod(inputs.shape), *hidden, inputs.outputs)
    return tuple(
        parameter
        for i, (into, out) in enumerate(zip(widths, widths[1:], strict=False))
        for parameter in _dense(f"layers.{i}", into, out, activation if i < len(hidden) else "linear")
    )


def mlp_noise(
    inputs: InputSpec, *, hidden: tuple[int, ...] = (32,), dropout: float = 0.0, **options: Any
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The uniform draws that dropout needs: one per hidden unit, none without dropout."""
    return tuple((f"dropout.{i}", (width,)) for i, width in enumerate(hidden)) if dropout > 0 else ()


def image_shape(inputs: InputSpec) -> tuple[int, int, int]:
    """(height, width, channels) of a sample. Raises `InvalidValueError` for data that are no images."""
    if len(inputs.shape) == 3:
        return (inputs.shape[0], inputs.shape[1], inputs.shape[2])
    if inputs.image_shape is not None:
        return inputs.image_shape
    raise InvalidValueError(
        f"model 'cnn' needs images: samples of shape (height, width, channels); these have shape {inputs.shape}. Use 'mlp'."
    )


def cnn_sizes(inputs: InputSpec, channels: tuple[int, ...]) -> list[tuple[int, int]]:
    """(height, width) after each convolution and its pooling. 2×2 max-pooling (floor) while both sides are 2 or more."""
    height, width, _ = image_shape(inputs)
    sizes = []
    for _ in channels:
        if height >= 2 and width >= 2:
            height, width = height // 2, width // 2
        sizes.append((height, width))
    return sizes


def cnn(
    inputs: InputSpec,
    *,
    channels: tuple[int, ...] = (8, 16),
    kernel: int = 3,
    hidden: int = 32,
    activation: str = "relu",
) -> tuple[ParameterSpec, ...]:
    """Convolutions (stride 1, zero padding kernel//2), each followed by pooling; then a dense layer, then the outputs."""
    found: list[ParameterSpec] = []
    into = image_shape(inputs)[2]
    for i, out in enumerate(channels):
        spread = _spread(into * kernel**2, out * kernel**2, activation)
        found.append(ParameterSpec(name=f"conv.{i}.weight", shape=(out, into, kernel, kernel), initial=spread))
        found.append(ParameterSpec(name=f"conv.{i}.bias", shape=(out,), initial="zeros"))
        into = out
    height, width = cnn_sizes(inputs, channels)[-1] if channels else image_shape(inputs)[:2]
    found += _dense("dense.0", height * width * into, hidden, activation)
    found += _dense("dense.1", hidden, inputs.outputs, "linear")
    return tuple(found)


def transformer(
    inputs: InputSpec, *, width: int = 32, heads: int = 2, blocks: int = 2, mlp_ratio: int = 4
) -> tuple[ParameterSpec, ...]:
    """A causal character language model with pre-norm blocks. Normal(0, 0.02) weights, as GPT-2 (Radford et al. 2019)."""
    if inputs.tokens is None:
        raise InvalidValueError(
            "model 'transformer' needs token numbers, as dataset 'characters' has; these data have none."
        )
    if width % heads:
        raise InvalidValueError(f"model 'transformer': width={width} is not a multiple of heads={heads}.")
    found = [
        ParameterSpec(name="token_embedding.weight", shape=(inputs.tokens, width), initial=("normal", 0.02)),
        ParameterSpec(name="position_embedding.weight", shape=(inputs.shape[0], width), initial=("normal", 0.02)),
    ]
    for b in range(blocks):
        found += _norm(f"blocks.{b}.norm1", width)
        for part in ("query", "key", "value", "out"):
            found += _projection(f"blocks.{b}.attention.{part}", width, width)
        found += _norm(f"blocks.{b}.norm2", width)
        found += _projection(f"blocks.{b}.mlp.0", width, mlp_ratio * width)
        found += _projection(f"blocks.{b}.mlp.1", mlp_ratio * width, width)
    found += _norm("norm", width)
    found += _projection("head", width, inputs.tokens)
    return tuple(found)


def objective(inputs: InputSpec, *, start: tuple[float, float], **options: Any) -> tuple[ParameterSpec, ...]:
    """The one parameter of every two-parameter test function: its position."""
    if len(start) != 2:
        raise InvalidValueError(f"start={start!r} is not valid; it must be two numbers.")
    return (ParameterSpec(name="position", shape=(2,), initial=("constant", tuple(map(float, start)))),)


def quadratic_value(x0: Any, x1: Any, *, condition: float = 10.0, **options: Any) -> Any:
    """½ (x₀² + κ x₁²): curvatures 1 and κ, minimum 0 at the origin."""
    return 0.5 * (x0 * x0 + condition * x1 * x1)


def rosenbrock_value(x0: Any, x1: Any, *, a: float = 1.0, b: float = 100.0, **options: Any) -> Any:
    """(a − x₀)² + b (x₁ − x₀²)². Rosenbrock 1960; minimum 0 at (a, a²)."""
    return (a - x0) * (a - x0) + b * (x1 - x0 * x0) * (x1 - x0 * x0)


def beale_value(x0: Any, x1: Any, **options: Any) -> Any:
    """(1.5 − x₀ + x₀x₁)² + (2.25 − x₀ + x₀x₁²)² + (2.625 − x₀ + x₀x₁³)². Minimum 0 at (3, 0.5)."""
    one, two, three = 1.5 - x0 + x0 * x1, 2.25 - x0 + x0 * x1 * x1, 2.625 - x0 + x0 * x1 * x1 * x1
    return one * one + two * two + three * three


def himmelblau_value(x0: Any, x1: Any, **options: Any) -> Any:
    """(x₀² + x₁ − 11)² + (x₀ + x₁² − 7)². Himmelblau 1972; four minima of value 0."""
    one, two = x0 * x0 + x1 - 11, x0 + x1 * x1 - 7
    return one * one + two * two


def saddle_value(x0: Any, x1: Any, **options: Any) -> Any:
    """½ (x₀² − x₁²) + ¼ x₁⁴: a saddle at the origin, minima −¼ at (0, ±1). The quartic term keeps it bounded below."""
    return 0.5 * (x0 * x0 - x1 * x1) + 0.25 * x1 * x1 * x1 * x1


# The two-parameter test functions, in plain arithmetic: they run on numbers and on the arrays of every backend.
OBJECTIVES: dict[str, Callable[..., Any]] = {
    "quadratic": quadratic_value,
    "rosenbrock": rosenbrock_value,
    "beale": beale_value,
    "himmelblau": himmelblau_value,
    "saddle": saddle_value,
}


def _glorot(into: int, out: int) -> tuple[str, float]:
    return ("uniform", math.sqrt(6.0 / (into + out)))


def _he(into: int) -> tuple[str, float]:
    return ("uniform", math.sqrt(6.0 / into))


def _spread(into: int, out: int, activation: str) -> tuple[str, float]:
    """He-uniform before rectifiers (He et al. 2015), Glorot-uniform before the others."""
    return _he(into) if activation in ("relu", "gelu", "silu") else _glorot(into, out)


def _dense(name: str, into: int, out: int, activation: str) -> list[ParameterSpec]:
    return [
        ParameterSpec(name=f"{name}.weight", shape=(out, into), initial=_spread(into, out, activation)),
        ParameterSpec(name=f"{name}.bias", shape=(out,), initial="zeros"),
    ]


def _projection(name: str, into: int, out: int) -> list[ParameterSpec]:
    # A bias on the keys shifts all scores of a query alike, which the softmax ignores: its gradient is rounding alone.
    exempt = "a key bias has a gradient of zero but for rounding" if name.endswith(".key") else ""
    return [
        ParameterSpec(name=f"{name}.weight", shape=(out, into), initial=("normal", 0.02)),
        ParameterSpec(name=f"{name}.bias", shape=(out,), initial="zeros", exempt_from_parity=exempt),
    ]


def _norm(name: str, width: int) -> list[ParameterSpec]:
    return [
        ParameterSpec(name=f"{name}.weight", shape=(width,), initial="ones"),
        ParameterSpec(name=f"{name}.bias", shape=(width,), initial="zeros"),
    ]
