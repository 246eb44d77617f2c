"""Test functions of two parameters, whose trajectories can be drawn.

Each is plain arithmetic on its two coordinates, so that the very same line computes a PyTorch tensor, a TensorFlow
tensor, a NumPy grid for a contour plot, and a number:

    beale(3.0, 0.5)                                  # 0.0: the minimum
    OBJECTIVES["quadratic"](x, y, condition=10.0)    # x, y: arrays of any equal shape

Other options of the model (its start) are accepted and change nothing. A power is written as a product: every
framework rounds a product alike, but not `pow`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Array = Any  # a number, or an array of any framework


def quadratic(x: Array, y: Array, condition: float = 10.0, **options: Any) -> Array:
    """½ (x² + κ y²): a bowl whose Hessian has the eigenvalues 1 and κ. Minimum 0 at (0, 0).

    Gradient descent is stable below a learning rate of 2/κ.
    """
    return 0.5 * (x * x + condition * (y * y))


def rosenbrock(x: Array, y: Array, a: float = 1.0, b: float = 100.0, **options: Any) -> Array:
    """(a − x)² + b (y − x²)²: a curved valley. Minimum 0 at (a, a²). Rosenbrock 1960."""
    along, across = a - x, y - x * x
    return along * along + b * (across * across)


def beale(x: Array, y: Array, **options: Any) -> Array:
    """(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)². Minimum 0 at (3, 0.5), in a plain with steep walls.
    Beale 1958; Moré, Garbow, Hillstrom 1981, number 5."""
    first = 1.5 - x + x * y
    second = 2.25 - x + x * (y * y)
    third = 2.625 - x + x * (y * y * y)
    return first * first + second * second + third * third


def himmelblau(x: Array, y: Array, **options: Any) -> Array:
    """(x² + y − 11)² + (x + y² − 7)²: four minima of 0, one of them at (3, 2). Himmelblau 1972."""
    first, second = x * x + y - 11.0, x + y * y - 7.0
    return first * first + second * second


def saddle(x: Array, y: Array, **options: Any) -> Array:
    """½ (x² − y²) + ¼ y⁴: a saddle at (0, 0), where f = 0 and the gradient vanishes.

    The quartic term, which the plain saddle has not, bounds it below: minima of −¼ at (0, ±1).
    """
    square = y * y
    return 0.5 * (x * x - square) + 0.25 * (square * square)


OBJECTIVES: dict[str, Callable[..., Array]] = {
    "quadratic": quadratic,
    "rosenbrock": rosenbrock,
    "beale": beale,
    "himmelblau": himmelblau,
    "saddle": saddle,
}
MINIMA: dict[str, tuple[tuple[float, float], ...]] = {
    "quadratic": ((0.0, 0.0),),
    "rosenbrock": ((1.0, 1.0),),  # with a = 1
    "beale": ((3.0, 0.5),),
    "himmelblau": (
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    "saddle": ((0.0, 1.0), (0.0, -1.0)),
}


def minima(name: str, **options: Any) -> tuple[tuple[float, float], ...]:
    """Where an objective with these options is lowest: (x, y) of every global minimum."""
    if name == "rosenbrock":
        a = float(options.get("a", 1.0))
        return ((a, a * a),)
    return MINIMA[name]
