"""Wrong: the step is of one size whatever the learning rate."""

import kit
from kit.rules.rule import LEARNING_RATE, Rule


class LearningRateIgnored(Rule):
    """Step against the gradient."""

    name = "learning_rate_ignored"
    hyperparameters = (LEARNING_RATE,)

    def update(self, xp, p, g, s, h):
        return p - 0.01 * g, s


@kit.hookimpl
def kit_optimizers():
    yield LearningRateIgnored.record()
