"""Keras's own optimizers: their names, and the learning rate that each takes by itself. Light: imports no Keras."""

from __future__ import annotations

from typing import Any

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

# What a class takes besides, with its own defaults; what all take alike stands in `SHARED`.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Adadelta": {"rho": 0.95, "epsilon": 1e-07},
    "Adafactor": {
        "beta_2_decay": -0.8,
        "epsilon_1": 1e-30,
        "epsilon_2": 0.001,
        "clip_threshold": 1.0,
        "relative_step": True,
    },
    "Adagrad": {"initial_accumulator_value": 0.1, "epsilon": 1e-07},
    "Adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07, "amsgrad": False},
    "AdamW": {"weight_decay": 0.004, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07, "amsgrad": False},
    "Adamax": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07},
    "Ftrl": {
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0,
        "l2_shrinkage_regularization_strength": 0.0,
        "beta": 0.0,
    },
    "Lamb": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07},
    "Lion": {"beta_1": 0.9, "beta_2": 0.99},
    "Muon": {
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.999,
        "adam_weight_decay": 0.004,
        "epsilon": 1e-07,
        "weight_decay": 0.004,
        "exclude_embeddings": True,
        "muon_a": 3.4445,
        "muon_b": -4.775,
        "muon_c": 2.0315,
        "adam_lr_ratio": 1,
        "momentum": 0.95,
        "ns_steps": 5,
        "nesterov": True,
        "rms_rate": 0.2,
    },
    "Nadam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07},
    "RMSprop": {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-07, "centered": False},
    "SGD": {"momentum": 0.0, "nesterov": False},
    "ScheduleFreeAdamW": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-08, "warmup_steps": 0},
}

SHARED: dict[str, Any] = {"use_ema": False, "ema_momentum": 0.99}

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
