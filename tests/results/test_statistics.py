"""Intervals and corrections against SciPy, against worked examples, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kit.results.statistics import holm, mean_interval, paired_difference


def test_mean_interval_is_students_on_the_logarithm() -> None:
    values = [0.11, 0.10, 0.14, 0.12]
    logs = np.log(values)
    expected = stats.t.interval(0.95, 3, loc=logs.mean(), scale=stats.sem(logs))
    found = mean_interval(values, log=True)
    assert found.estimate == pytest.approx(stats.gmean(values), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected)), rel=1e-12)
    assert found.n == 4


def test_mean_interval_on_the_plain_scale() -> None:
    values = [-1.0, 0.5, 0.25]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    found = mean_interval(values, log=False)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("values", [[], [3.0]])
def test_no_interval_without_two_values(values: list[float]) -> None:
    found = mean_interval(values, log=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == len(values)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_paired_difference_is_scipys_paired_t_test(n: int, log: bool) -> None:
    rng = np.random.default_rng(n)
    a, b = np.exp(rng.standard_normal((2, n)))
    test = stats.ttest_rel(np.log(a), np.log(b)) if log else stats.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    expected = np.exp([interval.low, interval.high]) if log else [interval.low, interval.high]
    found = paired_difference(a.tolist(), b.tolist(), log=log)
    assert found is not None
    assert found.p == pytest.approx(test.pvalue, rel=1e-9)
    assert [found.low, found.high] == pytest.approx(list(expected), rel=1e-9)
    assert found.n == n
    assert not found.fixed


def test_fewer_than_two_pairs_say_nothing() -> None:
    assert paired_difference([1.0], [2.0], log=True) is None
    assert paired_difference([], [], log=False) is None


@pytest.mark.parametrize(("a", "b", "estimate"), [([1.0, 1.0], [1.0, 1.0], 1.0), ([0.2, 0.4], [0.4, 0.8], 0.5)])
def test_pairs_that_all_differ_alike_have_no_test(a: list[float], b: list[float], estimate: float) -> None:
    found = paired_difference(a, b, log=True)
    assert found is not None
    assert found.fixed
    assert math.isnan(found.p)
    assert found.low == found.high == found.estimate == pytest.approx(estimate)


def test_two_wild_pairs_give_an_infinite_end_not_an_error() -> None:
    found = paired_difference([1e-300, 1e300], [1.0, 1.0], log=True)
    assert found is not None
    assert found.high == math.inf
    assert found.low == 0.0


def test_holm_worked_by_hand() -> None:
    # Sorted: .005 × 4 = .02, .01 × 3 = .03, .03 × 2 = .06, .04 × 1 = .04, raised to .06 so that the order is kept.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    found = holm([0.02, math.nan, 0.03])
    assert found[0] == pytest.approx(0.04)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.04)


@pytest.mark.parametrize("n", [3, 5])
def test_intervals_cover_as_often_as_they_say(n: int) -> None:
    """Log-normal replicates with a known ratio: 95% ± 1 of 4,000 intervals hold it (a bootstrap holds 73% at n = 3)."""
    rng = np.random.default_rng(20)
    ratio, studies, held = 0.8, 4000, 0
    for _ in range(studies):
        luck = 0.5 * rng.standard_normal(n)  # shared by both: cancels in pairs
        a = ratio * np.exp(luck + 0.1 * rng.standard_normal(n))
        b = np.exp(luck + 0.1 * rng.standard_normal(n))
        found = paired_difference(a.tolist(), b.tolist(), log=True)
        assert found is not None
        held += found.low <= ratio <= found.high
    assert held / studies == pytest.approx(0.95, abs=0.01)
