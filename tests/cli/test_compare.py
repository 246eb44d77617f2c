"""`kit compare`, `kit resume` and `kit parity` as a user types them, on the NumPy backend."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

BACKEND = Path(__file__).parents[1] / "numpy_backend"
BASE = ["compare", "--model", "linear", "--optimizer", "minibatch,adam", "--steps", "30", "--replicates", "2"]


@pytest.fixture
def environment(tmp_path):
    path = os.pathsep.join(filter(None, [str(BACKEND), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "KIT_PLUGINS": "builtin,numpy", "KIT_STORE": str(tmp_path / "runs")}


@pytest.fixture
def kit(tmp_path, environment):
    """Runs `kit …` in an empty folder: (exit code, standard output, standard error)."""

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "kit", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


def test_a_comparison_leaves_its_four_files_and_says_what_is_real(kit, tmp_path):
    code, out, err = kit(*BASE)
    assert code == 0, err
    assert "minibatch" in out
    assert "replicates" in out.lower()
    folder = tmp_path / "kit-compare"
    assert {file.name for file in folder.iterdir()} == {"report.html", "curves.png", "curves.parquet", "study.json"}
    curves = pd.read_parquet(folder / "curves.parquet")
    assert set(curves["optimizer"]) == {"minibatch", "adam"}
    assert len(curves[(curves["metric"] == "batch_loss") & (curves["optimizer"] == "adam")]) == 60
    page = (folder / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script src" not in page


def test_a_study_file_runs_again_and_finds_its_runs(kit, tmp_path):
    kit(*BASE)
    code, _, err = kit("compare", "--from", "kit-compare/study.json", "--out", "again")
    assert code == 0
    assert "4 of 4 runs were in the store already" in err
    assert (tmp_path / "again" / "report.html").exists()


def test_json_is_one_document_and_nothing_else(kit):
    code, out, _ = kit(*BASE, "--json")
    document = json.loads(out)
    assert code == 0
    assert len(document["runs"]) == 4
    assert document["sentences"]
    assert set(document["files"]) == {"report.html", "curves.png", "curves.parquet", "study.json"}


def test_a_table_of_ones_own(kit, tmp_path):
    rows = [f"{i % 7},{(i * 5) % 11},{'yes' if i % 7 > 3 else 'no'}" for i in range(80)]
    (tmp_path / "own.csv").write_text("a,b,bought\n" + "\n".join(rows))
    arguments = ["compare", "--dataset", "own.csv", "--model", "linear", "--optimizer", "adam", "--steps", "20"]
    code, _, err = kit(*arguments, "--batch-size", "8", "--target", "bought")
    assert code == 0, err
    code, _, err = kit(*arguments)
    assert code == 2
    assert "Columns: a, b, bought" in err
    (tmp_path / "own.csv").write_text("a,b,bought\n1,,yes\n2,3,no\n4,5,yes\n")
    code, _, err = kit(*arguments, "--target", "bought")
    assert code == 2
    assert "'b'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--optimizer", "adm"], ["adm", "Did you mean 'adam'"]),
        (["--learning-rate", "x"], ["--learning-rate=x"]),
        (["--learning-rate", "sgd=0.1"], ["sgd", "not compared"]),
        (["--steps", "0"], ["steps=0"]),
        (["--steps", "3", "--epochs", "2"], ["--steps and --epochs"]),
        (["--from", "nowhere.json"], ["--from"]),
        (["--batch-size", "99999"], ["99999", "1438"]),
        (["--replicates", "0"], ["replicates=0"]),
        (["--dataset", "digts"], ["Did you mean 'digits'"]),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(kit, tmp_path, arguments, words):
    code, out, err = kit("compare", "--model", "linear", "--optimizer", "adam", "--steps", "5", *arguments)
    assert code == 2
    assert out == ""
    for word in words:
        assert word in err


def test_a_device_that_is_not_there_is_a_failed_run_and_exit_code_1(kit):
    code, out, _ = kit(*BASE, "--device", "cpu:7")
    assert code == 1
    assert "device 'cpu:7' is not there" in out
    code, _, err = kit(*BASE, "--device", "tpu")
    assert code == 2
    assert "no device named 'tpu'" in err


def slow_study(tmp_path):
    """A study.json whose runs take about ten seconds each."""
    import kit

    slow = kit.Experiment(model=kit.model("faulty", seconds=0.05), backend="numpy", optimizer="adam", budget=200)
    (tmp_path / "study.json").write_text(slow.vary(replicate=range(2)).to_json())


def test_ctrl_c_keeps_what_was_done_and_resume_continues(kit, tmp_path, environment):
    slow_study(tmp_path)
    command = [sys.executable, "-m", "kit", "compare", "--from", "study.json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        logs = list((tmp_path / "runs").glob("**/log.jsonl"))
        until = time.monotonic() + 60
        while time.monotonic() < until and not any(b'"evaluation"' in log.read_bytes() for log in logs):
            time.sleep(0.1)
            logs = list((tmp_path / "runs").glob("**/log.jsonl"))
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert b"stopped" in out
    assert b"Traceback" not in err
    code, out_text, err_text = kit("resume")
    assert code == 0, err_text
    assert out_text.count("done") == 2
    assert "Nothing to resume" in kit("resume")[1]


def test_resume_refuses_what_is_done_by_name(kit):
    kit(*BASE)
    runs = json.loads(kit("runs", "--json")[1])
    first = (runs["runs"] if isinstance(runs, dict) else runs)[0]
    name = first.get("run_id") or first["run"]
    code, _, err = kit("resume", name)
    assert code == 2
    assert "is done" in err


def test_parity_with_one_backend_says_what_it_needs(kit):
    code, _, err = kit("parity", "--optimizer", "adam")
    assert code == 2
    assert "two backends" in err
