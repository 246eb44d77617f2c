"""The numbers of a run that belong to no component: batch size, budget, replicates, seed, precision, readings."""

from __future__ import annotations

from typing import Any

from kit.engine import DTYPES
from kit.experiment import Experiment
from kit.laboratory.controls import Control
from kit.records import Hyperparameter

UNITS = ("steps", "epochs", "samples", "seconds")
MOST_REPLICATES = 20

SETTINGS: dict[str, Hyperparameter] = {
    record.name: record
    for record in (
        Hyperparameter(
            name="batch_size",
            default=64,
            low=1,
            unit="samples",
            help="Samples in each step, for optimizers that take any number; gd takes all and sgd one.",
        ),
        Hyperparameter(name="budget", default=500.0, low=0.0, bounds="()", help="What each run may spend."),
        Hyperparameter(name="unit", default="steps", choices=UNITS, help="What the budget is counted in."),
        Hyperparameter(
            name="replicates",
            default=3,
            low=1,
            high=MOST_REPLICATES,
            help="Runs of each lane: same settings, other random draws; each draw is shared by all lanes.",
        ),
        Hyperparameter(name="seed", default=0, low=0, help="Root of all random draws: split, start, order."),
        Hyperparameter(name="dtype", default="float32", choices=DTYPES, help="Precision of the arithmetic."),
        Hyperparameter(
            name="evaluate_every",
            default=1,
            low=1,
            unit="steps",
            help="How often losses over whole splits are read; empty: a fiftieth of the budget.",
        ),
    )
}


def settings_of(base: Experiment, replicates: int) -> dict[str, Control]:
    """The controls, as an experiment has them."""
    given: dict[str, Any] = {
        "batch_size": base.batch_size,
        "budget": float(getattr(base.budget, base.budget.unit)),
        "unit": base.budget.unit,
        "replicates": replicates,
        "seed": base.seed,
        "dtype": base.dtype,
        "evaluate_every": base.evaluate_every,
    }
    controls = {
        name: Control.of(record, "The lab", given[name], optional=name == "evaluate_every")
        for name, record in SETTINGS.items()
    }
    SETTINGS["replicates"].check(replicates, "The lab")
    return controls
