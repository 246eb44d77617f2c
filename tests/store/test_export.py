"""Exports, read back by the tools that they are for."""

from __future__ import annotations

import csv
import importlib.util
import multiprocessing
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from kit.errors import MissingPackageError, StoreError, UnknownNameError
from kit.outcome import Outcome
from kit.store import AttemptLog, Store
from kit.store.export import FORMATS, export

TRICKY = [1 / 3, float("nan"), float("inf"), 5e-324]


@pytest.fixture
def outcomes(store: Store, writer: Any) -> list[Outcome]:
    writer.run("one", 1)
    writer.run("two", 2, last=20, status="stopped")
    store.add("tricky", {"batch_size": 2, "optimizer": {"name": "adam", "options": {}}, "probes": ["a"]})
    log = AttemptLog(store.begin("tricky").folder)
    log.append({"kind": "start", "from_step": 0, "time": 2e9})
    log.append({"kind": "points", "first": 1, "metrics": {"batch_loss": TRICKY}, "seconds": [0, 4]})
    log.append({"kind": "end", "status": "diverged", "reason": "It left.", "cost": {"steps": 4, "seconds": 4.0}})
    log.close()
    return store.outcomes()


def test_unknown_format(outcomes: list[Outcome], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'parquet'"):
        export(outcomes, "parket", tmp_path / "x")


def test_csv(outcomes: list[Outcome], tmp_path: Path) -> None:
    path = export(outcomes, "csv", tmp_path / "new" / "curves.csv")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45 + 23 + 4
    for outcome in outcomes:
        own = [row for row in rows if row["run_id"] == outcome.run_id]
        assert np.array_equal([float(row["value"]) for row in own], outcome.curves["value"], equal_nan=True)
        assert [int(row["step"]) for row in own] == outcome.curves["step"].tolist()
        assert {row["status"] for row in own} == {outcome.status}
    assert {key: rows[0][key] for key in ("optimizer", "learning_rate", "backend", "model", "replicate")} == {
        "optimizer": "adam",
        "learning_rate": "0.1",
        "backend": "torch",
        "model": "mlp",
        "replicate": "1",
    }


def test_parquet(outcomes: list[Outcome], tmp_path: Path) -> None:
    path = export(outcomes, "parquet", tmp_path / "curves.parquet")
    table = pyarrow.parquet.read_table(path).to_pydict()
    values = np.concatenate([outcome.curves["value"] for outcome in outcomes])
    assert np.array_equal(table["value"], values, equal_nan=True)
    assert table["run_id"] == ["one"] * 45 + ["two"] * 23 + ["tricky"] * 4
    assert {"metric", "step", "samples", "seconds", "optimizer", "learning_rate", "seed"} <= table.keys()


def test_one_outcome_or_none(outcomes: list[Outcome], tmp_path: Path) -> None:
    export(outcomes[0], "parquet", tmp_path / "one.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "one.parquet").num_rows == 45
    export([], "parquet", tmp_path / "none.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "none.parquet").num_rows == 0


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_path_that_cannot_be_written(outcomes: list[Outcome], tmp_path: Path, to: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        export(outcomes, to, tmp_path / "file" / "curves")


@pytest.mark.parametrize(("to", "module"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow.tracking")])
def test_missing_package_names_the_command(
    outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    with pytest.raises(MissingPackageError, match="pip install "):
        export(outcomes, to, tmp_path / "out")


def events(path: Path) -> Iterator[Any]:
    """The events of a file, by TensorBoard's own definition: records of length, checksum, content, checksum."""
    from tensorboard.compat.proto.event_pb2 import Event

    data = path.read_bytes()
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield Event.FromString(data[position + 12 : position + 12 + length])
        position += 12 + length + 4


def test_tensorboard(outcomes: list[Outcome], tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboardX") is None:
        pytest.skip("needs tensorboardX")
    pytest.importorskip("tensorboard")
    for _ in range(2):  # exporting again replaces
        # tensorboardX imports PyTorch where it is installed, so it has a process of its own.
        child = multiprocessing.get_context("spawn").Process(
            target=export, args=(outcomes, "tensorboard", tmp_path / "logs")
        )
        child.start()
        child.join()
        assert child.exitcode == 0
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["one", "tricky", "two"]
    for outcome in outcomes:
        folder = tmp_path / "logs" / outcome.run_id
        found = [event for file in folder.rglob("events*") for event in events(file)]
        for metric, curve in outcome.curves.groupby("metric"):
            points = [(e.step, e.wall_time, v.simple_value) for e in found for v in e.summary.value if v.tag == metric]
            assert [step for step, _, _ in points] == curve["step"].tolist()
            assert np.allclose([time for _, time, _ in points], outcome.started + curve["seconds"], rtol=1e-12)
            single = curve["value"].astype(np.float32)  # what the format holds
            assert np.array_equal([value for _, _, value in points], single, equal_nan=True)
        tags = {value.tag for event in found for value in event.summary.value}
        assert "_hparams_/session_start_info" in tags
        assert any(tag.startswith("specification") for tag in tags)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow uses what SQLAlchemy has deprecated
@pytest.mark.parametrize("place", ["folder", "database.db"])
def test_mlflow(outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    if place.endswith(".db"):
        pytest.importorskip("sqlalchemy")
        pytest.importorskip("alembic")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    for _ in range(2):  # exporting again replaces
        address = export(outcomes, "mlflow", tmp_path / place)
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = tracking.MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name("descentkit").experiment_id
    runs = {run.data.tags["descentkit.run_id"]: run for run in client.search_runs([experiment])}
    assert runs.keys() == {"one", "two", "tricky"}
    assert {name: run.info.status for name, run in runs.items()} == {
        "one": "FINISHED",
        "two": "KILLED",
        "tricky": "FAILED",
    }
    assert runs["one"].data.params["optimizer.options.learning_rate"] == "0.1"
    assert runs["one"].data.params["model.options.hidden"] == "[32]"
    for outcome in outcomes[:2]:
        for metric, curve in outcome.curves.groupby("metric"):
            history = client.get_metric_history(runs[outcome.run_id].info.run_id, metric)
            points = sorted((point.step, point.value) for point in history)
            assert points == list(zip(curve["step"], curve["value"], strict=True))
    history = client.get_metric_history(runs["tricky"].info.run_id, "batch_loss")
    found = {point.step: point.value for point in history}
    assert found[1] == TRICKY[0]
    assert np.isnan(found[2])


def test_formats_are_what_the_command_line_offers() -> None:
    assert FORMATS == ("csv", "parquet", "tensorboard", "mlflow")
