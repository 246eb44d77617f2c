"""kill -9 of the worker, the caller or both, at random moments of a real study: nothing acknowledged is lost, no store
is corrupt, and every curve ends bit for bit as that of a study that was never interrupted."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

import kit
from kit.store import Store

# A study whose steps take their time; it says of every point, once it has heard of it, its value.
CALLER = """
import json, os, sys
import kit

said = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Teller:
    def begin(self, runs, found): pass
    def note(self, sentence): pass
    def close(self): pass
    def record(self, run_id, record):
        if record["kind"] == "points":
            values = record["metrics"]["batch_loss"].tolist()
            os.write(said, json.dumps([run_id, record["first"], values]).encode() + b"\\n")

kit.Study.from_json(open(sys.argv[3]).read()).run(store=sys.argv[1], progress=Teller())
"""
STEPS = 150
TARGETS = ("worker", "caller", "both")


def study() -> kit.Study:
    """Two stacks of two. The schedule and the rules have state of their own, which must continue too."""
    base = kit.Experiment(
        dataset="blobs",
        model=kit.model("faulty", seconds=0.003),
        backend="numpy",
        dtype="float64",
        budget=STEPS,
        batch_size=16,
        evaluate_every=20,
        schedule="cosine",
    )
    return base.vary(optimizer=["adam", "schedule_free"], replicate=range(2))


class Caller:
    """The study in a process of its own."""

    def __init__(self, store: Path, said: Path, file: Path) -> None:
        command = [sys.executable, "-c", CALLER, str(store), str(said), str(file)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def workers(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def ended(self, within: float) -> bool:
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self, target: str) -> int:
        """Returns how many processes were killed."""
        victims = self.workers()
        if target != "worker":
            self.process.kill()
        if target != "caller":
            for victim in victims:
                victim.kill()
        if target != "worker":
            self.process.wait()
            _, left = psutil.wait_procs(victims, timeout=20)  # a worker without its parent goes by itself
            assert left == []
        return bool(victims) if target == "worker" else 1

    def close(self) -> str:
        assert self.process.stderr is not None
        with self.process.stderr:
            return self.process.stderr.read().decode()


def acknowledged(said: Path) -> Iterator[tuple[str, int, float]]:
    """(run, step, value) of every point that the caller has heard of."""
    if said.exists():
        for line in said.read_bytes().split(b"\n")[:-1]:
            run_id, first, values = json.loads(line)
            yield from ((run_id, first + i, value) for i, value in enumerate(values))


Curves = dict[str, dict[tuple[str, int], float]]


def curves_of(store: Store) -> Curves:
    return {
        outcome.run_id: {
            (metric, step): value
            for metric, step, value in outcome.curves[["metric", "step", "value"]].itertuples(index=False)
        }
        for outcome in store.outcomes()
    }


def check(folder: Path, said: Path, truth: Curves) -> set[str]:
    """Whatever is shown is right, and whatever was acknowledged is shown. Returns the statuses."""
    store = Store(folder)
    shown = curves_of(store)
    assert store.notes == []
    for run_id, points in shown.items():
        assert points.items() <= truth[run_id].items()
    for run_id, step, value in acknowledged(said):
        assert shown[run_id]["batch_loss", step] == value
    return {str(summary.status) for summary in store.runs()}


def endure(tmp_path: Path, kills: int, seed: int) -> None:
    generator = random.Random(seed)
    file = tmp_path / "study.json"
    file.write_text(study().to_json())
    began = time.monotonic()
    caller = Caller(tmp_path / "whole", tmp_path / "said", file)
    assert caller.ended(60), caller.close()
    caller.close()
    longest = time.monotonic() - began  # a caller's life: kills fall anywhere in it, on a slow machine too
    truth = curves_of(Store(tmp_path / "whole"))
    assert {len(points) for points in truth.values()} == {STEPS + 4 * (STEPS // 20 + 2)}
    killed, interrupted = 0, 0
    while killed < kills:
        folder, said = tmp_path / f"store-{killed}", tmp_path / f"said-{killed}"
        statuses: set[str] = set()
        while statuses != {"done"}:
            caller = Caller(folder, said, file)
            while not caller.ended(generator.uniform(0, longest)):
                target = generator.choice(TARGETS) if killed < kills else "nobody"
                killed += caller.kill(target) if target in TARGETS else 0
            fault = caller.close()
            assert "Traceback" not in fault, fault
            statuses = check(folder, said, truth)
            assert statuses <= {"done", "lost", "None"}  # a kill is nobody's failure
        assert curves_of(Store(folder)) == truth
        store = Store(folder)
        before = [summary.document() for summary in store.runs()]
        interrupted += sum(summary.attempts - 1 for summary in store.runs())
        assert [summary.document() for summary in store.reindex()] == sorted(before, key=lambda d: d["run_id"])
        for run in kit.open_store(folder):
            whole = Store(tmp_path / "whole").parameters(run.run_id)
            assert all(np.array_equal(value, whole[name]) for name, value in run.parameters().items())
    assert interrupted >= kills / 4


@pytest.fixture(autouse=True)
def checkpoints_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_NUMPY_CHECKPOINT_SECONDS", "0.05")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "numpy_backend"))


def test_twenty_kills(tmp_path: Path) -> None:
    endure(tmp_path, 20, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    endure(tmp_path, 20, seed)
