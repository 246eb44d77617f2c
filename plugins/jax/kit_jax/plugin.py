"""What this distribution offers to the kit. Listing it imports no JAX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kit.families import FAMILIES, model_record
from kit.hookspecs import hookimpl
from kit.needs import PLAIN
from kit.records import BackendSpec, DeviceSpec, Hyperparameter, LossSpec, ModelSpec, OptimizerSpec
from kit_jax.native_list import EXPECTED_FAILURES, NATIVE, NEEDS

REQUIRES = ("jax", "optax")
INSTALL = "pip install jax optax"
SHARED: dict[str, Any] = {"backend": "jax", "requires": REQUIRES, "install": INSTALL}


@hookimpl
def kit_backends() -> Iterator[BackendSpec]:
    yield BackendSpec(
        name="jax",
        engine="kit_jax.engine:JaxEngine",
        requires=REQUIRES,
        install=INSTALL,
        model_types=("flax.linen.module:Module",),
        arrays="kit_jax.arrays",
        help="JAX, compiled by XLA, with optax.",
    )


@hookimpl
def kit_models() -> Iterator[ModelSpec]:
    for name in FAMILIES:
        yield model_record(name, backend="jax", build=f"kit_jax.models:{name}", requires=REQUIRES)


def _loss(name: str, tasks: tuple[Any, ...], help: str, **more: Any) -> LossSpec:
    both = {"build": f"kit_jax.losses:{name}", "reference": f"kit.losses:{name}"}
    return LossSpec(name=name, tasks=tasks, help=help, **both, **SHARED, **more)


@hookimpl
def kit_losses() -> Iterator[LossSpec]:
    delta = Hyperparameter(name="delta", default=1.0, low=0.0, bounds="()", help="Error from which the loss is linear.")
    classes = ("classification", "language")
    likelihood = "Negative log-likelihood of"
    margin = "Margin loss: multi-class (Crammer & Singer 2001), or of one output's sign."
    bent = "Squared error near zero, absolute error beyond δ."
    yield _loss("mse", ("regression",), "Squared error.")
    yield _loss("mae", ("regression",), "Absolute error.")
    yield _loss("huber", ("regression",), bent, hyperparameters=(delta,), source="Huber 1964")
    yield _loss("cross_entropy", classes, f"{likelihood} the class, from logits.", accuracy="argmax")
    yield _loss("binary_cross_entropy", ("binary",), f"{likelihood} 0 or 1, from one logit.", accuracy="sign")
    yield _loss("hinge", ("classification", "binary"), margin, accuracy="argmax")
    yield _loss("output", ("objective",), "The model's output itself, for functions to be minimised.")


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    for name, rate in NATIVE.items():
        yield OptimizerSpec(
            name=f"optax.{name}",
            native=f"optax:{name}",
            needs=NEEDS.get(name, PLAIN),
            expected_failures=EXPECTED_FAILURES.get(name, {}),
            hyperparameters=(Hyperparameter(name="learning_rate", default=rate, low=0.0, log=True, help="Step size."),),
            help=f"optax.{name} itself, with optax's own conventions; outside the promise of parity.",
            **SHARED,
        )


@hookimpl
def kit_devices() -> Iterator[DeviceSpec]:
    yield DeviceSpec(name="cpu", find="kit_jax.devices:cpu", help="The processor.", **SHARED)
    yield DeviceSpec(
        name="cuda", find="kit_jax.devices:cuda", help="NVIDIA GPUs: cuda, cuda:1, …; gpu means the same.", **SHARED
    )
    yield DeviceSpec(name="tpu", find="kit_jax.devices:tpu", help="Google's TPUs: tpu, tpu:1, …", **SHARED)
