"""A study whose runs another process trains already, in the same store: it waits for them, and takes up what that one
leaves."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kit
from kit import conduct

OTHER = """
import sys
import kit

kit.Study.from_json(open(sys.argv[2]).read()).run(store=sys.argv[1], progress=False)
"""


class Heard:
    def __init__(self):
        self.notes, self.ended = [], []

    def begin(self, runs, found): ...
    def close(self): ...

    def note(self, sentence):
        self.notes.append(sentence)

    def record(self, run_id, record):
        if record["kind"] == "end":
            self.ended.append(run_id)


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "numpy_backend"))
    monkeypatch.setenv("KIT_NUMPY_CHECKPOINT_SECONDS", "0.05")
    monkeypatch.setattr(conduct, "GRACE_SECONDS", 0.5)
    model = kit.model("faulty", seconds=0.02)
    given = {"dataset": "blobs", "backend": "numpy", "dtype": "float64", "budget": 120, "batch_size": 16}
    return kit.Experiment(model=model, **given).vary(replicate=range(2))


@pytest.fixture
def other(study, tmp_path):
    """The same study, which another process has begun."""
    (tmp_path / "study.json").write_text(study.to_json())
    command = [sys.executable, "-c", OTHER, str(tmp_path / "runs"), str(tmp_path / "study.json")]
    with subprocess.Popen(command) as process:
        until = time.monotonic() + 60
        while not any(b'"points"' in log.read_bytes() for log in tmp_path.rglob("log.jsonl")):
            assert time.monotonic() < until
            time.sleep(0.02)
        yield process
        process.kill()


def test_what_another_trains_is_waited_for(study, other, tmp_path):
    mine = study.experiments[0].replace(model="linear").vary(replicate=[0])  # that nobody trains
    heard = Heard()
    results = kit.Study([*study.experiments, *mine.experiments]).run(store=tmp_path / "runs", progress=heard)
    assert [(run.status, run.outcome.attempts) for run in results] == [("done", 1)] * 3
    assert "2 of the runs are being trained by another process; they are waited for." in heard.notes
    assert heard.ended == [results.runs[2].run_id]
    assert other.wait(10) == 0
    np.testing.assert_array_equal(results.runs[0].curve("batch_loss"), results.runs[2].curve("batch_loss"))


def test_what_another_leaves_by_dying_is_taken_up(study, other, tmp_path):
    class Killing(Heard):
        def note(self, sentence):
            super().note(sentence)
            if "waited for" in sentence:
                other.kill()

    results = study.run(store=tmp_path / "runs", progress=Killing())
    assert [(run.status, run.outcome.attempts) for run in results] == [("done", 2)] * 2
    whole = study.run(store=tmp_path / "whole", progress=False)
    for run, uninterrupted in zip(results, whole, strict=True):
        np.testing.assert_array_equal(run.curve("batch_loss"), uninterrupted.curve("batch_loss"))
