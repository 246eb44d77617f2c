"""Lion: steps of one size, in the direction of a sign."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.rules.adam import BETA1, BETA2
from kit.rules.rule import DECAY, LEARNING_RATE, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float


class Lion(Rule):
    """Move every element by η, against the sign of an interpolation between gradient and momentum.

    c = β₁ m + (1 − β₁) g
    p ← p − η (sign(c) + λ p)
    m ← β₂ m + (1 − β₂) g

    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, program 1. It wants an η 3 to
    10 times smaller than AdamW's and a λ as much larger.

    >>> descend(Lion, lambda x: x, [1.0, -3.0, 0.0], steps=2, learning_rate=0.25).tolist()
    [[1.0, -3.0, 0.0], [0.75, -2.75, 0.0], [0.5, -2.5, 0.0]]
    """

    name = "lion"
    title = "Lion"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-4),
        replace(BETA1, help="β₁: the weight of the momentum in the direction of the step."),
        replace(BETA2, default=0.99, help="Decay rate β₂ of the momentum."),
        replace(DECAY, default="decoupled"),
    )
    slots = ("m",)
    coefficient_names = ("one_minus_beta1", "one_minus_beta2")
    source = "Chen et al. 2023, arXiv:2302.06675"
    reference = "kit.rules.papers:lion"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return {"one_minus_beta1": 1 - h["beta1"], "one_minus_beta2": 1 - h["beta2"]}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        c = h.beta1 * s["m"] + h.one_minus_beta1 * g
        m = h.beta2 * s["m"] + h.one_minus_beta2 * g
        return p - h.learning_rate * xp.sign(c), {"m": m}
