"""Wrong: a float64 number of NumPy's makes a float32 run go on in float64."""

import kit
from kit.rules.rule import LEARNING_RATE, Rule


class Float64Leak(Rule):
    """Step against the gradient, by a share of it."""

    name = "float64_leak"
    hyperparameters = (LEARNING_RATE,)

    def update(self, xp, p, g, s, h):
        import numpy as np

        return p - h.learning_rate * (g * np.sqrt(0.5)), s


@kit.hookimpl
def kit_optimizers():
    yield Float64Leak.record()
