"""Wrong: the running mean is kept in a global, where every run of the process finds it."""

import kit
from kit.rules.rule import LEARNING_RATE, Rule

SEEN = []


class HiddenGlobalState(Rule):
    """Step against the gradient, less and less."""

    name = "hidden_global_state"
    hyperparameters = (LEARNING_RATE,)
    elementwise = False

    def update(self, xp, p, g, s, h):
        SEEN.append(1)
        return p - h.learning_rate / len(SEEN) * g, s


@kit.hookimpl
def kit_optimizers():
    yield HiddenGlobalState.record()
