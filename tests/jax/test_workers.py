"""JAX in its worker beside PyTorch in its own, as a user has them: parity, natives, models and losses of one's own.

What the workers do is read from the store.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from kit.parity import measure

INSTALLED = {d.name for d in importlib.metadata.distributions()}
pytestmark = [pytest.mark.jax, pytest.mark.skipif("descentkit-jax" not in INSTALLED, reason="needs descentkit-jax")]


class Line:
    """A model of one's own: a tree of parameters, made from a key and samples, and a pure function of it."""

    def __init__(self, scale: float = 0.1) -> None:
        self.scale = scale

    def init(self, key: Any, x: Any) -> Any:
        import jax

        return {"line": {"w": self.scale * jax.random.normal(key, (x.shape[-1], 10)), "b": np.zeros(10, x.dtype)}}

    def apply(self, parameters: Any, x: Any) -> Any:
        return x @ parameters["line"]["w"] + parameters["line"]["b"]


class Keeping(Line):
    """Moving means beside the parameters, as flax says them."""

    def init(self, key: Any, x: Any) -> Any:
        return {"params": super().init(key, x), "batch_stats": {"mean": np.zeros(x.shape[-1])}}


def squared_margin(output: Any, target: Any) -> Any:
    """A loss of one's own, one number for each sample."""
    import jax.numpy as jnp

    right = jnp.take_along_axis(output, target[:, None], 1)
    return jnp.square(jnp.maximum(0, 1 - right + output)).sum(1)


@pytest.mark.skipif("descentkit-torch" not in INSTALLED, reason="needs descentkit-torch")
@pytest.mark.parametrize(
    ("model", "optimizers", "steps"),
    [("mlp", ["adam", "muon"], 1000), ("cnn", ["adamw"], 40), ("transformer", ["adam"], 16)],
)
def test_parity_in_float64(model: str, optimizers: list[str], steps: int) -> None:
    entries = measure(optimizers, backends=["torch", "jax"], models=[model], steps=steps, progress=False)
    assert [(entry.optimizer, entry.reference, entry.backend) for entry in entries] == [
        (name, "torch", "jax") for name in optimizers
    ]
    for entry in entries:
        assert entry.verdict == "agrees", f"{entry.optimizer}: {entry.why}"


@pytest.fixture
def base() -> kit.Experiment:
    return kit.Experiment(backend="jax", budget=40, evaluate_every=20)


@pytest.mark.parametrize("model", [Line(), kit.model(Line, scale=0.0), lambda: Line()])
def test_a_model_of_ones_own_learns(base: kit.Experiment, model: Any, tmp_path: Path) -> None:
    run = base.replace(model=model, optimizer="adam").run(store=tmp_path, progress=False)
    assert run.status == "done", run.reason
    assert {name: value.shape for name, value in run.parameters().items()} == {"line.w": (64, 10), "line.b": (10,)}
    losses = run.curve("train_loss")
    assert losses.iloc[-1] < losses.iloc[0]


def test_a_loss_of_ones_own(base: kit.Experiment, tmp_path: Path) -> None:
    run = base.replace(loss=squared_margin).run(store=tmp_path, progress=False)
    assert run.status == "done", run.reason
    assert run.curve("train_loss").iloc[-1] < run.curve("train_loss").iloc[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": Keeping}, r"keeps 'batch_stats' beside its parameters"),
        ({"model": lambda: 3}, r"made a int; it must make an object with init\(key, x\) and apply"),
        ({"dataset": "diabetes", "model": Line, "loss": "mse"}, r"does not fit the loss: it is \(2, 10\)"),
    ],
)
def test_what_cannot_be_trained_is_said(base: kit.Experiment, change: Any, said: str, tmp_path: Path) -> None:
    import re

    run = base.replace(**change).run(store=tmp_path, progress=False)
    assert run.status == "failed"
    assert re.search(said, run.reason), run.reason


def test_an_optax_function_says_whose_it_is(tmp_path: Path) -> None:
    """`optax.adam` is a function of a package that the backend requires: no backend need be named."""
    if importlib.util.find_spec("optax") is None:
        pytest.skip("needs optax")
    from optax import adam

    run = kit.Experiment(optimizer=kit.optimizer(adam, learning_rate=0.01), budget=20).run(
        store=tmp_path, progress=False
    )
    assert (run.status, run.specification["backend"]) == ("done", "jax"), run.reason
    named = kit.Experiment(optimizer=kit.optimizer("optax.adam", learning_rate=0.01), backend="jax", budget=20)
    again = named.run(store=tmp_path, progress=False)
    np.testing.assert_array_equal(run.curve("batch_loss"), again.curve("batch_loss"))
