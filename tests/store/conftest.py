"""A store with runs in it, written as workers write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.store import AttemptLog, Store, write_checkpoint

BATCH = 4


def specification(rate: float = 0.1, optimizer: str = "adam", replicate: int = 0) -> dict[str, Any]:
    return {
        "format": 1,
        "dataset": {"name": "digits", "options": {}},
        "model": {"name": "mlp", "options": {"hidden": [32]}},
        "optimizer": {"name": optimizer, "options": {"learning_rate": rate}},
        "batch_size": BATCH,
        "budget": {"steps": 40},
        "backend": "torch",
        "seed": 0,
        "replicate": replicate,
    }


def truth(seed: int, steps: int = 40) -> dict[str, np.ndarray[Any, Any]]:
    """What a run of this seed records: batch_loss at 1…steps, validation_loss at 0, 10, 20, …"""
    generator = np.random.default_rng(seed)
    return {"batch_loss": generator.random(steps), "validation_loss": generator.random(steps // 10 + 1)}


class Writer:
    """Writes attempts at runs. `attempt` records steps first…last of the truth, ten to a record."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def attempt(
        self,
        run_id: str,
        seed: int,
        first: int = 0,
        last: int = 40,
        *,
        status: str | None = "done",
        checkpoint: int | None = None,
        finish: bool = True,
    ) -> Path:
        """first: steps done before. status: of the ending; None: killed. checkpoint: at that step, besides the last."""
        values = truth(seed)
        attempt = self.store.begin(run_id)
        log = AttemptLog(attempt.folder)
        log.append({"kind": "start", "attempt": attempt.number, "from_step": first, "time": 1e9 + seed, "threads": 1})
        log.append({"kind": "strategy", "name": "eager", "timings": {"eager": 3.5}})
        if first == 0:
            log.append(self.evaluation(values, 0))
        for step in range(first, last, 10):
            block = values["batch_loss"][step : min(step + 10, last)]
            seconds = [step / 100, (step + len(block)) / 100]
            log.append({"kind": "points", "first": step + 1, "metrics": {"batch_loss": block}, "seconds": seconds})
            if len(block) == 10:
                log.append(self.evaluation(values, step + 10))
            if step + 10 == checkpoint:
                self.checkpoint(attempt.folder, log, seed, checkpoint)
        if status is not None:
            self.checkpoint(attempt.folder, log, seed, last)
            cost = {"steps": last, "samples": last * BATCH, "gradient_evaluations": last * BATCH, "seconds": last / 100}
            log.append({"kind": "end", "status": status, "reason": f"It is {status}.", "cost": cost})
        log.close()
        if finish and status is not None:
            self.store.finish(run_id, attempt.number)
        return attempt.folder

    @staticmethod
    def evaluation(values: dict[str, Any], step: int) -> dict[str, Any]:
        loss = values["validation_loss"][step // 10]
        return {"kind": "evaluation", "step": step, "seconds": step / 100, "metrics": {"validation_loss": loss}}

    @staticmethod
    def parameters(seed: int, step: int) -> np.ndarray[Any, Any]:
        return np.random.default_rng([seed, step]).random((3, 2))

    def checkpoint(self, folder: Path, log: AttemptLog, seed: int, step: int) -> None:
        weight = self.parameters(seed, step)
        arrays = {"parameters/weight": weight, "evaluated/weight": weight + 1, "slots/m/weight": weight - 1}
        file = write_checkpoint(folder, step, arrays, {"strategy": "eager", "first_loss": float("nan")})
        log.append({"kind": "checkpoint", "step": step, "file": file})

    def run(self, run_id: str, seed: int, **options: Any) -> Path:
        self.store.add(run_id, specification(replicate=seed))
        return self.attempt(run_id, seed, **options)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store)


@pytest.fixture
def writer_of() -> type[Writer]:
    return Writer


@pytest.fixture
def spec() -> Callable[..., dict[str, Any]]:
    return specification


@pytest.fixture
def expected() -> Callable[..., dict[str, Any]]:
    return truth
