"""Sign descent: an optimizer of every backend, in one line of arithmetic."""

import kit
from kit.rules.rule import Rule


class SignDescent(Rule):
    """p ← p − η sign(g): every parameter moves by the same amount, against its gradient's sign."""

    name = "sign_descent"
    title = "Sign descent"
    source = "Riedmiller & Braun 1993, without its adaptive steps"

    def update(self, xp, p, g, s, h):
        return p - h.learning_rate * xp.sign(g), s


@kit.hookimpl
def kit_optimizers():
    yield SignDescent.record()
