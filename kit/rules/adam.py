"""Adam and the rules that differ from it by a line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.records import Hyperparameter
from kit.rules.rule import LEARNING_RATE, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float

BETA1 = Hyperparameter(
    name="beta1", default=0.9, low=0.0, high=1.0, bounds="[)", help="Decay rate β₁ of the mean of the gradient."
)
BETA2 = Hyperparameter(
    name="beta2", default=0.999, low=0.0, high=1.0, bounds="[)", help="Decay rate β₂ of the mean of its square."
)
EPSILON = Hyperparameter(
    name="epsilon", default=1e-8, low=0.0, log=True, help="ε, added to the root after bias correction."
)


class Adam(Rule):
    """Divide a running mean of the gradient by the root of a running mean of its square, both corrected for their start.

    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²
    p ← p − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.

    >>> kit.optimizer("adam", learning_rate=1e-3, beta2=0.99)       # doctest: +SKIP
    """

    name = "adam"
    hyperparameters = (replace(LEARNING_RATE, default=1e-3), BETA1, BETA2, EPSILON)
    slots = ("m", "v")
    coefficient_names = ("one_minus_beta1", "one_minus_beta2", "correction1", "correction2")
    source = "Kingma & Ba 2015, arXiv:1412.6980"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return {
            "one_minus_beta1": 1 - h["beta1"],
            "one_minus_beta2": 1 - h["beta2"],
            "correction1": 1 - h["beta1"] ** t,
            "correction2": 1 - h["beta2"] ** t,
        }, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        m = h.beta1 * s["m"] + h.one_minus_beta1 * g
        v = h.beta2 * s["v"] + h.one_minus_beta2 * g * g
        p = p - h.learning_rate * (m / h.correction1) / (xp.sqrt(v / h.correction2) + h.epsilon)
        return p, {"m": m, "v": v}
