"""Keras's own optimizers: their names, and the learning rate that each takes by itself. Light: imports no Keras."""

from __future__ import annotations

# Not the base class; those that wrap another optimizer stand below.
NATIVE = {
    "Adadelta": 0.001,
    "Adafactor": 0.001,
    "Adagrad": 0.001,
    "Adam": 0.001,
    "AdamW": 0.001,
    "Adamax": 0.001,
    "Ftrl": 0.001,
    "Lamb": 0.001,
    "Lion": 0.001,
    "Muon": 0.001,
    "Nadam": 0.001,
    "RMSprop": 0.001,
    "SGD": 0.01,
    "ScheduleFreeAdamW": 0.0025,
}

# Checks that a class cannot pass, with the reason: see `kit.records.Component`.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "Ftrl": {
        "optimizer.leaves_untouched_parameters": "FTRL computes a parameter from its accumulators alone, which start "
        "at zero, and so forgets where the parameter began."
    },
}

# Those that wrap another optimizer, made by the functions of `kit_tensorflow.wrapped`.
WRAPPED = {"LossScaleOptimizer": "loss_scaled", "MultiOptimizer": "multiple"}
WRAPPED_RATE = 0.001
