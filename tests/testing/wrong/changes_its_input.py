"""Wrong: the running mean is updated in place, in the array that the caller goes on using."""

import kit
from kit.rules.rule import LEARNING_RATE, Rule


class ChangesItsInput(Rule):
    """Step against a running sum of gradients."""

    name = "changes_its_input"
    hyperparameters = (LEARNING_RATE,)
    slots = ("m",)

    def update(self, xp, p, g, s, h):
        m = s["m"]
        m *= 0.5
        m += g
        return p - h.learning_rate * m, {"m": m}


@kit.hookimpl
def kit_optimizers():
    yield ChangesItsInput.record()
