"""The optimizer classes of `torch.optim`: the learning rate that each takes by itself, and what it needs beyond the
plain loop. SparseAdam is left out: it takes sparse gradients only, which a dense model does not give.

Reading this imports no PyTorch; a test compares it with the classes.
"""

from __future__ import annotations

from typing import Any

from kit.needs import Needs

NATIVE: dict[str, float] = {
    "ASGD": 1e-2,
    "Adadelta": 1.0,
    "Adafactor": 1e-2,
    "Adagrad": 1e-2,
    "Adam": 1e-3,
    "AdamW": 1e-3,
    "Adamax": 2e-3,
    "LBFGS": 1.0,
    "Muon": 1e-3,
    "NAdam": 2e-3,
    "RAdam": 1e-3,
    "RMSprop": 1e-2,
    "Rprop": 1e-2,
    "SGD": 1e-3,
}

# What a class takes besides, with its own defaults; how it computes (`capturable`, `differentiable`, …) is left out.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ASGD": {"lambd": 0.0001, "alpha": 0.75, "t0": 1000000.0, "weight_decay": 0.0, "maximize": False},
    "Adadelta": {"rho": 0.9, "eps": 1e-06, "weight_decay": 0.0, "maximize": False},
    "Adafactor": {"beta2_decay": -0.8, "d": 1.0, "weight_decay": 0.0, "maximize": False},
    "Adagrad": {
        "lr_decay": 0.0,
        "weight_decay": 0.0,
        "initial_accumulator_value": 0.0,
        "eps": 1e-10,
        "maximize": False,
    },
    "Adam": {
        "betas": (0.9, 0.999),
        "eps": 1e-08,
        "weight_decay": 0.0,
        "amsgrad": False,
        "maximize": False,
        "decoupled_weight_decay": False,
    },
    "AdamW": {"betas": (0.9, 0.999), "eps": 1e-08, "weight_decay": 0.01, "amsgrad": False, "maximize": False},
    "Adamax": {"betas": (0.9, 0.999), "eps": 1e-08, "weight_decay": 0.0, "maximize": False},
    "LBFGS": {"max_iter": 20, "tolerance_grad": 1e-07, "tolerance_change": 1e-09, "history_size": 100},
    "Muon": {
        "weight_decay": 0.1,
        "momentum": 0.95,
        "nesterov": True,
        "ns_coefficients": (3.4445, -4.775, 2.0315),
        "eps": 1e-07,
        "ns_steps": 5,
    },
    "NAdam": {
        "betas": (0.9, 0.999),
        "eps": 1e-08,
        "weight_decay": 0.0,
        "momentum_decay": 0.004,
        "decoupled_weight_decay": False,
        "maximize": False,
    },
    "RAdam": {
        "betas": (0.9, 0.999),
        "eps": 1e-08,
        "weight_decay": 0.0,
        "decoupled_weight_decay": False,
        "maximize": False,
    },
    "RMSprop": {
        "alpha": 0.99,
        "eps": 1e-08,
        "weight_decay": 0.0,
        "momentum": 0.0,
        "centered": False,
        "maximize": False,
    },
    "Rprop": {"etas": (0.5, 1.2), "step_sizes": (1e-06, 50), "maximize": False},
    "SGD": {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False},
}

NEEDS: dict[str, Needs] = {
    "LBFGS": Needs(closure="only", evaluations=None),
    "Muon": Needs(matrices="only", companion="torch.optim:AdamW"),
}

# Checks that a class cannot pass, with the reason: see `kit.records.Component`.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "ASGD": {"optimizer.leaves_untouched_parameters": "Its decay term, `lambd`, is on by default and shrinks all."},
}
