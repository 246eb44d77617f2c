"""One run over two processes (gloo): the trajectory is that of one process, also of a run that was interrupted.

What befalls ranks otherwise, the host's tests try with NumPy's (`tests/study/test_ranks.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import kit  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402
from tests.children import running  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PLUGINS", "builtin,torch")


def experiment(**fields: Any) -> kit.Experiment:
    given: dict[str, Any] = {
        "dataset": "iris",
        "model": kit.model("mlp", hidden=(5,), dropout=0.2),
        "optimizer": kit.optimizer("adam", learning_rate=0.01, clip_norm=0.5),
        "batch_size": 15,
        "budget": 12,
        "evaluate_every": 6,
        "backend": "torch",
        "dtype": "float64",
        "probes": ("gradient_norm",),
    }
    return kit.Experiment(**{**given, **fields})


def run(made: kit.Experiment, store: Path) -> Any:
    found = made.run(store=store, executor="inline", progress=False)
    assert found.status == "done", found.reason
    return found


def agree(one: Any, other: Any, names: tuple[str, ...] = ("batch_loss", "validation_loss", "train_accuracy")) -> None:
    for name in names:
        np.testing.assert_allclose(one.curve(name), other.curve(name), rtol=1e-12, err_msg=name)
    expected = other.parameters()
    for name, value in one.parameters().items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Fifteen samples among two, in parts; dropout by the host's draws; clipping by the norm of the whole gradient."""
    made = experiment(gradient_accumulation=3, activation_checkpointing=True)
    one, two = run(made, tmp_path), run(made.replace(devices=2, parallel="ddp"), tmp_path)
    agree(two, one, ("batch_loss", "validation_loss", "train_accuracy", "gradient_norm"))
    assert two.record["strategy"] == "ddp"
    assert two.cost.peak_memory_bytes > 0


def test_divided_parameters_train_as_whole_ones_stopped_and_continued(tmp_path: Path) -> None:
    made = experiment(gradient_accumulation=2, activation_checkpointing=True, budget=200, evaluate_every=100)
    one, two = run(made, tmp_path), stopped_and_continued(made.replace(devices=2, parallel="fsdp"), tmp_path)
    agree(two, one, ("batch_loss", "validation_loss", "train_accuracy", "gradient_norm"))
    assert two.record["strategy"] == "fsdp"


@pytest.mark.slow
def test_a_native_optimizer_trains_in_two_processes_as_in_one(tmp_path: Path) -> None:
    made = experiment(optimizer=kit.optimizer("torch.AdamW", learning_rate=0.01))
    agree(run(made.replace(devices=2, parallel="ddp"), tmp_path), run(made, tmp_path))


class Normed(nn.Module):
    """Batch normalisation, a dropout of its own, a parameter that takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        self.spare = nn.Parameter(torch.ones(2))

    def forward(self, x: Any) -> Any:
        return self.last(nn.functional.dropout(self.norm(self.first(x)), 0.3, self.training))


def test_a_run_that_is_stopped_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Bit for bit, moving means and every process's own draws included; no process of it stays."""
    made = experiment(model=Normed, budget=200, evaluate_every=100, probes=(), devices=2)
    whole = run(made, tmp_path / "whole")
    found = stopped_and_continued(made, tmp_path / "runs")
    np.testing.assert_array_equal(found.curve("batch_loss"), whole.curve("batch_loss"))
    np.testing.assert_array_equal(found.curve("validation_loss"), whole.curve("validation_loss"))
    for name, value in whole.parameters().items():
        np.testing.assert_array_equal(found.parameters()[name], value)
    assert not running("kit.rank")


class Stopping:
    """A progress that stops its study at the first points."""

    def __init__(self, study: kit.Study) -> None:
        self.study = study

    def begin(self, runs: Any, found: int) -> None: ...
    def note(self, sentence: str) -> None: ...
    def close(self) -> None: ...

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        if record["kind"] == "points":
            self.study.stop()


def stopped_and_continued(made: kit.Experiment, store: Path) -> Any:
    study = made.vary(seed=[0])
    (stopped,) = study.run(store=store, executor="inline", progress=Stopping(study)).runs
    assert stopped.status == "stopped", stopped.reason
    assert 0 < stopped.cost.steps < made.budget.steps
    found = run(made, store)
    assert found.outcome.attempts == 2
    return found


def test_what_cannot_be_divided_is_said(kit_torch_cases: Any) -> None:
    from kit import rules
    from kit_torch.sharded import ShardedProgram

    case = kit_torch_cases.Case(problem=kit_torch_cases.problem(), rule=rules.Muon, options={}, replicates=(0,))
    with pytest.raises(InvalidValueError, match=r"parallel='fsdp' .* optimizer 'Muon' is not one of the kit's element"):
        ShardedProgram(None, case.problem, case.optimizer, case.stack, "float64")  # type: ignore[arg-type]
