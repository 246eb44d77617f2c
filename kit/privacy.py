"""What private training spent: (ε, δ) of differentially private stochastic gradient descent, by Rényi's accountant.

A step clips every sample's gradient to the norm C, adds normal noise of deviation σ C to their sum, and is told nothing
else of the data. If each sample takes part in each step with the chance q, independently (*Poisson sampling*), then a
step's Rényi divergence of order α between neighbouring data sets (one sample more or less) is at most

    ρ(α) = 1/(α − 1) · log Σ_k C(α, k) (1 − q)^(α − k) q^k exp(k (k − 1) / (2 σ²)),      k = 0 … α

(Mironov, Talwar & Zhang 2019, arXiv:1908.10530, equation 3 and theorem 4; α whole), and T steps spend T ρ(α). For
any order that gives

    ε = T ρ(α) + log(1 − 1/α) − log(δ α) / (α − 1)

(Balle et al. 2020, arXiv:1905.09982, theorem 21); the order with the smallest ε counts. Two instances:

    epsilon(noise=1.1, sampling=256 / 60_000, steps=14_000, delta=1e-5)
    noise_for(2.0, sampling=0.05, steps=500, delta=1e-4)
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kit.errors import InvalidValueError

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)
CLOSE = 1e-4  # relative precision of a noise that is searched for


def divergence(order: int, *, noise: float, sampling: float) -> float:
    """ρ(α) of one step, α = `order`, a whole number from 2. noise: σ. sampling: q."""
    _check(noise=noise, sampling=sampling)
    if sampling == 1:
        return order / (2 * noise**2)
    if sampling == 0:
        return 0.0
    terms = [
        _log_choose(order, k)
        + (order - k) * math.log1p(-sampling)
        + k * math.log(sampling)
        + k * (k - 1) / (2 * noise**2)
        for k in range(order + 1)
    ]
    top = max(terms)
    return (top + math.log(math.fsum(math.exp(term - top) for term in terms))) / (order - 1)


def epsilon(*, noise: float, sampling: float, steps: int, delta: float, orders: Iterable[int] = ORDERS) -> float:
    """ε of `steps` steps at δ = `delta`; infinite without noise.

    noise: σ, the noise's deviation in units of the clipping norm, on the *sum* of the gradients. sampling: q, the
    chance of a sample to be in a batch: batch size / samples. Raises `InvalidValueError` for values out of range.
    """
    if not 0 < delta < 1:
        raise InvalidValueError(f"delta={delta!r} is not valid; it must be in (0, 1), well below 1 / samples.")
    if steps < 0:
        raise InvalidValueError(f"steps={steps!r} is not valid; it must be 0 or more.")
    if not steps or not sampling:
        return 0.0  # nothing was looked at
    if noise == 0:
        return math.inf
    spent = (
        steps * divergence(order, noise=noise, sampling=sampling)
        + math.log1p(-1 / order)
        - math.log(delta * order) / (order - 1)
        for order in orders
    )
    return max(0.0, min(spent))


def noise_for(target: float, *, sampling: float, steps: int, delta: float) -> float:
    """The smallest σ with which `steps` steps spend at most ε = `target`. Raises `InvalidValueError` for a target of 0
    or less, or one that no noise up to 10⁴ reaches."""
    if not target > 0:
        raise InvalidValueError(f"target={target!r} is not valid; it must be above 0.")
    low, high = 0.0, 1.0

    def spends(noise: float) -> float:
        return epsilon(noise=noise, sampling=sampling, steps=steps, delta=delta)

    while spends(high) > target:
        low, high = high, 2 * high
        if high > 1e4:
            raise InvalidValueError(f"No noise up to 10⁴ reaches ε={target:g} with delta={delta:g}.")
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if spends(middle) <= target else (middle, high)
    return high


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _check(*, noise: float, sampling: float) -> None:
    if not noise > 0:
        raise InvalidValueError(f"noise={noise!r} is not valid; it must be above 0.")
    if not 0 <= sampling <= 1:
        raise InvalidValueError(f"sampling={sampling!r} is not valid; it must be in [0, 1].")
