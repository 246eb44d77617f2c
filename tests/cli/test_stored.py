"""`kit runs`, `kit show`, `kit reindex` on a store that is written here by the public API."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.cli.stored import sparkline
from kit.store import AttemptLog, Store

DONE, DIVERGED, BEGUN = "aaaa000000000001", "aaab000000000002", "bbbb000000000003"


def specification(optimizer: str, learning_rate: float) -> dict[str, Any]:
    return {
        "format": 1,
        "dataset": {"name": "digits", "options": {}},
        "model": {"name": "mlp", "options": {"hidden": [32]}},
        "loss": {"name": "cross_entropy", "options": {}},
        "optimizer": {"name": optimizer, "kind": "rule", "options": {"learning_rate": learning_rate}},
        "schedule": {"name": "constant", "options": {}},
        "batch_size": 64,
        "budget": {"steps": 4},
        "seed": 7,
        "replicate": 1,
        "backend": "torch",
        "dtype": "float32",
    }


def record(store: Store, run_id: str, losses: list[float], status: str, reason: str) -> None:
    attempt = store.begin(run_id)
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "attempt": 1, "from_step": 0, "time": 1_700_000_000.0, "device": "cpu"})
    seconds = [0.0, 0.01 * len(losses)]
    log.append({"kind": "points", "first": 1, "metrics": {"batch_loss": losses}, "seconds": seconds})
    metrics = {"train_loss": losses[-1], "validation_loss": 2 * losses[-1]}
    log.append({"kind": "evaluation", "step": len(losses), "seconds": seconds[1], "metrics": metrics})
    cost = {"steps": len(losses), "samples": 64 * len(losses), "seconds": seconds[1]}
    log.append({"kind": "end", "status": status, "reason": reason, "cost": cost})
    log.close()
    store.finish(run_id, attempt.number)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    place = Store(tmp_path / "kept")
    place.add(DONE, specification("adam", 0.001))
    record(place, DONE, [2.0, 1.0, 0.5, 0.25], "done", "All 4 steps were made.")
    place.add(DIVERGED, specification("gd", 10.0))
    record(place, DIVERGED, [2.0, float("inf")], "diverged", "The loss is not finite at step 2.")
    place.add(BEGUN, specification("sgd", 0.1))
    return tmp_path / "kept"


def kit(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | environment,
        timeout=120,
    )


def test_runs(store: Path, tmp_path: Path) -> None:
    run = kit("runs", "--store", str(store), cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    lines = {line.split()[0]: line.split() for line in run.stdout.splitlines() if line.strip()}
    assert lines[DONE][1:4] == ["done", "adam", "0.001"]
    assert lines[DONE][-4:] == ["4", "0.25", "0.5", "0.04"]
    assert lines[DIVERGED][1:4] == ["diverged", "gd", "10"]
    assert lines[BEGUN][1:3] == ["not", "begun"]
    assert run.stdout.splitlines()[-1] == f"3 runs in {store}."


def test_runs_json(store: Path, tmp_path: Path) -> None:
    run = kit("runs", "--json", cwd=tmp_path, KIT_STORE=str(store))
    document = json.loads(run.stdout)
    by_id = {each["run_id"]: each for each in document["runs"]}
    assert set(by_id) == {DONE, DIVERGED, BEGUN}
    assert by_id[DONE]["specification"] == specification("adam", 0.001)
    assert by_id[DONE]["cost"]["samples"] == 256
    assert by_id[DONE]["final"]["validation_loss"] == 0.5
    assert by_id[DIVERGED]["final"]["batch_loss"] == "inf"  # strict JSON has no infinity
    assert by_id[BEGUN]["status"] is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--status", "done"], {DONE}),
        (["--where", "optimizer=gd"], {DIVERGED}),
        (["--where", "learning_rate=0.001", "--where", "backend=torch"], {DONE}),
        (["--where", "model__hidden=[32]"], {DONE, DIVERGED, BEGUN}),
        (["--where", "optimizer=adam", "--status", "failed"], set()),
    ],
)
def test_runs_of_a_kind(store: Path, tmp_path: Path, arguments: list[str], expected: set[str]) -> None:
    run = kit("runs", "--json", "--store", str(store), *arguments, cwd=tmp_path)
    assert {each["run_id"] for each in json.loads(run.stdout)["runs"]} == expected


def test_the_newest_runs(store: Path, tmp_path: Path) -> None:
    run = kit("runs", "--json", "--store", str(store), "--last", "2", cwd=tmp_path)
    assert {each["run_id"] for each in json.loads(run.stdout)["runs"]} == {DIVERGED, BEGUN}


def test_many_runs_are_plain_lines_of_the_same_columns(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kit.cli import stored
    from kit.cli.run import run

    said = []
    for many in (500, 2):
        monkeypatch.setattr(stored, "MANY", many)
        assert run(["runs", "--store", str(store)]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.strip("─ ")]
        said.append([line.split() for line in lines])
    assert said[0] == said[1]


def test_compact(store: Path, tmp_path: Path) -> None:
    from kit.store import write_checkpoint

    folder = store / "runs" / DONE / "attempt-1"
    write_checkpoint(folder, 4, {"evaluated/w": [1.0], "slots/m/w": [0.5] * 1000, "parameters/w": [1.0]}, {})
    before = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    run = kit("compact", "--json", "--store", str(store), cwd=tmp_path)
    said = json.loads(run.stdout)
    assert said["bytes_before"] == before
    assert said["bytes_after"] < before - 8000
    assert Store(store).parameters(DONE)["w"].tolist() == [1.0]
    assert kit("compact", "--store", str(store), cwd=tmp_path).stdout.startswith("Freed 0.0 MB of 0.")


def test_show(store: Path, tmp_path: Path) -> None:
    run = kit("show", "aaaa", "--store", str(store), cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"Run {DONE}, done: All 4 steps were made.\n")
    assert "adam(learning_rate=0.001)" in run.stdout
    assert "4 steps, 256 samples, 0.04 s of training" in run.stdout
    (curve,) = (line for line in run.stdout.splitlines() if line.startswith("batch_loss"))
    assert curve.split() == ["batch_loss", "4", "2", "0.25", "0.25", "2", "█▄▂▁"]


def test_show_json(store: Path, tmp_path: Path) -> None:
    run = kit("show", DONE, "--json", "--curves", "--store", str(store), cwd=tmp_path)
    document = json.loads(run.stdout)
    assert document["reason"] == "All 4 steps were made."
    points = [point for point in document["curves"] if point["metric"] == "batch_loss"]
    assert [point["value"] for point in points] == [2.0, 1.0, 0.5, 0.25]
    assert [point["step"] for point in points] == [1, 2, 3, 4]
    assert "curves" not in json.loads(kit("show", DONE, "--json", "--store", str(store), cwd=tmp_path).stdout)


def test_show_a_run_that_has_not_begun(store: Path, tmp_path: Path) -> None:
    run = kit("show", "b", "--store", str(store), cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"Run {BEGUN}, not begun\n")


def test_export_one_run(store: Path, tmp_path: Path) -> None:
    run = kit("export", "aaaa", "--to", "csv", "--store", str(store), cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, f"Exported 1 run to {DONE}.csv\n"), run.stderr
    with (tmp_path / f"{DONE}.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "batch_loss"]
    assert [float(row["value"]) for row in rows] == [2.0, 1.0, 0.5, 0.25]
    assert {row["optimizer"] for row in rows} == {"adam"}


def test_export_everything_that_has_begun(store: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    arguments = ["export", "--to", "parquet", "--out", "all.parquet", "--json"]
    run = kit(*arguments, cwd=tmp_path, KIT_STORE=str(store))
    document = json.loads(run.stdout)
    assert document["path"] == "all.parquet"
    assert set(document["runs"]) == {DONE, DIVERGED}
    assert set(pandas.read_parquet(tmp_path / "all.parquet")["run_id"]) == {DONE, DIVERGED}


def test_export_to_tensorboard_goes_where_it_looks(store: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboardX") is None:  # importing it here would load tensorflow
        pytest.skip("needs tensorboardX")
    run = kit("export", DONE, "--to", "tensorboard", "--store", str(store), cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert list((tmp_path / "tensorboard" / DONE).glob("events.out.tfevents.*"))


def test_reindex(store: Path, tmp_path: Path) -> None:
    before = json.loads(kit("runs", "--json", "--store", str(store), cwd=tmp_path).stdout)
    for name in store.glob("index.sqlite*"):
        name.unlink()
    run = kit("reindex", "--store", str(store), cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, f"Indexed 3 runs in {store}.\n")
    assert json.loads(kit("runs", "--json", "--store", str(store), cwd=tmp_path).stdout) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "--store", "nowhere"], "There is no store at nowhere. `kit compare` makes one"),
        (["runs", "--store", "."], "There is no store at ."),
        (["show", "aaa", "--store", "kept"], "'aaa' begins the identifiers of 2 runs"),
        (["show", "zzzz", "--store", "kept"], "zzzz"),
        (["runs", "--where", "optimizer", "--store", "kept"], "it must read NAME=VALUE"),
        (["runs", "--where", "optimzer=adam", "--store", "kept"], "Did you mean 'optimizer'?"),
        (["export", "aaaa", "--to", "parket", "--store", "kept"], "Did you mean 'parquet'?"),
        (["export", "aaaa", "--store", "kept"], "Missing option '--to'"),
        (["show", "--store", "kept"], "Missing argument 'RUN'"),
    ],
)
def test_a_request_that_is_wrong(store: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    run = kit(*arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert words in line


def test_a_damaged_run_is_said_and_the_others_are_listed(store: Path, tmp_path: Path) -> None:
    (store / "runs" / DIVERGED / "specification.json").write_text("{ torn")
    for cache in (*store.glob("index.sqlite*"), *(store / "runs" / DIVERGED).glob("sealed*")):
        cache.unlink()  # they would make the damage good
    run = kit("runs", "--json", "--store", str(store), cwd=tmp_path)
    assert {each["run_id"] for each in json.loads(run.stdout)["runs"]} == {DONE, BEGUN}
    assert run.returncode == 0
    assert "note: " in run.stderr
    assert DIVERGED in run.stderr


def test_a_sparkline() -> None:
    assert sparkline([0.0, 7.0]) == "▁█"
    assert sparkline([1.0, float("nan"), float("inf"), 1.0]) == "▁××▁"
    assert sparkline([]) == ""
    assert len(sparkline([float(i) for i in range(1000)])) == 32
    assert sparkline([float(i) for i in range(1000)])[-1] == "█"
