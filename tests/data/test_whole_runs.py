"""Whole runs on the NumPy backend: data on disk and schedules, from the experiment to the curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kit
from kit.data import user as users

BACKEND = str(Path(__file__).parents[1] / "numpy_backend")


@pytest.fixture
def base(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BACKEND)
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy")

    def make(**fields):
        kind = {"dataset": "iris", "model": "linear", "optimizer": "minibatch", "backend": "numpy", "dtype": "float64"}
        return kit.Experiment(**(kind | {"budget": 60, "batch_size": 16} | fields))

    return make


def run(experiment, tmp_path):
    found = experiment.run(store=tmp_path / "store", executor="inline", progress=False)
    assert found.status == "done", found.reason
    return found


@pytest.mark.parametrize("replicate", [0, 1])
def test_data_on_disk_give_the_curves_of_data_in_memory(base, tmp_path, monkeypatch, replicate):
    source = np.random.default_rng(0)
    x = source.normal(2, 3, (400, 6)).astype(np.float32)
    y = (x @ source.normal(size=(6, 3))).argmax(axis=1)
    np.save(tmp_path / "x.npy", x)
    kind = {"replicate": replicate, "probes": ("gradient_norm", "update_ratio")}
    memory = run(base(dataset=(x, y), **kind), tmp_path)
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    disk = run(base(dataset=(np.load(tmp_path / "x.npy", mmap_mode="r"), y), **kind), tmp_path)
    assert disk.specification["dataset"]["digest"] != memory.specification["dataset"]["digest"]
    for name in ("batch_loss", "train_loss", "validation_loss", "validation_accuracy", "gradient_norm", "update_ratio"):
        assert len(memory.curve(name))
        assert np.array_equal(memory.curve(name), disk.curve(name)), name
    assert memory.curve("train_loss").iloc[-1] < 0.5 * memory.curve("train_loss").iloc[0]


def test_a_schedule_multiplies_the_rate(base, tmp_path):
    """Plain gradient descent moves by η_t g_t: with a factor of 0 after 30 steps it stands still."""
    kind = {"probes": ("trajectory",), "evaluate_every": 1, "dataset": kit.dataset("sinusoid", samples=40)}
    stopped = base(schedule=kit.schedule("step", factor=0.0, every_steps=30), **kind)
    weight = run(stopped, tmp_path).curve("weight.0")
    assert weight[29] != weight[30]
    assert weight[30] == weight[31] == weight[60]
    halved = base(
        schedule=kit.schedule("constant", warmup_steps=2), optimizer=kit.optimizer("gd", learning_rate=0.1), **kind
    )
    plain = base(optimizer=kit.optimizer("gd", learning_rate=0.05), **kind)
    assert run(halved, tmp_path).curve("weight.0")[1] == run(plain, tmp_path).curve("weight.0")[1]


def test_a_value_that_is_not_finite_deep_in_a_file_ends_the_run_with_its_place(base, tmp_path, monkeypatch):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    monkeypatch.setattr("kit.data.check.CHECKED_BYTES", 100)
    x = np.random.default_rng(0).normal(size=(4000, 3))
    x[3999, 2] = np.inf
    np.save(tmp_path / "x.npy", x)
    experiment = base(dataset=(str(tmp_path / "x.npy"), np.arange(4000) % 2), budget=300, standardise=False)
    found = experiment.replace(validation_fraction=0.0).run(store=tmp_path / "store", executor="inline", progress=False)
    assert found.status == "failed"
    assert "inf at row 3999, column 2" in found.reason
