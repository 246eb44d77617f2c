"""Adam and the rules that differ from it by a line: AMSGrad, Adamax, NAdam, AdamW."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from kit.records import Hyperparameter
from kit.rules.rule import DECAY, LEARNING_RATE, WEIGHT_DECAY, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float

BETA1 = Hyperparameter(
    name="beta1",
    default=0.9,
    low=0.0,
    high=1.0,
    bounds="[)",
    help="Decay rate β₁ of the mean of the gradient.",
)
BETA2 = Hyperparameter(
    name="beta2",
    default=0.999,
    low=0.0,
    high=1.0,
    bounds="[)",
    help="Decay rate β₂ of the mean of its square.",
)
EPSILON = Hyperparameter(
    name="epsilon", default=1e-8, low=0.0, log=True, help="ε, added to the root after bias correction."
)


def moments(g: Array, s: Slots, h: Any) -> tuple[Array, Array]:
    """m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g²."""
    m = h.beta1 * s["m"] + h.one_minus_beta1 * g
    v = h.beta2 * s["v"] + h.one_minus_beta2 * g * g
    return m, v


def direction(xp: Any, m: Array, v: Array, h: Any) -> Array:
    """(m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)."""
    return (m / h.correction1) / (xp.sqrt(v / h.correction2) + h.epsilon)


class Moments(Rule):
    """The base of the rules with a running mean of the gradient and one of its square, corrected for their
    start."""

    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    coefficient_names: ClassVar[tuple[str, ...]] = (
        "one_minus_beta1", "one_minus_beta2", "correction1", "correction2",
    )  # fmt: skip

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        from kit.rules.power import power

        return {
            "one_minus_beta1": 1 - h["beta1"],
            "one_minus_beta2": 1 - h["beta2"],
            "correction1": 1 - power(h["beta1"], t),
            "correction2": 1 - power(h["beta2"], t),
        }, carry


class _AdamUpdate(Moments):
    """The update that Adam and AdamW share; they differ in where weight decay stands."""

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        m, v = moments(g, s, h)
        return p - h.learning_rate * direction(xp, m, v, h), {"m": m, "v": v}


class Adam(_AdamUpdate):
    """Divide a running mean of the gradient by the root of a running mean of its square, both bias-corrected.

    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²
    p ← p − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1; as in
    `torch.optim.Adam` (Keras adds its ε before the bias correction).

    >>> descend(Adam, lambda x: 2 * x, [1.0, -2.0], steps=2, learning_rate=0.5).round(3).tolist()
    [[1.0, -2.0], [0.5, -1.5], [0.034, -1.009]]
    """

    name = "adam"
    title = "Adam"
    hyperparameters = (replace(LEARNING_RATE, default=1e-3), BETA1, BETA2, EPSILON)
    source = "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adam"
    reference = "kit.rules.papers:adam"


class AdamW(_AdamUpdate):
    """Adam with weight decay applied to the parameter itself, so that it is not divided by the root of v.

    p ← (1 − η λ) p
    p ← p − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε),    m and v as in Adam

    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2; as in
    `torch.optim.AdamW`, where λ is multiplied by the scheduled η.

    >>> x = descend(AdamW, lambda x: 0 * x, [1.0], steps=2, learning_rate=0.5, weight_decay=1.0)
    >>> x[:, 0].tolist()
    [1.0, 0.5, 0.25]
    """

    name = "adamw"
    title = "AdamW"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-3),
        BETA1,
        BETA2,
        EPSILON,
        replace(WEIGHT_DECAY, default=0.01),
        replace(DECAY, default="decoupled"),
    )
    source = "Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW"
    reference = "kit.rules.papers:adamw"


class AMSGrad(Moments):
    """Adam whose rate per element never rises: it divides by the largest v so far.

    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²
    w ← max(w, v)
    p ← p − η · (m / (1 − β₁ᵗ)) / (√(w / (1 − β₂ᵗ)) + ε)

    Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, algorithm 2; with Adam's bias
    corrections, as in `torch.optim.Adam(amsgrad=True)`.

    >>> x = descend(AMSGrad, lambda x: x, [1.0], steps=1, learning_rate=0.5, epsilon=0.0)
    >>> x[:, 0].tolist()
    [1.0, 0.5]
    """

    name = "amsgrad"
    title = "AMSGrad"
    hyperparameters = (replace(LEARNING_RATE, default=1e-3), BETA1, BETA2, EPSILON)
    slots = ("m", "v", "w")
    source = "Reddi, Kale & Kumar 2018, arXiv:1904.09237; torch.optim.Adam(amsgrad=True)"
    reference = "kit.rules.papers:amsgrad"

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        m, v = moments(g, s, h)
        w = xp.maximum(s["w"], v)
        return p - h.learning_rate * direction(xp, m, w, h), {"m": m, "v": v, "w": w}


class Adamax(Rule):
    """Adam with the largest recent gradient in the place of the root of the mean square.

    m ← β₁ m + (1 − β₁) g
    u ← max(β₂ u, |g| + ε)
    p ← p − η / (1 − β₁ᵗ) · m / u

    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 2, with an ε that keeps u
    above 0 as in `torch.optim.Adamax`.

    >>> x = descend(Adamax, lambda x: x, [1.0], steps=1, learning_rate=0.5, epsilon=0.0)
    >>> x[:, 0].round(12).tolist()
    [1.0, 0.5]
    """

    name = "adamax"
    title = "Adamax"
    hyperparameters = (
        replace(LEARNING_RATE, default=2e-3),
        BETA1,
        replace(BETA2, help="Decay rate β₂ of the largest gradient."),
        replace(EPSILON, help="ε, added to |g|: u never falls below it."),
    )
    slots = ("m", "u")
    coefficient_names = ("one_minus_beta1", "correction1")
    source = "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adamax"
    reference = "kit.rules.papers:adamax"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        from kit.rules.power import power

        return {"one_minus_beta1": 1 - h["beta1"], "correction1": 1 - power(h["beta1"], t)}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        m = h.beta1 * s["m"] + h.one_minus_beta1 * g
        u = xp.maximum(h.beta2 * s["u"], xp.abs(g) + h.epsilon)
        return p - h.learning_rate / h.correction1 * m / u, {"m": m, "u": u}


class NAdam(Moments):
    """Adam with Nesterov's look ahead: the fresh gradient acts once more, and momentum warms up.

    μₜ = β₁ (1 − ½ · 0.96^(t ψ)),    Πₜ = μ₁ ⋯ μₜ,    ψ = `momentum_decay`
    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²
    p ← p − η · ((1 − μₜ) / (1 − Πₜ) · g + μₜ₊₁ / (1 − Πₜ₊₁) · m) / (√(v / (1 − β₂ᵗ)) + ε)

    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016; as in `torch.optim.NAdam`.

    >>> x = descend(NAdam, lambda x: x, [1.0], steps=1, beta1=0.0, epsilon=0.0, learning_rate=0.5)
    >>> x[:, 0].round(12).tolist()
    [1.0, 0.5]
    """

    name = "nadam"
    title = "NAdam"
    hyperparameters = (
        replace(LEARNING_RATE, default=2e-3),
        BETA1,
        BETA2,
        EPSILON,
        Hyperparameter(name="momentum_decay", default=4e-3, low=0.0, help="ψ: how fast μ rises from β₁/2 to β₁."),
    )
    coefficient_names = ("one_minus_beta1", "one_minus_beta2", "correction2", "gain_gradient", "gain_mean")
    source = "Dozat 2016; torch.optim.NAdam"
    reference = "kit.rules.papers:nadam"

    def carry(self, trials: int) -> dict[str, Float]:
        import numpy as np

        return {"product": np.ones(trials)}

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        import numpy as np

        from kit.rules.power import power

        base = np.array([[0.96]])
        mu = h["beta1"] * (1 - 0.5 * power(base, t * h["momentum_decay"]))
        mu_next = h["beta1"] * (1 - 0.5 * power(base, (t + 1) * h["momentum_decay"]))
        # From the carried product on, one factor after the other: the same bits however the steps are split.
        product = np.multiply.accumulate(np.concatenate([carry["product"][None], mu]), axis=0)[1:]
        return {
            "one_minus_beta1": 1 - h["beta1"],
            "one_minus_beta2": 1 - h["beta2"],
            "correction2": 1 - power(h["beta2"], t),
            "gain_gradient": (1 - mu) / (1 - product),
            "gain_mean": mu_next / (1 - product * mu_next),
        }, {"product": product[-1]}

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        m, v = moments(g, s, h)
        ahead = h.gain_gradient * g + h.gain_mean * m
        p = p - h.learning_rate * ahead / (xp.sqrt(v / h.correction2) + h.epsilon)
        return p, {"m": m, "v": v}
