"""Wrong: the step is shaken by random numbers that no seed decides."""

import random

import kit
from kit.rules.rule import LEARNING_RATE, Rule

SOURCE = random.Random()


class RandomWithoutSeed(Rule):
    """Step against the gradient, more or less."""

    name = "random_without_seed"
    hyperparameters = (LEARNING_RATE,)
    elementwise = False

    def update(self, xp, p, g, s, h):
        return p - h.learning_rate * SOURCE.uniform(0.9, 1.1) * g, s


@kit.hookimpl
def kit_optimizers():
    yield RandomWithoutSeed.record()
