"""What this distribution offers to the kit. Listing it imports no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

from kit.families import FAMILIES, model_record
from kit.hookspecs import hookimpl
from kit.records import BackendSpec, DeviceSpec, Hyperparameter, LossSpec, ModelSpec, OptimizerSpec
from kit_torch.native import NATIVE

REQUIRES = ("torch",)


@hookimpl
def kit_backends() -> Iterator[BackendSpec]:
    yield BackendSpec(
        name="torch",
        engine="kit_torch.engine:TorchEngine",
        requires=REQUIRES,
        install="pip install torch",
        model_types=("torch.nn.modules.module:Module",),
        optimizer_types=("torch.optim.optimizer:Optimizer",),
        help="PyTorch.",
    )


@hookimpl
def kit_models() -> Iterator[ModelSpec]:
    for name in FAMILIES:
        yield model_record(name, backend="torch", build=f"kit_torch.models:{name}", requires=REQUIRES)


@hookimpl
def kit_losses() -> Iterator[LossSpec]:
    shared = {"backend": "torch", "requires": REQUIRES}
    yield LossSpec(name="mse", build="kit_torch.losses:mse", tasks=("regression",), help="Squared error.", **shared)
    yield LossSpec(name="mae", build="kit_torch.losses:mae", tasks=("regression",), help="Absolute error.", **shared)
    yield LossSpec(
        name="huber",
        build="kit_torch.losses:huber",
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
        build="kit_torch.losses:cross_entropy",
        tasks=("classification", "language"),
        accuracy="argmax",
        help="Negative log-likelihood of the class, from logits.",
        **shared,
    )
    yield LossSpec(
        name="binary_cross_entropy",
        build="kit_torch.losses:binary_cross_entropy",
        tasks=("binary",),
        accuracy="sign",
        help="Negative log-likelihood of 0 or 1, from one logit.",
        **shared,
    )
    yield LossSpec(
        name="hinge",
        build="kit_torch.losses:hinge",
        tasks=("classification", "binary"),
        accuracy="argmax",
        help="Margin loss: multi-class (Crammer & Singer 2001), or of one output's sign.",
        **shared,
    )
    yield LossSpec(
        name="output",
        build="kit_torch.losses:output",
        tasks=("objective",),
        help="The model's output itself, for functions to be minimised.",
        **shared,
    )


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    for name, rate in NATIVE.items():
        yield OptimizerSpec(
            name=f"torch.{name}",
            backend="torch",
            native=f"torch.optim:{name}",
            requires=REQUIRES,
            hyperparameters=(
                Hyperparameter(
                    name="learning_rate", default=rate, low=0.0, log=True, help="Step size, `lr` in PyTorch."
                ),
            ),
            help=f"torch.optim.{name} itself, with PyTorch's own conventions; outside the promise of parity.",
        )


@hookimpl
def kit_devices() -> Iterator[DeviceSpec]:
    shared = {"backend": "torch", "find": "kit_torch.devices:find", "requires": REQUIRES}
    yield DeviceSpec(name="cpu", help="The processor.", **shared)
    yield DeviceSpec(name="cuda", help="NVIDIA or AMD graphics processors: cuda, cuda:1, …", **shared)
    yield DeviceSpec(name="mps", dtypes=("float32", "bfloat16"), help="Apple's graphics processor.", **shared)
