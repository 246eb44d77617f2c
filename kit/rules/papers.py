"""The algorithms of the built-in rules once more, from their papers: what `kit check` compares the rules with.

Each is called as `kit.rules.reference.descend` is, `(gradient, start, *, steps, **hyperparameters) -> (steps + 1,
*shape)` in float64, and is written without anything of the rules: one array, one endless loop over its positions, the
paper's own order. What is off at a rule's defaults, with which the check calls, is not repeated here.

>>> adam(lambda x: 2 * x, [1.0, -2.0], steps=1, learning_rate=0.5, beta1=0.9, beta2=0.999, epsilon=0.0).tolist()
[[1.0, -2.0], [0.5, -1.5]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = Any
Gradient = Callable[[Array], Array]


def trajectory(algorithm: Callable[[Gradient, Array, Any], Iterator[Array]]) -> Callable[..., Array]:
    """The first positions of an algorithm, the start first, as one array."""

    @wraps(algorithm)
    def path(gradient: Gradient, start: Array, *, steps: int, **hyperparameters: Any) -> Array:
        positions = algorithm(gradient, np.array(start, dtype=float), SimpleNamespace(**hyperparameters))
        return np.stack(list(islice(positions, steps + 1)))

    return path


@trajectory
def gradient_descent(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Cauchy 1847."""
    while True:
        yield x
        x = x - h.learning_rate * gradient(x)


@trajectory
def momentum(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Polyak 1964: the heavy ball."""
    v = 0.0
    while True:
        yield x
        v = h.momentum * v + gradient(x)
        x = x - h.learning_rate * v


@trajectory
def nesterov(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Sutskever et al. 2013, told from where the gradient is taken, x + μ v: Bengio et al. 2013, equation 7."""
    v = 0.0
    while True:
        yield x
        before, v = v, h.momentum * v - h.learning_rate * gradient(x)
        x = x - h.momentum * before + (1 + h.momentum) * v


@trajectory
def adagrad(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Duchi, Hazan & Singer 2011, with the diagonal of G."""
    squares = []
    while True:
        yield x
        g = gradient(x)
        squares.append(g**2)
        x = x - h.learning_rate * g / (np.sqrt(np.sum(squares, axis=0)) + h.epsilon)


@trajectory
def adadelta(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Zeiler 2012, algorithm 1, its step multiplied by η."""
    squares = steps = 0.0
    while True:
        yield x
        g = gradient(x)
        squares = h.rho * squares + (1 - h.rho) * g**2
        step = -np.sqrt(steps + h.epsilon) / np.sqrt(squares + h.epsilon) * g
        steps = h.rho * steps + (1 - h.rho) * step**2
        x = x + h.learning_rate * step


@trajectory
def rmsprop(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Tieleman & Hinton 2012, lecture 6.5."""
    square: Any = 0.0
    while True:
        yield x
        g = gradient(x)
        square = h.rho * square + (1 - h.rho) * g**2
        x = x - h.learning_rate * g / (np.sqrt(square) + h.epsilon)


@trajectory
def adam(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Kingma & Ba 2015, algorithm 1."""
    m = v = 0.0
    for t in count(1):
        yield x
        g = gradient(x)
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        x = x - h.learning_rate * (m / (1 - h.beta1**t)) / (np.sqrt(v / (1 - h.beta2**t)) + h.epsilon)


@trajectory
def adamw(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Loshchilov & Hutter 2019, algorithm 2, λ multiplied by η."""
    m = v = 0.0
    for t in count(1):
        yield x
        g = gradient(x)
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        update = (m / (1 - h.beta1**t)) / (np.sqrt(v / (1 - h.beta2**t)) + h.epsilon)
        x = x - h.learning_rate * (update + h.weight_decay * x)


@trajectory
def lamb(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """You et al. 2020, algorithm 2, φ the identity, one layer."""
    m = v = 0.0
    for t in count(1):
        yield x
        g = gradient(x)
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        r = (m / (1 - h.beta1**t)) / (np.sqrt(v / (1 - h.beta2**t)) + h.epsilon) + h.weight_decay * x
        x = x - h.learning_rate * np.linalg.norm(x) / np.linalg.norm(r) * r


@trajectory
def amsgrad(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Reddi, Kale & Kumar 2018, algorithm 2, with Adam's bias corrections."""
    m = v = largest = 0.0
    for t in count(1):
        yield x
        g = gradient(x)
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        largest = np.maximum(largest, v)
        x = x - h.learning_rate * (m / (1 - h.beta1**t)) / (np.sqrt(largest / (1 - h.beta2**t)) + h.epsilon)


@trajectory
def adamax(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Kingma & Ba 2015, algorithm 2, ε added to |g|."""
    m = u = 0.0
    for t in count(1):
        yield x
        g = gradient(x)
        m = h.beta1 * m + (1 - h.beta1) * g
        u = np.maximum(h.beta2 * u, np.abs(g) + h.epsilon)
        x = x - h.learning_rate / (1 - h.beta1**t) * m / u


@trajectory
def nadam(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Dozat 2016, algorithm 2, with his schedule of μ."""
    m, v, product = 0.0, 0.0, 1.0
    for t in count(1):
        yield x
        mu, after = (h.beta1 * (1 - 0.5 * 0.96 ** (s * h.momentum_decay)) for s in (t, t + 1))
        product *= mu
        g = gradient(x)
        m = h.beta1 * m + (1 - h.beta1) * g
        v = h.beta2 * v + (1 - h.beta2) * g**2
        mean = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
        x = x - h.learning_rate * mean / (np.sqrt(v / (1 - h.beta2**t)) + h.epsilon)


@trajectory
def lion(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Chen et al. 2023, program 1."""
    m = 0.0
    while True:
        yield x
        g = gradient(x)
        x = x - h.learning_rate * np.sign(m * h.beta1 + g * (1 - h.beta1))
        m = m * h.beta2 + g * (1 - h.beta2)


def _size(a: Array) -> Any:
    return np.sqrt(np.mean(a**2))


@trajectory
def adafactor(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Shazeer & Stern 2018, algorithms 5 and 6, for a vector, which is not factored; ε₁ is the machine's."""
    v: Any = 0.0
    for t in count(1):
        yield x
        g = gradient(x)
        v = (1 - t**h.beta2_decay) * v + t**h.beta2_decay * g**2
        u = g / np.maximum(np.sqrt(v), np.finfo(float).eps)
        step = np.maximum(h.epsilon2, _size(x)) * min(h.learning_rate, 1 / np.sqrt(t))
        x = x - step * u / np.maximum(1.0, _size(u) / h.clipping)


@trajectory
def schedule_free(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Defazio et al. 2024, equations 3 to 5, at a constant rate: all weights alike."""
    z = x
    for t in count(1):
        yield x
        z = z - h.learning_rate * gradient((1 - h.beta) * z + h.beta * x)
        x = (1 - 1 / t) * x + z / t


@trajectory
def schedule_free_adamw(gradient: Gradient, x: Array, h: Any) -> Iterator[Array]:
    """Defazio et al. 2024, algorithm 1, at a constant rate; the bias of v is corrected in v, as in their code."""
    z, v = x, 0.0
    for t in count(1):
        yield x
        g = gradient((1 - h.beta) * z + h.beta * x)
        v = h.beta2 * v + (1 - h.beta2) * g**2
        z = z - h.learning_rate * g / (np.sqrt(v / (1 - h.beta2**t)) + h.epsilon)
        x = (1 - 1 / t) * x + z / t
