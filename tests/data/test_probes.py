"""Probes against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from kit.builtin.probes import RECORDS
from kit.errors import InvalidValueError
from kit.probes import Snapshot
from kit.records import resolve

PARAMETERS = {"w": np.array([[[3.0, 0.0]], [[0.0, 1.0]]]), "b": np.array([[4.0], [0.0]])}  # two trials
PREVIOUS = {"w": np.array([[[3.0, 0.0]], [[0.0, 0.0]]]), "b": np.array([[3.0], [0.0]])}
GRADIENTS = {"w": np.array([[[1.0, 2.0]], [[0.0, 0.0]]]), "b": np.array([[2.0], [0.0]])}


def read(name, **changes):
    (record,) = [r for r in RECORDS if r.name == name]
    kind = {"step": 5, "parameters": PARAMETERS, "gradients": GRADIENTS, "previous": PREVIOUS} | changes
    probe = resolve(record.build)(**record.options({}))
    return {key: value.tolist() for key, value in probe.read(Snapshot(**kind)).items()}


def test_norms():
    assert read("gradient_norm") == {"gradient_norm": [3.0, 0.0]}
    assert read("parameter_norm") == {"parameter_norm": [5.0, 1.0]}


def test_update_ratio():
    assert read("update_ratio") == {"update_ratio": [1 / 5, 1.0]}
    assert read("update_ratio", previous=None) == {}
    nought = {"w": np.zeros((1, 3))}
    assert read("update_ratio", parameters=nought, previous=nought) == {"update_ratio": [0.0]}


def test_layers_one_by_one():
    first = {"gradient_norm.w": [5**0.5, 0.0], "gradient_norm.b": [2.0, 0.0]}
    assert read("layers", previous=None) == first
    assert read("layers") == first | {"update_ratio.w": [0.0, 1.0], "update_ratio.b": [1 / 4, 0.0]}
    many = {f"p{i}": np.zeros((1, 1)) for i in range(300)}
    with pytest.raises(InvalidValueError, match=r"at most 256 parameters \(arrays\); this one has 300"):
        read("layers", parameters=many)


def test_single_precision_does_not_overflow():
    large = {"w": np.full((1, 4), 1e30, dtype=np.float32)}
    assert read("parameter_norm", parameters=large)["parameter_norm"] == [pytest.approx(2e30)]


def test_trajectory():
    assert read("trajectory") == {"w.0": [3.0, 0.0], "w.1": [0.0, 1.0], "b.0": [4.0, 0.0]}
    with pytest.raises(InvalidValueError, match="at most 16 parameters; this one has 20"):
        read("trajectory", parameters={"w": np.zeros((2, 4, 5))})


def test_only_what_reads_gradients_asks_for_them():
    needs = {record.name: resolve(record.build)().needs for record in RECORDS}
    needs = {name: need for name, need in needs.items() if "asking" not in need}  # see test_curvature.py
    asking = {"gradient_norm", "layers"}
    assert {name for name, need in needs.items() if "gradients" in need} == asking
    for name in set(needs) - asking:
        read(name, gradients=None)


def test_a_trial_that_diverges_reads_so_and_leaves_its_neighbour():
    far = {"w": np.array([[1e200, np.inf], [3.0, 4.0]])}
    assert read("parameter_norm", parameters=far)["parameter_norm"] == [np.inf, 5.0]
    ratio = read("update_ratio", parameters=far, previous=far)["update_ratio"]
    assert np.isnan(ratio[0])
    assert ratio[1] == 0.0
