"""The optimizers of optax that train any model, with the learning rate that each is usually run at: optax itself gives
none. Left out are `noisy_sgd`, which wants a key of its own, and `rprop`, whose rate is that of its first step alone,
where the adapter has none yet. Light: imports no optax; a test runs every one of them.
"""

from __future__ import annotations

from kit.needs import Needs

NATIVE: dict[str, float] = {
    "adabelief": 1e-3,
    "adadelta": 1.0,
    "adafactor": 1e-3,
    "adagrad": 1e-2,
    "adam": 1e-3,
    "adamax": 2e-3,
    "adamaxw": 2e-3,
    "adamw": 1e-3,
    "adan": 1e-3,
    "amsgrad": 1e-3,
    "fromage": 1e-2,
    "lamb": 1e-3,
    "lars": 1e-1,
    "lbfgs": 1.0,
    "lion": 1e-4,
    "nadam": 2e-3,
    "nadamw": 1e-3,
    "novograd": 1e-3,
    "optimistic_gradient_descent": 1e-2,
    "polyak_sgd": 1.0,
    "radam": 1e-3,
    "rmsprop": 1e-3,
    "sgd": 1e-2,
    "sign_sgd": 1e-3,
    "sm3": 1e-2,
    "yogi": 1e-2,
}

# What an optimizer needs beside gradients, state, parameters and the loss.
NEEDS: dict[str, Needs] = {
    "lbfgs": Needs(evaluations=None),  # a line search
    "polyak_sgd": Needs(rate="max_learning_rate"),
}

# Checks that an optimizer cannot pass, with the reason: see `kit.records.Component`.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "fromage": {
        "optimizer.leaves_untouched_parameters": "It divides every parameter by the root of 1 + η² in every step."
    },
    "yogi": {
        "optimizer.leaves_untouched_parameters": "Its moments begin at 1e-6, the mean of the gradient too, and so move "
        "a parameter that has no gradient."
    },
}
