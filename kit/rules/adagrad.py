"""Rates of their own for every element, from the size of its gradients so far: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.records import Hyperparameter
from kit.rules.momentum import MOMENTUM
from kit.rules.rule import LEARNING_RATE, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float

EPSILON = Hyperparameter(
    name="epsilon", default=1e-8, low=0.0, log=True, help="ε, added to the root: it bounds the step."
)
RHO = Hyperparameter(name="rho", default=0.9, low=0.0, high=1.0, bounds="[)", help="Decay rate ρ of the mean of g².")


class Adagrad(Rule):
    """Divide each element's step by the root of the sum of all its squared gradients: rare features move far.

    v ← v + g²,    v₀ = `initial_accumulator`
    p ← p − η / (1 + (t − 1) δ) · g / (√v + ε),    δ = `lr_decay`

    Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    JMLR 12, 2011; as in `torch.optim.Adagrad` (Keras starts v at 0.1).

    >>> descend(Adagrad, lambda x: x / abs(x), [1.0], steps=1, learning_rate=0.5, epsilon=0.0)[:, 0].tolist()
    [1.0, 0.5]
    """

    name = "adagrad"
    title = "Adagrad"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-2),
        Hyperparameter(name="lr_decay", default=0.0, low=0.0, help="δ: the learning rate falls as 1/(1 + (t − 1) δ)."),
        Hyperparameter(name="initial_accumulator", default=0.0, low=0.0, help="Where the sum of squares v starts."),
        replace(EPSILON, default=1e-10),
    )
    slots = ("v",)
    coefficient_names = ("rate",)
    source = "Duchi, Hazan & Singer 2011; torch.optim.Adagrad"
    reference = "kit.rules.papers:adagrad"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return {"rate": h["learning_rate"] / (1 + (t - 1) * h["lr_decay"])}, carry

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        return {"v": xp.zeros_like(p) + h.initial_accumulator}

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        v = s["v"] + g * g
        return p - h.rate * g / (xp.sqrt(v) + h.epsilon), {"v": v}


class Adadelta(Rule):
    """Steps in the parameter's own unit: the root mean square of past steps over that of past gradients.

    v ← ρ v + (1 − ρ) g²
    d = √(u + ε) / √(v + ε) · g
    u ← ρ u + (1 − ρ) d²
    p ← p − η d

    Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1 (there η = 1);
    `torch.optim.Adadelta`.

    >>> descend(Adadelta, lambda x: x, [1.0], steps=1, rho=0.0, epsilon=1.0)[:, 0].round(6).tolist()
    [1.0, 0.292893]
    """

    name = "adadelta"
    title = "Adadelta"
    hyperparameters = (
        replace(LEARNING_RATE, default=1.0),
        RHO,
        replace(EPSILON, default=1e-6, help="ε, under both roots: it sets the size of the first step."),
    )
    slots = ("v", "u")
    coefficient_names = ("one_minus_rho",)
    source = "Zeiler 2012, arXiv:1212.5701; torch.optim.Adadelta"
    reference = "kit.rules.papers:adadelta"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return {"one_minus_rho": 1 - h["rho"]}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        v = h.rho * s["v"] + h.one_minus_rho * g * g
        d = xp.sqrt(s["u"] + h.epsilon) / xp.sqrt(v + h.epsilon) * g
        u = h.rho * s["u"] + h.one_minus_rho * d * d
        return p - h.learning_rate * d, {"v": v, "u": u}


class RMSprop(Rule):
    """Divide the gradient by the root of a running mean of its square: Adagrad that forgets.

    v ← ρ v + (1 − ρ) g²
    σ = √v + ε,    if centered: a ← ρ a + (1 − ρ) g and σ = √(v − a²) + ε
    b ← μ b + g / σ
    p ← p − η b

    Hinton, Srivastava & Swersky, "Neural Networks for Machine Learning", lecture 6e, 2012; centered: Graves,
    "Generating Sequences With Recurrent Neural Networks", 2013. As in `torch.optim.RMSprop`, whose `alpha` is
    ρ (Keras has ρ = 0.9 and ε under the root).

    >>> x = descend(RMSprop, lambda x: x, [1.0], steps=1, rho=0.0, epsilon=0.0, learning_rate=0.25)
    >>> x[:, 0].tolist()
    [1.0, 0.75]
    """

    name = "rmsprop"
    title = "RMSprop"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-2),
        replace(RHO, default=0.99),
        EPSILON,
        replace(MOMENTUM, default=0.0),
        Hyperparameter(
            name="centered", default=False, help="Divide by the standard deviation instead of the root of v."
        ),
    )
    slots = ("v", "b", "a")
    coefficient_names = ("one_minus_rho",)
    source = "Hinton, Srivastava & Swersky 2012; Graves 2013, arXiv:1308.0850; torch.optim.RMSprop"
    reference = "kit.rules.papers:rmsprop"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return {"one_minus_rho": 1 - h["rho"]}, carry

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        names = self.slots if self.structure["centered"] else ("v", "b")
        return {name: xp.zeros_like(p) for name in names}

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        s = s | {"v": h.rho * s["v"] + h.one_minus_rho * g * g}
        if self.structure["centered"]:
            s["a"] = h.rho * s["a"] + h.one_minus_rho * g
            # v ≥ a² but for rounding, which would turn a constant gradient into NaN.
            sigma = xp.sqrt(xp.maximum(s["v"] - s["a"] * s["a"], 0.0)) + h.epsilon
        else:
            sigma = xp.sqrt(s["v"]) + h.epsilon
        s["b"] = h.momentum * s["b"] + g / sigma
        return p - h.learning_rate * s["b"], s
