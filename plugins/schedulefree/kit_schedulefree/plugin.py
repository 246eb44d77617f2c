"""What this distribution offers to the kit. Listing it imports neither PyTorch nor schedulefree."""

from __future__ import annotations

from collections.abc import Iterator

from kit.hookspecs import hookimpl
from kit.records import Hyperparameter, OptimizerSpec
from kit_schedulefree.names import BASES, EXPECTED_FAILURES, NEEDS, RATES

WRAPPERS = {"ScheduleFreeWrapper": "wrapper", "ScheduleFreeWrapperReference": "wrapper_reference"}


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    for name, rate in RATES.items():
        given = [Hyperparameter(name="learning_rate", default=rate, low=0.0, log=True, help="Step size.")]
        if name in BASES:
            given.append(Hyperparameter(name="base", default=BASES[name], help="The class of torch.optim within."))
        yield OptimizerSpec(
            name=f"schedulefree.{name}",
            backend="torch",
            native=f"kit_schedulefree.making:{WRAPPERS[name]}" if name in BASES else f"schedulefree:{name}",
            needs=NEEDS[name],
            requires=("torch", "schedulefree"),
            install="pip install schedulefree",
            hyperparameters=tuple(given),
            help=f"schedulefree.{name} itself, with its own conventions; outside the promise of parity.",
            expected_failures=EXPECTED_FAILURES.get(name, {}),
            source="Defazio et al. 2024, The Road Less Scheduled",
        )
