"""LAMB: Adam's direction, with a length that is set layer by layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kit.rules.adam import BETA1, BETA2, EPSILON, Moments, direction, moments
from kit.rules.rule import DECAY, LEARNING_RATE, WEIGHT_DECAY, Array, Slots


def norm(xp: Any, x: Array) -> Array:
    """‖x‖ over each trial's whole parameter: (trials, 1, …, 1)."""
    return xp.sqrt(xp.sum(x * x, tuple(range(1, len(x.shape))), keepdims=True))


class LAMB(Moments):
    """Give every layer's Adam step, weight decay included, a length in proportion to the layer's own norm.

    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²
    r = (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
    p ← p − η · ‖p‖ / ‖r + λ p‖ · (r + λ p),    the ratio is 1 where one of the norms is 0

    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020,
    algorithm 2 with φ(z) = z. Decoupled decay stands inside the ratio; each parameter array is a layer.

    >>> descend(LAMB, lambda x: x, [3.0, 4.0], steps=1, learning_rate=0.1, weight_decay=0.0).round(4).tolist()
    [[3.0, 4.0], [2.6464, 3.6464]]
    """

    name = "lamb"
    title = "LAMB"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-3),
        BETA1,
        BETA2,
        replace(EPSILON, default=1e-6),
        replace(WEIGHT_DECAY, default=0.01),
        replace(DECAY, default="decoupled"),
    )
    elementwise = False
    decay_inside = True
    source = "You et al. 2020, arXiv:1904.00962"
    reference = "kit.rules.papers:lamb"

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        m, v = moments(g, s, h)
        r = direction(xp, m, v, h)
        if self.decoupled:
            r = r + h.weight_decay * p
        size, length = norm(xp, p), norm(xp, r)
        defined = (size > 0) & (length > 0)
        one = xp.ones_like(size)
        ratio = xp.where(defined, size, one) / xp.where(defined, length, one)
        return p - h.learning_rate * ratio * r, {"m": m, "v": v}
