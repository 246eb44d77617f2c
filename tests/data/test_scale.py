"""Standardising against scikit-learn's StandardScaler."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from kit.data.scale import Scale
from kit.errors import DataError


@given(seed=st.integers(0, 10_000), rows=st.integers(2, 200), cuts=st.lists(st.integers(0, 200), max_size=4))
@settings(deadline=None, max_examples=50)
def test_as_standard_scaler_however_the_rows_arrive(seed, rows, cuts):
    source = np.random.default_rng(seed)
    x = source.normal(source.normal(0, 100, 5), 10.0 ** source.uniform(-3, 3, 5), (rows, 5))
    parts = [part for part in np.split(x, sorted(min(c, rows) for c in cuts)) if len(part)]
    scale, oracle = Scale.of(parts), StandardScaler().fit(x)
    np.testing.assert_allclose(scale.mean, oracle.mean_, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(scale.deviation, oracle.scale_, rtol=1e-9)
    np.testing.assert_allclose(scale(x), oracle.transform(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scale.undo(scale(x)), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 + 0.1, -1e-300, 1 / 3])
@pytest.mark.parametrize("rows", [2, 7, 1000])
def test_a_constant_column_is_only_centred(value, rows):
    """0.1 seven times has a variance of 1e-34 by rounding: dividing by its root would blow rounding up to 1."""
    x = np.full((rows, 1), value)
    for parts in ([x], [x[:1], x[1:]]):
        scale = Scale.of(parts)
        assert scale.deviation == 1.0
        assert np.abs(scale(x)).max() <= 1e-12 * max(1.0, abs(value))


def test_a_small_spread_far_from_zero_is_kept():
    """Where the mean of squares less the square of the mean would give nothing: 1e8 ± 1."""
    x = 1e8 + np.array([[-1.0], [1.0]] * 500)
    assert Scale.of([x[:333], x[333:]]).deviation == pytest.approx(1.0, rel=1e-9)


def test_single_precision_is_summed_in_double():
    x = np.random.default_rng(0).normal(1000, 1, (100_000, 2)).astype(np.float32)
    scale = Scale.of([x])
    np.testing.assert_allclose(scale.mean, x.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(scale.deviation, x.astype(np.float64).std(axis=0), rtol=1e-12)


def test_images_by_position():
    x = np.random.default_rng(0).normal(size=(50, 4, 3, 2))
    assert Scale.of([x]).mean.shape == (4, 3, 2)
    np.testing.assert_allclose(Scale.of([x])(x).std(axis=0), 1.0)


def test_values_whose_squares_overflow_are_said():
    with pytest.raises(DataError, match="too large to standardise"):
        Scale.of([np.array([[1e300], [-1e300]])])
