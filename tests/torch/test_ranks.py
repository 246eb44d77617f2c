"""One run over two processes (gloo): the trajectory is that of one process, and what befalls a rank is a status.

Each run is a user's: an experiment, carried out by the executor of that name, from the store.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import kit  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402

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


def run(made: kit.Experiment, store: Path, executor: str = "inline") -> Any:
    found = made.run(store=store, executor=executor, progress=False)
    assert found.status == "done", found.reason
    return found


def agree(one: Any, other: Any, names: tuple[str, ...] = ("batch_loss", "validation_loss", "train_accuracy")) -> None:
    for name in names:
        np.testing.assert_allclose(one.curve(name), other.curve(name), rtol=1e-12, err_msg=name)
    expected = other.parameters()
    for name, value in one.parameters().items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("way", "fields"),
    [
        ("ddp", {"gradient_accumulation": 3}),
        ("fsdp", {"gradient_accumulation": 2, "activation_checkpointing": True}),
        ("ddp", {"optimizer": kit.optimizer("torch.AdamW", learning_rate=0.01)}),
    ],
    ids=["ddp", "fsdp", "native"],
)
def test_two_processes_train_as_one(tmp_path: Path, way: str, fields: dict[str, Any]) -> None:
    """Fifteen samples among two; dropout by the host's draws; clipping by the norm of the whole gradient."""
    one = run(experiment(**fields), tmp_path)
    two = run(experiment(**fields, devices=2, parallel=way), tmp_path)
    agree(two, one, ("batch_loss", "validation_loss", "train_accuracy", "gradient_norm"))
    assert two.record["strategy"] == way
    assert two.cost.peak_memory_bytes > 0


class Normed(nn.Module):
    """Batch normalisation, a dropout of its own, a parameter that takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        self.spare = nn.Parameter(torch.ones(2))

    def forward(self, x: Any) -> Any:
        return self.last(nn.functional.dropout(self.norm(self.first(x)), 0.3, self.training))


def test_a_run_that_is_stopped_and_loses_a_rank_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Bit for bit, moving means and every process's own draws included; no process of it stays."""
    made = experiment(model=Normed, budget=1500, evaluate_every=500, probes=(), devices=2)
    whole = run(made, tmp_path / "whole")
    study = made.vary(seed=[0])
    stopped = ended(study, tmp_path / "runs", lambda: study.stop())
    assert stopped.status == "stopped"
    assert 0 < stopped.cost.steps < 1500
    ranks: list[Any] = []

    def kill() -> None:
        ranks.extend(ranks_of(os.getpid()))
        os.kill(ranks[1].pid, signal.SIGKILL)

    found = ended(study, tmp_path / "runs", kill, attempt=2)
    assert found.status == "done", found.reason
    assert found.outcome.attempts == 3
    np.testing.assert_array_equal(found.curve("batch_loss"), whole.curve("batch_loss"))
    np.testing.assert_array_equal(found.curve("validation_loss"), whole.curve("validation_loss"))
    for name, value in whole.parameters().items():
        np.testing.assert_array_equal(found.parameters()[name], value)
    assert len(ranks) == 2
    assert not ranks_of(os.getpid())


def test_the_ranks_go_with_their_worker_and_the_run_goes_on(tmp_path: Path) -> None:
    """Each step of a full batch, divided."""
    import psutil

    fields: dict[str, Any] = {"model": kit.model("mlp", hidden=(3, 3)), "optimizer": "gd", "probes": ()}
    made = experiment(**fields, budget=400, evaluate_every=200)
    one = run(made, tmp_path / "one")
    ranks: list[Any] = []

    def kill() -> None:
        (worker,) = [p for p in psutil.Process().children() if "kit.worker" in p.cmdline() and ranks_of(p.pid)]
        ranks.extend(ranks_of(worker.pid))
        os.kill(worker.pid, signal.SIGKILL)

    study = made.replace(devices=2, parallel="fsdp").vary(seed=[0])
    found = ended(study, tmp_path / "runs", kill, executor="processes")
    assert found.status == "done", found.reason
    assert found.outcome.attempts == 2
    agree(found, one)
    gone, alive = psutil.wait_procs(ranks, timeout=10)
    assert len(gone) == 2
    assert not alive


def ranks_of(process: int) -> list[Any]:
    import psutil

    return [child for child in psutil.Process(process).children(recursive=True) if "kit.rank" in child.cmdline()]


def ended(study: Any, store: Path, act: Any, attempt: int = 1, executor: str = "inline") -> Any:
    """The run of a study that something happens to while its attempt trains."""

    def watch() -> None:
        for _ in range(1200):
            logs = [path.read_text() for path in store.glob(f"**/attempt-{attempt}/log.jsonl")]
            if any('"points"' in log for log in logs):
                break
            time.sleep(0.05)
        act()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return study.run(store=store, executor=executor, progress=False).runs[0]
    finally:
        watcher.join()


def test_what_cannot_be_divided_is_said(kit_torch_cases: Any) -> None:
    from kit import rules
    from kit_torch.sharded import ShardedProgram

    case = kit_torch_cases.Case(problem=kit_torch_cases.problem(), rule=rules.Muon, options={}, replicates=(0,))
    with pytest.raises(InvalidValueError, match=r"parallel='fsdp' .* optimizer 'Muon' is not one of the kit's element"):
        ShardedProgram(None, case.problem, case.optimizer, case.stack, "float64")  # type: ignore[arg-type]
