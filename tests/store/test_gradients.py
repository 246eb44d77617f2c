"""Gradients are counted where a step takes more than one, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.recorder import counted
from kit.store import AttemptLog, Store

BATCH = 8
COUNTS = [3, 4, 9, 10]  # gradients of a batch, taken by the end of each step


def written(store: Store, *, ending: bool) -> str:
    run = "a" * 16
    store.add(run, {"batch_size": BATCH, "optimizer": {"name": "o", "options": {}}})
    attempt = store.begin(run)
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "attempt": 1, "from_step": 0, "time": 1e9})
    points = {"kind": "points", "first": 1, "metrics": {"batch_loss": np.arange(4.0)}, "seconds": [0.0, 1.0]}
    log.append(points | counted(np.arange(1, 5), np.array(COUNTS)))
    evaluation: dict[str, Any] = {"kind": "evaluation", "step": 4, "seconds": 1.0, "metrics": {"train_loss": 0.5}}
    log.append(evaluation | counted(4, COUNTS[-1]))
    if ending:
        log.append({"kind": "end", "status": "done", "reason": "", "cost": {"gradient_evaluations": 10 * BATCH}})
    log.close()
    store.finish(run, attempt.number)
    return run


def test_curves_and_cost_hold_what_was_counted(tmp_path: Any) -> None:
    store = Store(tmp_path)
    run = written(store, ending=True)
    for _ in range(2):  # from the log, and from the seal that reading it left
        outcome = store.outcomes([run])[0]
        assert outcome.cost.gradient_evaluations == 10 * BATCH
        curves = outcome.curves.set_index("metric")
        np.testing.assert_array_equal(curves.loc["batch_loss", "gradient_evaluations"], np.array(COUNTS) * BATCH)
        np.testing.assert_array_equal(curves.loc["batch_loss", "samples"], np.arange(1, 5) * BATCH)
        assert curves.loc["train_loss", "gradient_evaluations"] == COUNTS[-1] * BATCH


def test_a_run_without_an_ending_is_counted_by_its_curves(tmp_path: Any) -> None:
    store = Store(tmp_path)
    run = written(store, ending=False)
    assert store.outcomes([run])[0].cost.gradient_evaluations == 10 * BATCH


def test_one_gradient_a_step_takes_no_room_in_the_log() -> None:
    assert counted(np.arange(1, 5), np.arange(1, 5)) == {}
    assert counted(3, 4) == {"gradients": 4}
