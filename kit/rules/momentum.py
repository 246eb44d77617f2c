"""Momentum: step along a running sum of gradients. The learning rate stands outside the sum, as in
torch.optim."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.records import Hyperparameter
from kit.rules.rule import LEARNING_RATE, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float

MOMENTUM = Hyperparameter(
    name="momentum",
    default=0.9,
    low=0.0,
    high=1.0,
    bounds="[)",
    help="Momentum μ: how much of the running sum is kept at each step; it sums about 1/(1 − μ) gradients.",
)
DAMPENING = Hyperparameter(
    name="dampening",
    default=0.0,
    low=0.0,
    high=1.0,
    help="Dampening d: new gradients enter the sum with 1 − d, except the first; d = μ makes it a mean.",
)


class Momentum(Rule):
    """Step along a running sum of gradients, so that what they agree on adds up and what they don't cancels.

    b ← μ b + (1 − d) g,    at the first step b ← g
    p ← p − η b

    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964 (the heavy ball); as in
    `torch.optim.SGD`. Keras has η inside b, which differs when the learning rate changes.

    >>> descend(Momentum, lambda x: x, [1.0], steps=3, learning_rate=0.5, momentum=0.5)[:, 0].tolist()
    [1.0, 0.5, 0.0, -0.25]
    """

    name = "momentum"
    title = "Momentum (heavy ball)"
    hyperparameters = (replace(LEARNING_RATE, default=0.01), MOMENTUM, DAMPENING)
    slots = ("b",)
    coefficient_names = ("gain",)
    source = "Polyak 1964; Sutskever et al. 2013; torch.optim.SGD"
    reference = "kit.rules.papers:momentum"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return {"gain": 1 - h["dampening"] * (t > 1)}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        b = h.momentum * s["b"] + h.gain * g
        return p - h.learning_rate * b, {"b": b}


class Nesterov(Rule):
    """Momentum that looks ahead: the gradient acts once more as if the running sum had already carried it on.

    b ← μ b + g
    p ← p − η (g + μ b)

    Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k²)", 1983, in the
    form of Sutskever et al., ICML 2013, that `torch.optim.SGD(nesterov=True)` has: p stands at the point
    looked ahead to.

    >>> descend(Nesterov, lambda x: x, [1.0], steps=2, learning_rate=0.5, momentum=0.5)[:, 0].tolist()
    [1.0, 0.25, -0.0625]
    """

    name = "nesterov"
    title = "Nesterov's accelerated gradient"
    hyperparameters = (replace(LEARNING_RATE, default=0.01), MOMENTUM)
    slots = ("b",)
    source = "Nesterov 1983; Sutskever et al. 2013; torch.optim.SGD(nesterov=True)"
    reference = "kit.rules.papers:nesterov"

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        b = h.momentum * s["b"] + g
        return p - h.learning_rate * (g + h.momentum * b), {"b": b}
