"""The canonical parameters: names, shapes, starts. The engines' own tests check that their modules have them."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from kit import architectures
from kit.architectures import (
    FAMILIES,
    HYPERPARAMETERS,
    cnn,
    cnn_sizes,
    linear,
    mlp,
    mlp_noise,
    model_record,
    transformer,
)
from kit.engine import InputSpec
from kit.errors import InvalidValueError, UnknownNameError
from kit.objectives import MINIMA, OBJECTIVES
from kit.records import resolve
from kit.seeds import initial

FLAT = InputSpec(shape=(64,), outputs=10, task="classification", image_shape=(8, 8, 1))
TEXT = InputSpec(shape=(16,), outputs=30, task="language", tokens=30)


def shapes(parameters):
    return {p.name: p.shape for p in parameters}


def test_linear():
    assert shapes(linear(FLAT)) == {"weight": (10, 64), "bias": (10,)}


def test_mlp_of_any_depth():
    assert shapes(mlp(FLAT, hidden=(32, 16))) == {
        "layers.0.weight": (32, 64),
        "layers.0.bias": (32,),
        "layers.1.weight": (16, 32),
        "layers.1.bias": (16,),
        "layers.2.weight": (10, 16),
        "layers.2.bias": (10,),
    }
    assert shapes(mlp(FLAT, hidden=())) == {"layers.0.weight": (10, 64), "layers.0.bias": (10,)}


def test_images_are_flattened_for_dense_layers():
    assert shapes(linear(InputSpec(shape=(4, 5, 3), outputs=1, task="regression")))["weight"] == (1, 60)


def test_cnn_of_flat_and_of_shaped_images():
    wanted = {
        "conv.0.weight": (8, 1, 3, 3),
        "conv.0.bias": (8,),
        "conv.1.weight": (16, 8, 3, 3),
        "conv.1.bias": (16,),
        "dense.0.weight": (32, 2 * 2 * 16),
        "dense.0.bias": (32,),
        "dense.1.weight": (10, 32),
        "dense.1.bias": (10,),
    }
    assert shapes(cnn(FLAT)) == wanted
    assert shapes(cnn(InputSpec(shape=(8, 8, 1), outputs=10, task="classification"))) == wanted


def test_pooling_stops_at_one_pixel():
    assert cnn_sizes(InputSpec(shape=(7, 3, 1), outputs=1, task="regression"), (4, 4, 4)) == [(3, 1), (3, 1), (3, 1)]


def test_transformer():
    found = shapes(transformer(TEXT, width=8, heads=2, blocks=1, mlp_ratio=3))
    assert found["token_embedding.weight"] == (30, 8)
    assert found["position_embedding.weight"] == (16, 8)
    assert found["blocks.0.attention.query.weight"] == (8, 8)
    assert found["blocks.0.mlp.0.weight"] == (24, 8)
    assert found["blocks.0.mlp.1.weight"] == (8, 24)
    assert found["head.weight"] == (30, 8)
    # In a block: two norms, four projections and two dense layers, each with weight and bias.
    assert len(found) == 2 + 16 + 2 + 2
    exempt = [p.name for p in transformer(TEXT) if p.exempt_from_parity]
    assert exempt == ["blocks.0.attention.key.bias", "blocks.1.attention.key.bias"]


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_rectified_layers_keep_the_scale_of_the_signal(activation):
    """He et al.: with weights of variance 2/fan_in, the mean square of the activations stays near that of the input."""
    inputs = InputSpec(shape=(400,), outputs=10, task="classification")
    start = initial(mlp(inputs, hidden=(400,) * 6, activation=activation), seed=3, replicate=0)
    x = np.random.default_rng(0).standard_normal((100, 400))
    for i in range(6):
        x = np.maximum(x @ start[f"layers.{i}.weight"].T + start[f"layers.{i}.bias"], 0)
    assert 0.5 < np.mean(x**2) < 2.0


def test_glorot_before_saturating_activations_and_the_output():
    start = {p.name: p.initial for p in mlp(FLAT, hidden=(32,), activation="tanh")}
    assert start["layers.0.weight"] == ("uniform", math.sqrt(6 / 96))
    assert start["layers.1.weight"] == ("uniform", math.sqrt(6 / 42))


def test_noise_only_with_dropout():
    assert mlp_noise(FLAT, hidden=(32, 16), dropout=0.5) == (("dropout.0", (32,)), ("dropout.1", (16,)))
    assert mlp_noise(FLAT) == ()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mlp(FLAT, hidden=(32, 0)), r"hidden=\(32, 0\)"),
        (lambda: mlp(FLAT, hidden=(3.5,)), "whole numbers"),
        (lambda: mlp(FLAT, activation="rely"), "relu, tanh"),
        (lambda: mlp(FLAT, dropout=1.0), "dropout"),
        (lambda: cnn(TEXT), "needs images"),
        (lambda: cnn(FLAT, kernel=4), "kernel=4"),
        (lambda: cnn(FLAT, channels=()), "at least one"),
        (lambda: transformer(FLAT), "token numbers"),
        (lambda: transformer(TEXT, width=9), "width=9"),
        (lambda: architectures.beale(FLAT, start=(1.0, 2.0, 3.0)), "two numbers"),
    ],
)
def test_what_does_not_fit_is_said(make, said):
    with pytest.raises(InvalidValueError, match=said):
        make()


def test_an_unknown_option_is_said_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'hidden'"):
        mlp(FLAT, hiden=(3,))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_has_a_record_whose_references_resolve(family):
    record = model_record(family, backend="any", build="some.module:thing")
    inputs = {"language": TEXT}.get(record.tasks[0], FLAT)
    parameters = resolve(record.parameters)(inputs, **record.options({}))
    assert parameters
    assert len({p.name for p in parameters}) == len(parameters)
    assert record.hyperparameters == HYPERPARAMETERS[family]
    if record.noise:
        resolve(record.noise)(inputs, **record.options({}))
    assert record.help


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_objectives_are_stationary_at_their_minima(name):
    function = OBJECTIVES[name]
    value = {"saddle": -0.25}.get(name, 0.0)
    for x, y in MINIMA[name]:
        assert function(x, y) == pytest.approx(value, abs=1e-12)
        for dx, dy in [(1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3), (1e-3, 1e-3)]:
            assert function(x + dx, y + dy) > value


def test_objectives_by_hand():
    assert OBJECTIVES["quadratic"](2.0, 1.0, condition=10.0) == 7.0
    assert OBJECTIVES["rosenbrock"](-1.2, 1.0) == pytest.approx(24.2)  # Moré et al.: the value at the usual start
    assert OBJECTIVES["beale"](1.0, 1.0) == pytest.approx(14.203125)
    assert OBJECTIVES["himmelblau"](0.0, 0.0) == 170.0
    assert OBJECTIVES["saddle"](2.0, 1.0, start=(0, 0)) == pytest.approx(2.0 - 0.5 + 0.25)
    grid = np.zeros((3, 2))
    assert OBJECTIVES["himmelblau"](grid, grid).shape == (3, 2)


def test_listing_architectures_needs_no_numpy():
    code = "import sys, kit.architectures; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
