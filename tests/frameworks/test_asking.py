"""Probes that ask for gradients elsewhere: the same values in both frameworks, and training that never notices."""

from __future__ import annotations

import numpy as np
import pytest

import kit
from kit.study import Study


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
def test_both_frameworks_read_alike_and_train_on(tmp_path, optimizer):
    base = kit.Experiment(
        dataset="iris", model=kit.model("mlp", hidden=(6,), activation="tanh"), optimizer=optimizer, dtype="float64",
        budget=60, evaluate_every=20, batch_size=16,
    )  # fmt: skip
    backends = ["tensorflow", "torch"]
    axes = {"backend": backends, "replicate": range(2)}
    plain = base.vary(**axes).run(store=tmp_path, progress=False)
    experiments = [
        experiment.replace(probes=("curvature", "gradient_noise"), strategy=run.record["strategy"])  # no other rounding
        for experiment, run in zip(base.vary(**axes).experiments, plain, strict=True)
    ]
    asked = Study(experiments, axes).run(store=tmp_path, progress=False)
    assert {run.status for run in [*plain, *asked]} == {"done"}
    for before, after in zip(plain, asked, strict=True):
        assert np.array_equal(before.curve("batch_loss"), after.curve("batch_loss"))
    for replicate in range(2):
        ours, theirs = (asked.select(backend=name, replicate=replicate).runs[0] for name in backends)
        for metric in ("largest_curvature", "gradient_noise_scale"):
            assert ours.curve(metric).to_numpy() == pytest.approx(theirs.curve(metric).to_numpy(), rel=1e-6)
    first, second = (asked.select(backend="torch", replicate=r).runs[0] for r in range(2))
    assert first.curve("largest_curvature")[0] != second.curve("largest_curvature")[0]
