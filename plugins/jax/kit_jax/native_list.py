"""The optimizers of optax that train any model, with the learning rate that each is usually run at: optax itself gives
none. Left out is `noisy_sgd`, which wants a key of its own. Light: imports no optax; a test runs every one of them.
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
    "rprop": 1e-3,
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
