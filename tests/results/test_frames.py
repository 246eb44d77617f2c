"""Frames and arrays: what columns they have, and that they keep every number."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.errors import MissingPackageError
from kit.results import Results
from kit.results.labels import ALWAYS, labels_of


def test_curves_are_tidy(make_study: Any) -> None:
    outcomes = make_study(("gd", "adam"), ("torch",), 2)
    curves = Results(outcomes).curves
    assert list(curves.columns) == [
        "run", *ALWAYS, "metric", "step", "samples", "gradient_evaluations", "seconds", "value",
    ]  # fmt: skip
    assert len(curves) == sum(len(outcome.curves) for outcome in outcomes)
    for outcome in outcomes:
        mine = curves[curves["run"] == outcome.run_id]
        assert (mine["optimizer"] == outcome.specification["optimizer"]["name"]).all()
        pd.testing.assert_series_equal(
            mine["value"].reset_index(drop=True), outcome.curves["value"].reset_index(drop=True)
        )
    assert curves["batch_size"].dtype == np.int64
    assert curves["learning_rate"].dtype == np.float64
    assert curves["optimizer"].dtype == object


def test_what_varies_has_a_column_nested_options_too(make_outcome: Any) -> None:
    outcomes = [
        make_outcome("adam", "torch", 0, model={"name": "mlp", "options": {"hidden": hidden, "dropout": 0.0}})
        for hidden in ([32], [64, 32])
    ]
    curves = Results(outcomes).curves
    assert set(curves["model__hidden"]) == {(32,), (64, 32)}
    assert "model__dropout" not in curves.columns


def test_an_option_that_only_another_optimizer_has_does_not_vary(make_outcome: Any) -> None:
    one, other = make_outcome("adam"), make_outcome("sgd")
    one.specification["optimizer"]["options"]["beta_1"] = 0.9
    other.specification["optimizer"]["options"]["momentum"] = 0.0
    assert set(Results([one, other]).summary.columns).isdisjoint({"beta_1", "momentum"})


def test_labels_are_flat_hashable_and_numbers() -> None:
    found = labels_of(
        {
            "optimizer": {"name": "adam", "options": {"learning_rate": 0.1, "clip_norm": "inf", "batch_size": 3}},
            "schedule": {"name": "step", "options": {"milestones": [10, 20]}},
            "batch_size": 64,
            "budget": {"steps": 500},
        }
    )
    assert found["optimizer"] == "adam"
    assert found["clip_norm"] == float("inf")
    assert found["schedule__milestones"] == (10, 20)
    assert found["batch_size"] == 64
    assert found["optimizer__batch_size"] == 3
    assert found["budget"] == "500 steps"
    assert len({tuple(found.items())}) == 1


def test_summary_has_a_row_per_run(make_outcome: Any) -> None:
    outcomes = [make_outcome("adam", "torch", 0), make_outcome("wild", "torch", 0, diverged_at=40)]
    summary = Results(outcomes).summary
    assert list(summary["status"]) == ["done", "diverged"]
    assert "became nan" in summary["reason"][1]
    curves = outcomes[0].curves
    validation = curves[curves["metric"] == "validation_loss"]
    assert summary["validation_loss"][0] == validation["value"].iloc[-1]
    assert summary["best_validation_loss"][0] == validation["value"].min()
    assert summary["best_validation_accuracy"][0] == curves[curves["metric"] == "validation_accuracy"]["value"].max()
    assert summary["steps"][0] == 500
    assert summary["strategy"][0] == "stacked"


def test_finals_noted_by_the_store_spare_the_curves(make_outcome: Any) -> None:
    outcome = replace(make_outcome(), final={"validation_loss": 0.5}, curves=None)
    assert Results([outcome]).runs[0].finals["validation_loss"] == 0.5


def test_the_array_has_runs_by_steps_and_groups_by_labels(make_study: Any) -> None:
    xarray = pytest.importorskip("xarray")
    results = Results(make_study(("gd", "adam"), ("torch", "tensorflow"), 2))
    array = results.to_xarray()
    assert isinstance(array, xarray.Dataset)
    assert dict(array.sizes) == {"run": 8, "step": 501}
    assert array["optimizer"].dtype == object
    run = results.runs[3]
    pd.testing.assert_series_equal(
        array["validation_loss"].sel(run=run.run_id).to_series().dropna(),
        run.curve("validation_loss"),
        check_names=False,
    )
    means = array["validation_loss"].isel(step=-1).groupby("optimizer").mean()
    assert float(means.sel(optimizer="adam")) < float(means.sel(optimizer="gd"))


def test_an_array_without_xarray_says_what_to_install(make_outcome: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install"):
        Results([make_outcome()]).to_xarray()


def test_parquet_keeps_the_curves_even_of_mixed_labels(make_outcome: Any, tmp_path: Path) -> None:
    outcomes = [
        make_outcome("adam", "torch", 0, model={"name": "mlp", "options": {"hidden": [32]}}),
        make_outcome("adam", "torch", 0, model={"name": "mlp", "options": {"hidden": "wide"}}),
    ]
    results = Results(outcomes)
    back = pd.read_parquet(results.to_parquet(tmp_path / "curves.parquet"))
    assert list(back.columns) == list(results.curves.columns)
    np.testing.assert_array_equal(back["value"], results.curves["value"])
    assert set(back["model__hidden"]) == {"(32)", "wide"}


def test_results_need_neither_framework(make_outcome: Any, tmp_path: Path) -> None:
    """A fresh process in which importing a framework fails: frames, table, verdicts, figures and report."""
    import pickle
    import subprocess

    outcomes = [make_outcome(name, "torch", r) for name in ("gd", "adam") for r in range(2)]
    (tmp_path / "outcomes.pickle").write_bytes(pickle.dumps(outcomes))
    code = """
import pickle, sys
for name in ("torch", "tensorflow", "keras", "jax"):
    sys.modules[name] = None
from kit.results import Results
light = set(sys.modules)
assert not light & {"pandas", "matplotlib", "scipy", "numpy"}, light & {"pandas", "matplotlib", "scipy", "numpy"}
results = Results(pickle.load(open(sys.argv[1], "rb")))
str(results.table()); results.sentences(); results.curves
results.report(sys.argv[2])
assert "matplotlib.pyplot" not in sys.modules
"""
    report = tmp_path / "report.html"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "outcomes.pickle"), str(report)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert report.stat().st_size > 10_000
