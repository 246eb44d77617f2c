"""What this distribution offers to the kit. Listing it imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from kit.families import FAMILIES, model_record
from kit.hookspecs import hookimpl
from kit.records import BackendSpec, DeviceSpec, Hyperparameter, LossSpec, ModelSpec, OptimizerSpec, Parallel
from kit_tensorflow.native import ARGUMENTS, EXPECTED_FAILURES, NATIVE, SHARED, WRAPPED, WRAPPED_RATE

REQUIRES = ("tensorflow", "keras")
INSTALL = "pip install tensorflow"


@hookimpl
def kit_backends() -> Iterator[BackendSpec]:
    yield BackendSpec(
        name="tensorflow",
        engine="kit_tensorflow.engine:TensorFlowEngine",
        requires=REQUIRES,
        install=INSTALL,
        model_types=("keras.src.models.model:Model", "keras.src.layers.layer:Layer"),
        optimizer_types=(
            "keras.src.optimizers.optimizer:Optimizer",
            "keras.src.optimizers.base_optimizer:BaseOptimizer",
        ),
        arrays="kit_tensorflow.arrays",
        levers=("gradient_accumulation", "activation_checkpointing"),
        parallel=(
            Parallel(
                name="mirrored",
                engine="kit_tensorflow.ranks:mirrored",
                processes="one",
                help="MirroredStrategy: one process drives all devices.",
            ),
            Parallel(
                name="multi_worker_mirrored",
                engine="kit_tensorflow.ranks:multi_worker_mirrored",
                help="MultiWorkerMirroredStrategy: a process for each device.",
            ),
        ),
        help="TensorFlow, with Keras 3.",
    )


@hookimpl
def kit_models() -> Iterator[ModelSpec]:
    for name in FAMILIES:
        yield model_record(name, backend="tensorflow", build=f"kit_tensorflow.models:{name}", requires=REQUIRES)


@hookimpl
def kit_losses() -> Iterator[LossSpec]:
    shared = {"backend": "tensorflow", "requires": REQUIRES, "install": INSTALL}
    yield LossSpec(
        name="mse",
        build="kit_tensorflow.losses:mse",
        reference="kit.losses:mse",
        tasks=("regression",),
        help="Squared error.",
        **shared,
    )
    yield LossSpec(
        name="mae",
        build="kit_tensorflow.losses:mae",
        reference="kit.losses:mae",
        tasks=("regression",),
        help="Absolute error.",
        **shared,
    )
    yield LossSpec(
        name="huber",
        build="kit_tensorflow.losses:huber",
        reference="kit.losses:huber",
        tasks=("regression",),
        hyperparameters=(
            Hyperparameter(
                name="delta", default=1.0, low=0.0, bounds="()", help="Error from which the loss is linear."
            ),
        ),
        help="Squared error near zero, absolute error beyond δ.",
        source="Huber 1964",
        **shared,
    )
    yield LossSpec(
        name="cross_entropy",
        build="kit_tensorflow.losses:cross_entropy",
        reference="kit.losses:cross_entropy",
        tasks=("classification", "language"),
        accuracy="argmax",
        help="Negative log-likelihood of the class, from logits.",
        **shared,
    )
    yield LossSpec(
        name="binary_cross_entropy",
        build="kit_tensorflow.losses:binary_cross_entropy",
        reference="kit.losses:binary_cross_entropy",
        tasks=("binary",),
        accuracy="sign",
        help="Negative log-likelihood of 0 or 1, from one logit.",
        **shared,
    )
    yield LossSpec(
        name="hinge",
        build="kit_tensorflow.losses:hinge",
        reference="kit.losses:hinge",
        tasks=("classification", "binary"),
        accuracy="argmax",
        help="Margin loss: multi-class (Crammer & Singer 2001), or of one output's sign.",
        **shared,
    )
    yield LossSpec(
        name="output",
        build="kit_tensorflow.losses:output",
        reference="kit.losses:output",
        tasks=("objective",),
        help="The model's output itself, for functions to be minimised.",
        **shared,
    )


def _native(name: str, native: str, rate: float, *more: Hyperparameter) -> OptimizerSpec:
    return OptimizerSpec(
        name=f"keras.{name}",
        backend="tensorflow",
        native=native,
        requires=REQUIRES,
        hyperparameters=(
            Hyperparameter(name="learning_rate", default=rate, low=0.0, log=True, help="Step size."),
            *more,
        ),
        arguments=tuple(
            Hyperparameter(name=argument, default=default, help=f"As keras.optimizers.{name} documents it.")
            for argument, default in ({**ARGUMENTS[name], **SHARED} if name in ARGUMENTS else {}).items()
        ),
        help=f"keras.optimizers.{name} itself, with Keras's own conventions; outside the promise of parity.",
        expected_failures=EXPECTED_FAILURES.get(name, {}),
    )


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    for name, rate in NATIVE.items():
        yield _native(name, f"keras.optimizers:{name}", rate)
    within = {
        "LossScaleOptimizer": (Hyperparameter(name="base", default="Adam", help="The optimizer within."),),
        "MultiOptimizer": (
            Hyperparameter(name="matrices", default="Adam", help="The optimizer of what has two axes or more."),
            Hyperparameter(name="rest", default="SGD", help="The optimizer of everything else."),
        ),
    }
    for name, function in WRAPPED.items():
        yield _native(name, f"kit_tensorflow.wrapped:{function}", WRAPPED_RATE, *within[name])


@hookimpl
def kit_devices() -> Iterator[DeviceSpec]:
    shared = {"backend": "tensorflow", "find": "kit_tensorflow.devices:find", "requires": REQUIRES}
    yield DeviceSpec(name="cpu", help="The processor.", **shared)
    yield DeviceSpec(name="gpu", help="Graphics processors: gpu, gpu:1, …; cuda means the same.", **shared)
