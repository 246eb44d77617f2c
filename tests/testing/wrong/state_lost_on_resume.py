"""Wrong: the step number is counted on the object, of which a resumed run has a new one."""

import kit
from kit.rules.rule import LEARNING_RATE, Rule


class StateLostOnResume(Rule):
    """Step against the gradient, less and less."""

    name = "state_lost_on_resume"
    hyperparameters = (LEARNING_RATE,)
    elementwise = False
    calls = 0

    def update(self, xp, p, g, s, h):
        self.calls += 1
        return p - h.learning_rate / self.calls * g, s


@kit.hookimpl
def kit_optimizers():
    yield StateLostOnResume.record()
