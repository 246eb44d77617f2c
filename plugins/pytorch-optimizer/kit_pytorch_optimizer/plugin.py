"""What this distribution offers to the kit. Listing it imports neither PyTorch nor pytorch_optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from kit.hookspecs import hookimpl
from kit.needs import PLAIN
from kit.records import Hyperparameter, OptimizerSpec
from kit_pytorch_optimizer.names import BASES, EXPECTED_FAILURES, MADE, NEEDS, RATES


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    for name, rate in RATES.items():
        given = [Hyperparameter(name="learning_rate", default=rate, low=0.0, log=True, help="Step size.")]
        if name in BASES:
            within = "The optimizer within, of torch.optim or pytorch_optimizer."
            given.append(Hyperparameter(name="base", default=BASES[name], help=within))
        yield OptimizerSpec(
            name=f"pytorch_optimizer.{name}",
            backend="torch",
            native=f"kit_pytorch_optimizer.making:{MADE[name]}" if name in MADE else f"pytorch_optimizer:{name}",
            needs=NEEDS.get(name, PLAIN),
            requires=("torch", "pytorch_optimizer"),
            install="pip install pytorch_optimizer",
            hyperparameters=tuple(given),
            help=f"pytorch_optimizer.{name} itself, with its own conventions; outside the promise of parity.",
            expected_failures=EXPECTED_FAILURES.get(name, {}),
            source="Kim, pytorch_optimizer 4.1",
        )
