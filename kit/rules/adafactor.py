"""Adafactor: the second moment of a matrix kept as one row and one column."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.records import Hyperparameter
from kit.rules.rule import DECAY, LEARNING_RATE, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float


def root_mean_square(xp: Any, x: Array) -> Array:
    """RMS over each trial's whole parameter: (trials, 1, …, 1)."""
    return xp.sqrt(xp.mean(x * x, tuple(range(1, len(x.shape))), keepdims=True))


class Adafactor(Rule):
    """Adam without momentum, with the second moment of a matrix factored and steps relative to the parameter.

    1 − β̂ₜ = t^τ,    ρₜ = min(η, 1/√t),    αₜ = max(ε₂, RMS(p)) ρₜ,    τ = `beta2_decay`
    matrices:  R ← β̂ₜ R + (1 − β̂ₜ) mean(g², columns),  C ← β̂ₜ C + (1 − β̂ₜ) mean(g², rows)
               V = R C / max(mean(R), ε₁)
    others:    V ← β̂ₜ V + (1 − β̂ₜ) g²
    U = g / max(√V, ε₁)
    p ← (1 − η λ) p − αₜ U / max(1, RMS(U) / d)

    Shazeer & Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018, as
    `torch.optim.Adafactor` defines it; arrays of more than two axes are factored along the last two. Its rate
    is bounded by 1/√t, so a constant `learning_rate` already is a schedule.

    >>> descend(Adafactor, lambda x: x, [[1.0, 1.0]], steps=1, learning_rate=0.5).tolist()
    [[[1.0, 1.0]], [[0.5, 0.5]]]
    """

    name = "adafactor"
    title = "Adafactor"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-2, help="Relative step size η; the step falls as 1/√t below it."),
        Hyperparameter(
            name="beta2_decay",
            default=-0.8,
            low=-1.0,
            high=0.0,
            help="τ: the memory of the second moment grows as t^−τ.",
        ),
        Hyperparameter(
            name="epsilon1",
            default=0.0,
            low=0.0,
            log=True,
            help="ε₁, the least root of V; 0: the machine epsilon of the precision.",
        ),
        Hyperparameter(
            name="epsilon2",
            default=1e-3,
            low=0.0,
            log=True,
            help="ε₂, the least size that a parameter counts as.",
        ),
        Hyperparameter(name="clipping", default=1.0, low=1.0, help="d: the largest root mean square of an update U."),
        replace(DECAY, default="decoupled"),
    )
    slots = ("row", "column", "v")
    elementwise = False
    decay_inside = True  # RMS(p) is taken before the decay
    coefficient_names = ("one_minus_beta2", "beta2", "rho")
    source = "Shazeer & Stern 2018, arXiv:1804.04235; torch.optim.Adafactor"
    reference = "kit.rules.papers:adafactor"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        import numpy as np

        from kit.rules.power import power

        one_minus_beta2 = power(t, h["beta2_decay"])
        return {
            "one_minus_beta2": one_minus_beta2,
            "beta2": 1 - one_minus_beta2,
            "rho": np.minimum(h["learning_rate"], 1 / np.sqrt(t)),
        }, carry

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        if len(p.shape) < 3:
            return {"v": xp.zeros_like(p)}
        return {"row": xp.zeros_like(p[..., :1]), "column": xp.zeros_like(p[..., :1, :])}

    def second_moment(self, xp: Any, g: Array, s: Slots, h: Any, epsilon1: Array) -> tuple[Array, Slots]:
        if len(g.shape) < 3:
            v = h.beta2 * s["v"] + h.one_minus_beta2 * g * g
            return v, {"v": v}
        row = h.beta2 * s["row"] + h.one_minus_beta2 * xp.mean(g * g, (-1,), keepdims=True)
        column = h.beta2 * s["column"] + h.one_minus_beta2 * xp.mean(g * g, (-2,), keepdims=True)
        v = row * column / xp.maximum(xp.mean(row, (-2,), keepdims=True), epsilon1)
        return v, {"row": row, "column": column}

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        machine = xp.full_like(h.epsilon1, xp.epsilon(p))
        epsilon1 = xp.where(h.epsilon1 > 0, h.epsilon1, machine)
        alpha = xp.maximum(root_mean_square(xp, p), h.epsilon2) * h.rho
        v, s = self.second_moment(xp, g, s, h, epsilon1)
        u = g / xp.maximum(xp.sqrt(v), epsilon1)
        if self.decoupled:
            p = p * (1 - h.learning_rate * h.weight_decay)
        return p - alpha * u / xp.maximum(root_mean_square(xp, u) / h.clipping, 1.0), s
