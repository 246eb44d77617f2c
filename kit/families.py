"""The built-in model families: what each is for, its options with defaults and ranges, its source. One table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kit.errors import InvalidValueError, unknown
from kit.records import Hyperparameter, ModelSpec, Task

ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "silu")
SUPERVISED: tuple[Task, ...] = ("classification", "binary", "regression")

_ACTIVATION = Hyperparameter(
    name="activation", default="relu", choices=ACTIVATIONS, help="What follows every hidden layer; GELU is exact."
)


def _start(*point: float) -> Hyperparameter:
    return Hyperparameter(name="start", default=point, help="Where the trajectory starts: two coordinates.")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A model that several backends build from the same parameters, which `kit.architectures:<name>` lists."""

    name: str
    help: str
    tasks: tuple[Task, ...]
    hyperparameters: tuple[Hyperparameter, ...] = ()
    noise: bool = False  # whether `kit.architectures:<name>_noise` declares random draws
    source: str = ""


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="linear", help="One linear layer: linear regression, or the logits of a classifier.", tasks=SUPERVISED
        ),
        Family(
            name="logistic", help="Logistic regression: one linear layer of logits.", tasks=("classification", "binary")
        ),
        Family(
            name="mlp",
            help="Multilayer perceptron: dense layers of any number and width.",
            tasks=SUPERVISED,
            hyperparameters=(
                Hyperparameter(name="hidden", default=(32,), low=1, help="Width of each hidden layer, in units."),
                _ACTIVATION,
                Hyperparameter(
                    name="dropout",
                    default=0.0,
                    low=0.0,
                    high=1.0,
                    bounds="[)",
                    help="Probability that a hidden unit is left out of a step.",
                ),
            ),
            noise=True,
            source="Rumelhart, Hinton & Williams 1986; dropout: Srivastava et al. 2014",
        ),
        Family(
            name="cnn",
            help="Convolutional network: convolution, activation, 2×2 max-pooling, repeated; then two dense layers.",
            tasks=SUPERVISED,
            hyperparameters=(
                Hyperparameter(name="channels", default=(8, 16), low=1, help="Channels of each convolution."),
                Hyperparameter(name="kernel", default=3, choices=(1, 3, 5, 7), unit="pixels", help="Side of a kernel."),
                Hyperparameter(name="hidden", default=32, low=1, help="Width of the dense layer, in units."),
                _ACTIVATION,
            ),
            source="LeCun et al. 1998",
        ),
        Family(
            name="transformer",
            help="Causal character language model: pre-norm transformer blocks; the context is the dataset's.",
            tasks=("language",),
            hyperparameters=(
                Hyperparameter(name="width", default=32, low=1, help="Size of the embedding; a multiple of heads."),
                Hyperparameter(name="heads", default=2, low=1, help="Attention heads."),
                Hyperparameter(name="blocks", default=2, low=1, help="Transformer blocks."),
                Hyperparameter(name="mlp_ratio", default=4, low=1, help="Width of a block's dense layer, in widths."),
            ),
            source="Vaswani et al. 2017; Radford et al. 2019",
        ),
        Family(
            name="quadratic",
            help="½ (x² + κ y²), a bowl with a chosen condition number.",
            tasks=("objective",),
            hyperparameters=(
                Hyperparameter(name="condition", default=10.0, low=1.0, log=True, help="Condition number κ."),
                _start(4.0, 1.0),
            ),
        ),
        Family(
            name="rosenbrock",
            help="(a − x)² + b (y − x²)², a curved valley; minimum at (a, a²).",
            tasks=("objective",),
            hyperparameters=(
                Hyperparameter(name="a", default=1.0, help="Where the minimum lies: (a, a²)."),
                Hyperparameter(name="b", default=100.0, low=0.0, log=True, help="How steep the valley's walls are."),
                _start(-1.2, 1.0),
            ),
            source="Rosenbrock 1960",
        ),
        Family(
            name="beale",
            help="Beale's function: a plain between steep walls; minimum at (3, 0.5).",
            tasks=("objective",),
            hyperparameters=(_start(1.0, 1.0),),
            source="Beale 1958; start as in Moré, Garbow & Hillstrom 1981",
        ),
        Family(
            name="himmelblau",
            help="Himmelblau's function: four equal minima.",
            tasks=("objective",),
            hyperparameters=(_start(0.0, 0.0),),
            source="Himmelblau 1972",
        ),
        Family(
            name="saddle",
            help="½ (x² − y²) + ¼ y⁴: a saddle at the origin, minima of −¼ at (0, ±1); the quartic term bounds it.",
            tasks=("objective",),
            hyperparameters=(_start(1.0, 0.01),),
        ),
    )
}
HYPERPARAMETERS: dict[str, tuple[Hyperparameter, ...]] = {name: f.hyperparameters for name, f in FAMILIES.items()}


def settings(family: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a family with defaults filled in and `given` checked.

    Raises `UnknownNameError` for an option that it has not, `InvalidValueError` for a value out of range.
    """
    known = {h.name: h for h in HYPERPARAMETERS[family]}
    for name in given:
        if name not in known:
            raise unknown(f"hyperparameter of model '{family}'", name, known)
    label = f"model '{family}'"
    chosen = {name: h.check(given[name], label) if name in given else h.default for name, h in known.items()}
    for name in ("hidden", "channels"):
        value = chosen.get(name)
        if isinstance(value, tuple) and not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
            raise InvalidValueError(f"{label}: {name}={value!r} is not valid; it must be whole numbers.")
    if chosen.get("channels") == ():
        raise InvalidValueError(f"{label}: channels=() is not valid; it must name at least one convolution.")
    return chosen


def model_record(family: str, *, backend: str, build: str, requires: tuple[str, ...] = ()) -> ModelSpec:
    """The record that a backend's plugin yields for a family. `build`: its own function, "module:attribute"."""
    entry = FAMILIES[family]
    return ModelSpec(
        name=family,
        backend=backend,
        build=build,
        parameters=f"kit.architectures:{family}",
        noise=f"kit.architectures:{family}_noise" if entry.noise else None,
        tasks=entry.tasks,
        hyperparameters=entry.hyperparameters,
        requires=requires,
        help=entry.help,
        source=entry.source,
    )
