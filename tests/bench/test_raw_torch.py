"""The hand-written PyTorch loops, against each other and against the update written out in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.problems import PROBLEMS, Material, material

pytestmark = pytest.mark.torch
LOOPS = ("eager", "foreach", "fused")
COMPILED = ("model", "step", "steps")  # tested uncompiled: compiling takes minutes


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_loop_trains_alike(problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import raw_torch

    monkeypatch.setattr("torch.compile", lambda function: function)
    given = material(PROBLEMS[problem])
    batches = given.batches(0, 10)
    losses = [raw_torch.LOOPS[kind](given).advance(batches) for kind in LOOPS]
    assert losses == pytest.approx([losses[0]] * len(LOOPS), rel=1e-4)
    batches = given.batches(0, 16)
    expected = raw_torch.LOOPS["eager"](given).advance(batches)
    for kind in COMPILED:
        assert raw_torch.LOOPS[kind](given).advance(batches) == pytest.approx(expected, rel=1e-4)


def test_a_step_of_momentum_on_the_mlp_by_hand() -> None:
    from bench import raw_torch

    given = material(PROBLEMS["mlp"])
    loop = raw_torch.LOOPS["eager"](given)
    loop.advance(given.batches(0, 2))
    p = {name: value.astype(np.float64) for name, value in given.parameters.items()}
    buffer = {name: np.zeros_like(value) for name, value in p.items()}
    for rows in given.batches(0, 2):
        x, y = given.x[rows].astype(np.float64), given.y[rows]
        hidden = np.maximum(x @ p["layers.0.weight"].T + p["layers.0.bias"], 0)
        logits = hidden @ p["layers.1.weight"].T + p["layers.1.bias"]
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        out = (chances - np.eye(10)[y]) / len(rows)
        back = (out @ p["layers.1.weight"]) * (hidden > 0)
        g = {
            "layers.0.weight": back.T @ x,
            "layers.0.bias": back.sum(0),
            "layers.1.weight": out.T @ hidden,
            "layers.1.bias": out.sum(0),
        }
        for name in p:
            buffer[name] = 0.9 * buffer[name] + g[name]
            p[name] -= given.learning_rate * buffer[name]
    for name, value in loop.module.state_dict().items():
        np.testing.assert_allclose(value.numpy(), p[name], rtol=1e-4, atol=1e-6)


def test_material_goes_into_a_file_and_back(tmp_path: Path) -> None:
    given = material(PROBLEMS["cnn"])
    given.save(tmp_path / "cnn.npz")
    read = Material.read(tmp_path / "cnn.npz")
    assert (read.model, read.optimizer, read.learning_rate) == (given.model, given.optimizer, given.learning_rate)
    assert read.image_shape == given.image_shape == (8, 8, 1)
    assert {k: v.tolist() for k, v in read.parameters.items()} == {k: v.tolist() for k, v in given.parameters.items()}
    np.testing.assert_array_equal(read.batches(3999, 2), given.order[[3999, 0]])
