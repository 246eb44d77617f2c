"""Rules that torch.optim does not define, against the pseudo-code of their papers: one number at a time, in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.rules import LAMB, Lion, ScheduleFree, ScheduleFreeAdamW

STEPS = 300
BOUND = 1e-10
ε = 1e-3  # large enough to expose where it stands
Layers = list[list[float]]  # the numbers of each parameter array


def lion(w: Layers, gradient: Callable, rates: list[float], β1: float, β2: float, λ: float) -> list[Layers]:
    """Chen et al. 2023, program 1."""
    m = [[0.0] * len(layer) for layer in w]
    path = []
    for η in rates:
        g = gradient(w)
        for k, layer in enumerate(w):
            for i in range(len(layer)):
                c = m[k][i] * β1 + g[k][i] * (1 - β1)
                update = (c > 0) - (c < 0)
                m[k][i] = m[k][i] * β2 + g[k][i] * (1 - β2)
                layer[i] -= η * (update + λ * layer[i])
        path.append([list(layer) for layer in w])
    return path


def lamb(x: Layers, gradient: Callable, rates: list[float], β1: float, β2: float, λ: float) -> list[Layers]:
    """You et al. 2020, algorithm 2, φ the identity."""
    m = [[0.0] * len(layer) for layer in x]
    v = [[0.0] * len(layer) for layer in x]
    path = []
    for t, η in enumerate(rates, 1):
        g = gradient(x)
        for k, layer in enumerate(x):
            u = []
            for i in range(len(layer)):
                m[k][i] = β1 * m[k][i] + (1 - β1) * g[k][i]
                v[k][i] = β2 * v[k][i] + (1 - β2) * g[k][i] ** 2
                m_hat = m[k][i] / (1 - β1**t)
                v_hat = v[k][i] / (1 - β2**t)
                r = m_hat / (math.sqrt(v_hat) + ε)
                u.append(r + λ * layer[i])
            ratio = math.hypot(*layer) / math.hypot(*u)
            for i in range(len(layer)):
                layer[i] -= η * ratio * u[i]
        path.append([list(layer) for layer in x])
    return path


def schedule_free_sgd(
    x: Layers, gradient: Callable, rates: list[float], β: float, λ: float, warm_up: int, r: float
) -> list[Layers]:
    """Defazio et al. 2024, equations 3 to 5, with the weights of the average as `schedulefree` 1.4 has them."""
    z = [list(layer) for layer in x]
    largest = weights = 0.0
    path = []
    for t, η in enumerate(rates, 1):
        γ = η * min(1.0, t / warm_up)
        largest = max(largest, γ)
        weight = t**r * largest**2
        weights += weight
        c = weight / weights
        y = [[(1 - β) * b + β * a for a, b in zip(xk, zk, strict=True)] for xk, zk in zip(x, z, strict=True)]
        g = gradient(y)
        for k in range(len(x)):
            for i in range(len(x[k])):
                z[k][i] -= γ * (g[k][i] + λ * y[k][i])
                x[k][i] = (1 - c) * x[k][i] + c * z[k][i]
        path.append([list(layer) for layer in x])
    return path


def schedule_free_adamw(
    x: Layers, gradient: Callable, rates: list[float], β1: float, β2: float, λ: float, warm_up: int, paper: bool
) -> list[Layers]:
    """Defazio et al. 2024, algorithm 1 where `paper`; else the bias of v is corrected as `schedulefree` 1.4 has it."""
    z = [list(layer) for layer in x]
    v = [[0.0] * len(layer) for layer in x]
    squares = 0.0
    path = []
    for t, η in enumerate(rates, 1):
        y = [[(1 - β1) * b + β1 * a for a, b in zip(xk, zk, strict=True)] for xk, zk in zip(x, z, strict=True)]
        g = gradient(y)
        bias = 1 - β2**t
        γ = η * min(1.0, t / warm_up) * (math.sqrt(bias) if paper else 1.0)
        squares += γ**2
        c = γ**2 / squares
        for k in range(len(x)):
            for i in range(len(x[k])):
                v[k][i] = β2 * v[k][i] + (1 - β2) * g[k][i] ** 2
                root = math.sqrt(v[k][i] if paper else v[k][i] / bias)
                z[k][i] = z[k][i] - γ * g[k][i] / (root + ε) - γ * λ * y[k][i]
                x[k][i] = (1 - c) * x[k][i] + c * z[k][i]
        path.append([list(layer) for layer in x])
    return path


FALLING = np.where(np.arange(STEPS) < 150, 1.0, 0.3)
RISING = np.where(np.arange(STEPS) < 150, 1.0, 1.5)  # then the largest rate so far is the present one, as in the paper
BETAS = {"beta1": 0.85, "beta2": 0.97}
CASES: dict[str, tuple[Any, dict[str, Any], Any, Callable, tuple[Any, ...]]] = {
    "lion": (Lion, {"learning_rate": 0.01} | BETAS, FALLING, lion, (0.85, 0.97, 0.1)),
    "lamb": (LAMB, {"learning_rate": 0.02, "epsilon": ε} | BETAS, FALLING, lamb, (0.85, 0.97, 0.1)),
    "schedule_free": (
        ScheduleFree,
        {"learning_rate": 0.3, "beta": 0.8, "warmup_steps": 20, "r": 0.5},
        FALLING,
        schedule_free_sgd,
        (0.8, 0.1, 20, 0.5),
    ),
    "schedule_free_adamw": (
        ScheduleFreeAdamW,
        {"learning_rate": 0.05, "beta": 0.8, "beta2": 0.97, "epsilon": ε, "warmup_steps": 20},
        RISING,
        schedule_free_adamw,
        (0.8, 0.97, 0.1, 20, False),
    ),
    "schedule_free_adamw paper": (
        ScheduleFreeAdamW,
        {"learning_rate": 0.05, "beta": 0.8, "beta2": 0.97, "epsilon": ε, "warmup_steps": 20}
        | {"bias_correction": "rate"},
        RISING,
        schedule_free_adamw,
        (0.8, 0.97, 0.1, 20, True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_paper(case: str, rules: Any, record_property: Any) -> None:
    rule, options, factors, paper, arguments = CASES[case]
    bowl = rules.Bowl()

    def gradient(layers: Layers) -> Layers:
        shaped = [np.reshape(layer, shape) for layer, shape in zip(layers, rules.SHAPES, strict=True)]
        return [np.ravel(g).tolist() for g in bowl(shaped)]

    start = [np.ravel(p).tolist() for p in rules.arrays(0)]
    path = paper(start, gradient, (factors * options["learning_rate"]).tolist(), *arguments)

    ours = rules.reference(rule, rules.arrays(0, trials=1), weight_decay=0.1, **options)
    gradients, worst, moved = rules.Bowl(), 0.0, np.zeros(len(start))
    for factor, expected in zip(factors, path, strict=True):
        ours.advance(gradients, np.array([[factor]]))
        for p, layer in zip(ours.evaluated(), expected, strict=True):
            worst = max(worst, float(np.abs(p[0].ravel() - layer).max()))
        travelled = [np.abs(p[0] - q).max() for p, q in zip(ours.evaluated(), rules.arrays(0), strict=True)]
        moved = np.maximum(moved, travelled)
    record_property("deviation", worst)
    assert worst <= BOUND
    assert moved.min() > 0.05, "a comparison of parameters that stand still shows nothing"


def test_lamb_where_a_norm_is_zero(rules: Any) -> None:
    """The trust ratio is 1 there: a layer that starts at zero moves, and a gradient of zero moves nothing."""
    ours = rules.reference(LAMB, [np.zeros((1, 3)), np.ones((1, 3))], learning_rate=0.1, weight_decay=0.0)
    ours.advance(lambda p: [np.ones((1, 3)), np.zeros((1, 3))], np.ones((1, 1)))
    np.testing.assert_allclose(ours.parameters[0], -0.1, rtol=1e-5)
    assert (ours.parameters[1] == 1).all()


def test_schedule_free_when_the_rate_starts_at_zero(rules: Any) -> None:
    """No weight has come in yet: the average stays where it is, instead of 0/0."""
    ours = rules.reference(ScheduleFree, [np.ones((1, 2))])
    ours.advance(lambda p: p, np.array([[0.0], [0.1]]))
    np.testing.assert_allclose(ours.evaluated()[0], 0.9)
