"""One run over two devices of the processor, in one process and in two: the trajectory is that of one device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import kit

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("way", "fields"),
    [("mirrored", {"gradient_accumulation": 3}), ("multi_worker_mirrored", {"optimizer": "schedule_free_adamw"})],
)
def test_two_devices_train_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, fields: dict[str, Any]
) -> None:
    """Fifteen samples among two; dropout by the host's draws; a continued run is the uninterrupted one."""
    monkeypatch.setenv("KIT_PLUGINS", "builtin,tensorflow")
    one = kit.Experiment(
        **{
            "dataset": "iris",
            "model": kit.model("mlp", hidden=(5,), dropout=0.2),
            "optimizer": kit.optimizer("adam", learning_rate=0.01, clip_norm=0.5),
            "batch_size": 15,
            "budget": 12,
            "evaluate_every": 6,
            "backend": "tensorflow",
            "dtype": "float64",
            "probes": ("gradient_norm",),
            **fields,
        }
    )
    alone = one.run(store=tmp_path, executor="inline", progress=False)
    shared = one.replace(devices=2, parallel=way).run(store=tmp_path, executor="inline", progress=False)
    assert (alone.status, shared.status) == ("done", "done"), shared.reason
    for name in ("batch_loss", "validation_loss", "train_accuracy", "gradient_norm"):
        np.testing.assert_allclose(shared.curve(name), alone.curve(name), rtol=1e-12, err_msg=name)
    expected = alone.parameters()
    for name, value in shared.parameters().items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)
    assert shared.record["strategy"] == way
