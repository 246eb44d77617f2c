"""Filter-normalised directions: lengths written out, and what they are for."""

from __future__ import annotations

import numpy as np
import pytest

from kit.errors import InvalidValueError
from kit.landscape import filter_normalised, moved

SOURCE = np.random.default_rng(5)
NETWORK = {
    "layers.0.weight": SOURCE.normal(size=(6, 4)),
    "layers.0.bias": SOURCE.normal(size=6),
    "layers.1.weight": SOURCE.normal(size=(3, 6)),
    "layers.1.bias": SOURCE.normal(size=3),
    "conv.0.weight": SOURCE.normal(size=(5, 2, 3, 3)),
}


def test_every_filter_has_the_length_of_its_weights():
    direction = filter_normalised(NETWORK, np.random.default_rng(0))
    for name, value in NETWORK.items():
        assert direction[name].shape == value.shape
        if value.ndim == 1:
            assert not direction[name].any()
            continue
        for unit, weights in zip(direction[name], value, strict=True):
            assert np.linalg.norm(unit) == pytest.approx(np.linalg.norm(weights))


def test_a_unit_without_weights_does_not_move():
    direction = filter_normalised({"weight": np.array([[0.0, 0.0], [3.0, 4.0]])}, np.random.default_rng(0))
    assert not direction["weight"][0].any()
    assert np.linalg.norm(direction["weight"][1]) == pytest.approx(5.0)


def outputs(parameters, x):
    hidden = np.maximum(x @ parameters["layers.0.weight"].T + parameters["layers.0.bias"], 0.0)
    return hidden @ parameters["layers.1.weight"].T + parameters["layers.1.bias"]


def test_a_network_that_was_rescaled_gives_the_same_slice():
    """ReLU: units ten times larger, and the next layer ten times smaller, are the same function (Li et al., section 4);
    without the normalisation their slices would differ."""
    network = {**NETWORK, "layers.0.bias": np.zeros(6)}
    scaled = {**network, "layers.0.weight": 10 * network["layers.0.weight"]}
    scaled["layers.1.weight"] = network["layers.1.weight"] / 10
    x = SOURCE.normal(size=(20, 4))
    slices = []
    for each in (network, scaled):
        direction = filter_normalised(each, np.random.default_rng(0))
        slices.append([outputs(moved(each, [(t, direction)]), x) for t in (-0.5, 0.0, 0.5, 1.0)])
    assert np.allclose(slices[0], slices[1])
    plain = {name: np.ones_like(value) for name, value in network.items()}
    assert not np.allclose(*(outputs(moved(each, [(0.5, plain)]), x) for each in (network, scaled)))


def test_steps_add_up_and_leave_the_parameters_alone():
    start = {"w": np.array([1.0, 2.0], dtype=np.float32)}
    found = moved(start, [(2.0, {"w": np.array([1.0, 0.0])}), (-1.0, {"w": np.array([0.0, 3.0])})])
    assert found["w"].tolist() == [3.0, -1.0]
    assert start["w"].tolist() == [1.0, 2.0]
    with pytest.raises(InvalidValueError, match=r"does not fit parameter 'w' of shape \(2,\)"):
        moved(start, [(1.0, {"w": np.zeros(3)})])
    with pytest.raises(InvalidValueError, match="an array of that name"):
        moved(start, [(1.0, {})])
