"""What this distribution offers to the kit. Listing it imports no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kit.families import FAMILIES, model_record
from kit.hookspecs import hookimpl
from kit.needs import PLAIN
from kit.records import BackendSpec, DeviceSpec, Hyperparameter, LossSpec, ModelSpec, OptimizerSpec, Parallel
from kit_torch.native_list import ARGUMENTS, EXPECTED_FAILURES, NATIVE, NEEDS

REQUIRES = ("torch",)
INSTALL = "pip install torch"


@hookimpl
def kit_backends() -> Iterator[BackendSpec]:
    yield BackendSpec(
        name="torch",
        engine="kit_torch.engine:TorchEngine",
        requires=REQUIRES,
        install=INSTALL,
        model_types=("torch.nn.modules.module:Module",),
        optimizer_types=("torch.optim.optimizer:Optimizer",),
        arrays="kit_torch.arrays",
        levers=("gradient_accumulation", "activation_checkpointing"),
        parallel=(
            Parallel(
                name="ddp", engine="kit_torch.ranks:ddp", help="DistributedDataParallel: the whole model on each."
            ),
            Parallel(name="fsdp", engine="kit_torch.ranks:fsdp", help="FSDP2: parameters and slots divided."),
        ),
        help="PyTorch.",
    )


@hookimpl
def kit_models() -> Iterator[ModelSpec]:
    for name in FAMILIES:
        yield model_record(name, backend="torch", build=f"kit_torch.models:{name}", requires=REQUIRES)


def _loss(name: str, tasks: tuple[Any, ...], help: str, **more: Any) -> LossSpec:
    shared = {"backend": "torch", "requires": REQUIRES, "install": INSTALL}
    named = {"build": f"kit_torch.losses:{name}", "reference": f"kit.losses:{name}"}
    return LossSpec(name=name, tasks=tasks, help=help, **named, **shared, **more)


@hookimpl
def kit_losses() -> Iterator[LossSpec]:
    delta = Hyperparameter(name="delta", default=1.0, low=0.0, bounds="()", help="Error from which the loss is linear.")
    classes = ("classification", "language")
    likelihood = "Negative log-likelihood of"
    margin = "Margin loss: multi-class (Crammer & Singer 2001), or of one output's sign."
    yield _loss("mse", ("regression",), "Squared error.")
    yield _loss("mae", ("regression",), "Absolute error.")
    yield _loss(
        "huber",
        ("regression",),
        "Squared error near zero, absolute error beyond δ.",
        hyperparameters=(delta,),
        source="Huber 1964",
    )
    yield _loss("cross_entropy", classes, f"{likelihood} the class, from logits.", accuracy="argmax")
    yield _loss("binary_cross_entropy", ("binary",), f"{likelihood} 0 or 1, from one logit.", accuracy="sign")
    yield _loss("hinge", ("classification", "binary"), margin, accuracy="argmax")
    yield _loss("output", ("objective",), "The model's output itself, for functions to be minimised.")


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    for name, rate in NATIVE.items():
        yield OptimizerSpec(
            name=f"torch.{name}",
            backend="torch",
            native=f"torch.optim:{name}",
            needs=NEEDS.get(name, PLAIN),
            requires=REQUIRES,
            hyperparameters=(Hyperparameter(name="learning_rate", default=rate, low=0.0, log=True, help="Step size."),),
            arguments=tuple(
                Hyperparameter(name=argument, default=default, help=f"As torch.optim.{name} documents it.")
                for argument, default in ARGUMENTS[name].items()
            ),
            help=f"torch.optim.{name} itself, with PyTorch's own conventions; outside the promise of parity.",
            expected_failures=EXPECTED_FAILURES.get(name, {}),
        )


@hookimpl
def kit_devices() -> Iterator[DeviceSpec]:
    shared: dict[str, Any] = {"backend": "torch", "requires": REQUIRES, "install": INSTALL}
    yield DeviceSpec(name="cpu", find="kit_torch.devices:cpu", help="The processor.", **shared)
    yield DeviceSpec(name="cuda", find="kit_torch.devices:cuda", help="NVIDIA and AMD GPUs: cuda, cuda:1, …", **shared)
    yield DeviceSpec(
        name="mps",
        find="kit_torch.devices:mps",
        dtypes=("float32", "bfloat16"),
        help="Apple's GPU.",
        **shared,
    )
