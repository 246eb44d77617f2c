"""Gradient descent: one rule, three batch policies (all samples, one, or any number), as the definitions
say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kit.rules.rule import LEARNING_RATE, Array, Rule, Slots


class _Descent(Rule):
    """The update that the three share; they differ in `batch` alone."""

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        return p - h.learning_rate * g, s


class GradientDescent(_Descent):
    """Step against the gradient of the mean loss over all samples.

    p ← p − η g,    g = ∇ (1/n) Σᵢ ℓᵢ(p)

    A. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847; stable on a
    quadratic for η < 2/κ, κ the largest curvature: Nocedal & Wright, "Numerical Optimization", 2006, chapter
    3.

    >>> descend(GradientDescent, lambda x: 2 * x, [1.0], steps=3, learning_rate=0.25)[:, 0].tolist()
    [1.0, 0.5, 0.25, 0.125]
    """

    name = "gd"
    title = "Gradient descent"
    batch = "all"
    hyperparameters = (replace(LEARNING_RATE, default=0.1),)
    source = "Cauchy 1847; Nocedal & Wright 2006, chapter 3"
    reference = "kit.rules.papers:gradient_descent"


class StochasticGradientDescent(_Descent):
    """Step against the gradient of the loss of a single sample.

    p ← p − η g,    g = ∇ ℓᵢ(p),  i drawn anew for each step

    Robbins & Monro, "A Stochastic Approximation Method", Annals of Mathematical Statistics 22, 1951; Bottou,
    Curtis & Nocedal, "Optimization Methods for Large-Scale Machine Learning", SIAM Review 60, 2018.

    >>> descend(StochasticGradientDescent, lambda x: x - 1, [0.0], steps=2, learning_rate=0.5)[:, 0].tolist()
    [0.0, 0.5, 0.75]
    """

    name = "sgd"
    title = "Stochastic gradient descent"
    batch = "one"
    hyperparameters = (replace(LEARNING_RATE, default=0.01),)
    source = "Robbins & Monro 1951; Bottou, Curtis & Nocedal 2018, arXiv:1606.04838"
    reference = "kit.rules.papers:gradient_descent"


class MiniBatchGradientDescent(_Descent):
    """Step against the gradient of the mean loss over a batch of samples.

    p ← p − η g,    g = ∇ (1/b) Σ_{i ∈ B} ℓᵢ(p),  a batch B of b samples drawn for each step

    Dekel, Gilad-Bachrach, Shamir & Xiao, "Optimal Distributed Online Prediction Using Mini-Batches", JMLR 13,
    2012; `torch.optim.SGD` with momentum 0.

    >>> descend(MiniBatchGradientDescent, lambda x: x, [4.0], steps=2, learning_rate=0.5)[:, 0].tolist()
    [4.0, 2.0, 1.0]
    """

    name = "minibatch"
    title = "Mini-batch gradient descent"
    batch = "any"
    hyperparameters = (replace(LEARNING_RATE, default=0.1),)
    source = "Dekel et al. 2012, arXiv:1012.1367; Bottou, Curtis & Nocedal 2018, arXiv:1606.04838"
    reference = "kit.rules.papers:gradient_descent"
