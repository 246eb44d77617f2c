"""Streams by role and the start of a model."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from kit.engine import ParameterSpec
from kit.errors import InvalidValueError
from kit.seeds import ROLES, generator, initial


def first(*arguments):
    return generator(*arguments).random(4).tolist()


def test_streams_depend_on_everything_that_they_are_named_by():
    names = [(0, "split"), (1, "split"), (0, "init"), (0, "split", 1), (0, "split", 0, 1), (0, "split", 0, "1")]
    names += [(0, "split", 1, 0), (0, "split", 0, 0)]
    drawn = [first(*name) for name in names]
    assert len({tuple(d) for d in drawn}) == len(names)
    assert first(0, "order", 2, 5) == first(0, "order", 2, 5)


def test_a_stream_is_the_same_in_every_process():
    """Names are hashed by SHA-256: Python's own hash of a text changes with each process."""
    code = "from kit.seeds import generator; print(generator(7, 'init', 3, 'layers.0.weight').random())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) == generator(7, "init", 3, "layers.0.weight").random()


def test_streams_of_roles_and_replicates_are_uncorrelated():
    drawn = np.array([generator(0, role, r).standard_normal(20_000) for role in ROLES for r in range(3)])
    correlations = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(correlations).max() < 4.5 / np.sqrt(20_000)


@pytest.mark.parametrize("arguments", [(-1, "split"), (0, "split", -1), (0, "splits"), (0, "order", 0, -2)])
def test_a_seed_that_is_none_is_refused(arguments):
    with pytest.raises(InvalidValueError):
        generator(*arguments)


def parameters():
    return (
        ParameterSpec(name="w", shape=(200, 100), initial=("uniform", 0.5)),
        ParameterSpec(name="v", shape=(200, 100), initial=("normal", 0.02)),
        ParameterSpec(name="b", shape=(7,), initial="zeros"),
        ParameterSpec(name="g", shape=(7,), initial="ones"),
        ParameterSpec(name="p", shape=(2,), initial=("constant", (3.0, -1.0))),
        ParameterSpec(name="c", shape=(2, 2), initial=("constant", 4)),
    )


def test_distributions():
    start = initial(parameters(), seed=0, replicate=0)
    assert all(value.dtype == np.float64 for value in start.values())
    assert stats.kstest(start["w"].ravel(), stats.uniform(-0.5, 1.0).cdf).pvalue > 1e-3
    assert stats.kstest(start["v"].ravel(), stats.norm(0, 0.02).cdf).pvalue > 1e-3
    assert start["b"].tolist() == [0.0] * 7
    assert start["g"].tolist() == [1.0] * 7
    assert start["p"].tolist() == [3.0, -1.0]
    assert start["c"].tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_a_parameter_keeps_its_start_whatever_stands_beside_it():
    alone = initial(parameters()[:1], 0, 0)["w"]
    reversed_ = initial(tuple(reversed(parameters())), 0, 0)["w"]
    assert np.array_equal(alone, reversed_)
    assert not np.array_equal(alone, initial(parameters(), 0, 1)["w"])
    assert not np.array_equal(alone, initial(parameters(), 1, 0)["w"])


@pytest.mark.parametrize("start", ["zero", ("normal", -1.0), ("uniform", float("nan")), ("constant", (1, 2, 3)), None])
def test_a_start_that_is_none_is_refused(start):
    with pytest.raises(InvalidValueError, match="'p'"):
        initial((ParameterSpec(name="p", shape=(2,), initial=start),), 0, 0)
