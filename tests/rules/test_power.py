"""Powers have the same bits however many are taken at once."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kit.rules.power import power


@given(
    base=st.lists(st.floats(0.01, 2), min_size=1, max_size=5),
    exponents=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, -0.8]), min_size=1, max_size=20),
)
def test_bits_do_not_depend_on_the_shape(base: list[float], exponents: list[float]) -> None:
    whole = power(np.array([base]), np.array(exponents)[:, None])
    assert whole.shape == (len(exponents), len(base))
    for k, exponent in enumerate(exponents):
        for n, number in enumerate(base):
            one = power(np.array([[number]]), np.array([[exponent]]))
            assert one.shape == (1, 1)
            assert one[0, 0] == whole[k, n]
            assert math.isclose(one[0, 0], number**exponent, rel_tol=1e-15)


def test_one_dimension_is_kept() -> None:
    np.testing.assert_array_equal(power(np.array([2.0, 3.0]), np.array([2.0])), [4.0, 9.0])


def test_a_square_alone_equals_the_square_among_many() -> None:
    """Where NumPy has a vector routine, x ** 2.0 of one number (stride 0) and of many differ for some of these."""
    numbers = np.linspace(0.01, 2, 2000)[:, None]
    whole = power(numbers, np.full((2000, 1), 2.0))
    alone = [power(number[None], np.array([[2.0]]))[0] for number in numbers]
    np.testing.assert_array_equal(whole, alone)
    np.testing.assert_array_equal(whole, power(numbers, np.array([[2.0]])))
