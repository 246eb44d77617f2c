"""The accountant against the integral that it bounds, closed forms, and dp-accounting where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from kit.errors import InvalidValueError
from kit.privacy import ORDERS, divergence, epsilon, noise_for


@pytest.mark.parametrize(("noise", "sampling"), [(1.0, 0.1), (2.0, 0.5), (0.7, 0.01), (4.0, 1.0)])
@pytest.mark.parametrize("order", [2, 5, 16])
def test_the_sum_is_the_rényi_divergence_of_the_mixture(noise, sampling, order):
    """E over N(0, σ²) of (density of (1 − q) N(0, σ²) + q N(1, σ²) over that of N(0, σ²))^α, integrated."""

    def integrand(z):
        ratio = (1 - sampling) + sampling * math.exp((2 * z - 1) / (2 * noise**2))
        return math.exp(order * math.log(ratio) - z**2 / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))

    integral, _ = quad(integrand, -30 * noise, order + 30 * noise, limit=500, points=[0, order])
    expected = math.log(integral) / (order - 1)
    assert divergence(order, noise=noise, sampling=sampling) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("noise", "steps"), [(5.0, 1), (10.0, 30), (40.0, 400)])
def test_without_sampling_it_bounds_the_exact_curve_closely(noise, steps):
    """T Gaussian mechanisms are one with μ = √T/σ, whose δ(ε) is known (Dong, Roth & Su 2022, corollary 2.13)."""
    mu, delta = math.sqrt(steps) / noise, 1e-5
    found = epsilon(noise=noise, sampling=1.0, steps=steps, delta=delta)

    def exact(value):
        return ndtr(-value / mu + mu / 2) - math.exp(value) * ndtr(-value / mu - mu / 2)

    assert exact(found) <= delta  # it never says less than was spent
    assert exact(found * 0.8) > delta  # nor a quarter more


def test_what_makes_it_cost_more():
    base = {"noise": 1.1, "sampling": 0.01, "steps": 1000, "delta": 1e-5}
    spent = epsilon(**base)
    for change in ({"noise": 1.0}, {"sampling": 0.02}, {"steps": 2000}, {"delta": 1e-6}):
        assert epsilon(**(base | change)) > spent
    assert epsilon(**(base | {"noise": 0})) == math.inf
    assert epsilon(**(base | {"steps": 0})) == 0.0
    assert epsilon(**(base | {"sampling": 0})) == 0.0


@pytest.mark.parametrize("target", [0.5, 3.0, 20.0])
def test_the_noise_that_is_found_spends_the_target(target):
    words = {"sampling": 0.05, "steps": 500, "delta": 1e-4}
    noise = noise_for(target, **words)
    assert epsilon(noise=noise, **words) <= target
    assert epsilon(noise=noise * 0.999, **words) > target


@pytest.mark.parametrize(
    ("noise", "sampling", "steps"), [(1.1, 256 / 60_000, 14_000), (0.8, 0.05, 300), (3.0, 1.0, 50)]
)
def test_as_dp_accounting_says(noise, sampling, steps):
    accounting = pytest.importorskip("dp_accounting", reason="dp-accounting is not installed")
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(ORDERS)
    event = accounting.GaussianDpEvent(noise)
    accountant.compose(accounting.PoissonSampledDpEvent(sampling, event), steps)
    expected = accountant.get_epsilon(1e-5)
    assert epsilon(noise=noise, sampling=sampling, steps=steps, delta=1e-5) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"delta": 0}, r"delta=0 is not valid"),
        ({"sampling": 1.5}, r"sampling=1\.5 is not valid"),
        ({"noise": -1.0}, r"noise=-1\.0 is not valid"),
        ({"steps": -1}, r"steps=-1 is not valid"),
    ],
)
def test_what_is_out_of_range_is_said(change, said):
    with pytest.raises(InvalidValueError, match=said):
        epsilon(**({"noise": 1.0, "sampling": 0.1, "steps": 10, "delta": 1e-5} | change))
    with pytest.raises(InvalidValueError, match="target=0 is not valid"):
        noise_for(0, sampling=0.1, steps=10, delta=1e-5)


def test_large_orders_do_not_overflow():
    assert np.isfinite(divergence(1024, noise=0.3, sampling=0.5))
