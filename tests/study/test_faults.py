"""What befalls processes, disks and clocks is a status with a sentence; the caller and the other runs go on."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import kit
import kit.patience
import kit.pool
from kit.outcome import STATUSES
from kit.store import Store

FAULTY = {"backend": "numpy", "dataset": "blobs", "budget": 40, "batch_size": 16, "dtype": "float64"}


def faulty(**options: object) -> kit.Experiment:
    return kit.Experiment(model=kit.model("faulty", seconds=0.02, **options), **FAULTY)


def both(experiment: kit.Experiment, store: Path) -> list[kit.results.Run]:
    """The run, and a sound one of the same numbers that must not suffer from it."""
    runs = kit.Study([experiment, experiment.replace(model="linear")]).run(store=store, progress=False).runs
    assert runs[1].status == "done"
    assert runs[1].outcome.attempts == 1
    return runs


def test_a_hung_step_is_noticed_though_the_worker_s_threads_live(tmp_path, monkeypatch):
    monkeypatch.setattr(kit.patience, "TRAINING_SECONDS", 1.5)
    run, sound = both(faulty(hang_at=25, once=str(tmp_path / "once")), tmp_path / "runs")
    assert (run.status, run.outcome.attempts) == ("done", 2)
    assert "hung while it trained: it said nothing for" in run.record["interruptions"][0]
    said = [sentence for sentence in kit.open_store(tmp_path / "runs").sentences() if "interrupted" in sentence]
    assert len(said) == 1
    assert said[0].startswith("1 run was interrupted and taken up again: The numpy worker (process ")
    np.testing.assert_array_equal(run.curve("batch_loss"), sound.curve("batch_loss"))


@pytest.mark.parametrize("optimizer", ["adam", "schedule_free"])
def test_a_kill_between_the_last_checkpoint_and_the_ending(tmp_path, optimizer):
    run = faulty().replace(optimizer=optimizer).run(store=tmp_path, progress=False)
    curve, parameters = run.curve("batch_loss"), run.parameters()
    store = Store(tmp_path)
    log = store.layout.run(run.run_id) / "attempt-1" / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert b'"kind":"end"' in lines[-1]
    log.write_bytes(b"".join(lines[:-1]))
    store.layout.index.unlink()
    store.layout.seal(run.run_id).unlink()
    assert Store(tmp_path).status(run.run_id) == "lost"
    again = faulty().replace(optimizer=optimizer).run(store=tmp_path, progress=False)
    assert (again.status, again.outcome.attempts, again.cost.steps) == ("done", 2, 40)
    np.testing.assert_array_equal(again.curve("batch_loss"), curve)
    assert all(np.array_equal(again.parameters()[name], value) for name, value in parameters.items())


def test_a_plugin_that_leaves_fails_its_run_and_not_its_process(tmp_path):
    run, _ = both(faulty(exit_at=7), tmp_path)
    assert run.status == "failed"
    assert "as it was asked to" in run.reason


@pytest.mark.parametrize("executor", ["processes", "inline"])
def test_a_device_that_is_lost_costs_its_process_and_no_run(tmp_path, executor):
    study = kit.Study([faulty(lose_at=25, once=str(tmp_path / "once")), faulty().replace(model="linear")])
    run, sound = study.run(store=tmp_path / "runs", executor=executor, progress=False).runs
    assert [(each.status, each.outcome.attempts) for each in (run, sound)] == [("done", 2), ("done", 1)]
    assert "Device 'cpu' was lost: unplugged, as it was asked to" in run.record["interruptions"][0]
    assert "only its maker reads" not in run.record["interruptions"][0]
    np.testing.assert_array_equal(run.curve("batch_loss"), sound.curve("batch_loss"))


def test_a_failed_run_is_tried_again_only_when_asked(tmp_path):
    once = tmp_path / "once"
    study = kit.Study([faulty(raise_at=7, once=str(once))])
    first = study.run(store=tmp_path / "runs", progress=False)
    assert [run.status for run in first.runs] == ["failed"]
    again = study.run(store=tmp_path / "runs", progress=False)
    assert [(run.status, run.outcome.attempts) for run in again.runs] == [("failed", 1)]
    assert again.notes == ("1 run had failed before and was not tried again; retry_failed=True (--retry-failed) does.",)
    asked = study.run(store=tmp_path / "runs", progress=False, retry_failed=True)
    assert [(run.status, run.outcome.attempts) for run in asked.runs] == [("done", 2)]
    assert asked.notes == ()


def test_a_diverged_run_is_found_and_not_repeated(tmp_path):
    wild = kit.Experiment(model="linear", optimizer=kit.optimizer("gd", learning_rate=1e30), **FAULTY)
    for _ in range(2):
        run = wild.run(store=tmp_path, progress=False)
        assert (run.status, run.outcome.attempts) == ("diverged", 1)


# --- memory


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of processes that may have 400 MB."""
    made, limit = Path("/sys/fs/cgroup/memory/kit-test"), "memory.limit_in_bytes"
    if not made.parent.is_dir():
        made, limit = Path("/sys/fs/cgroup/kit-test"), "memory.max"
    try:
        made.mkdir(exist_ok=True)
        (made / limit).write_text(str(400 * 2**20))
    except OSError:
        pytest.skip("making a control group needs root")
    yield made
    with suppress(OSError):
        made.rmdir()


def test_memory_that_runs_out_is_told_from_a_kill(tmp_path, small_group):
    run, _ = both(faulty(grow_at=25, group=str(small_group), once=str(tmp_path / "once")), tmp_path / "runs")
    assert (run.status, run.outcome.attempts) == ("done", 2)
    (said,) = run.record["interruptions"]
    assert "was killed by the kernel because memory ran out (SIGKILL; it held 0." in said


def test_a_worker_that_has_grown_is_replaced(tmp_path, monkeypatch):
    def process(seed: int) -> int:
        return faulty().replace(seed=seed, budget=2).run(store=tmp_path, progress=False).record["pid"]

    first = process(0)
    assert process(1) == first
    monkeypatch.setattr(kit.pool, "GROWN_SHARE", 1e-9)
    assert process(2) == first
    assert process(3) != first


def test_a_death_without_a_counter_says_that_it_does_not_know(monkeypatch):
    import kit.vitals

    monkeypatch.setattr(kit.vitals, "_MACHINE", Path("/nonexistent"))
    monkeypatch.setattr(kit.vitals, "_GROUPS", Path("/nonexistent"))
    assert kit.vitals.counter_of(os.getpid(), Path("/nonexistent")) is None
    monkeypatch.setattr(kit.vitals, "counter_of", lambda pid: None)
    vitals = kit.vitals.Vitals(os.getpid())
    assert vitals.resident > 2**20
    assert "whether memory ran out cannot be read here; it held 0." in vitals.death(-signal.SIGKILL)
    assert vitals.death(-signal.SIGSEGV) == "was killed by SIGSEGV"
    assert vitals.death(3) == "ended with exit code 3"


def test_memory_that_an_allocation_lacks_is_a_sentence():
    from kit.run import sentence_of

    assert sentence_of(MemoryError("Unable to allocate 7 TiB")).startswith("Memory ran out (Unable to allocate 7 TiB)")


# --- clocks


def test_patience_counts_looks_and_not_the_clock():
    from kit.patience import PREPARING_SECONDS, TRAINING_SECONDS, Patience

    patience = Patience()
    for _ in range(100):
        patience.waited(3600.0)  # the machine slept each time
    assert not patience.exhausted
    assert patience.limit == PREPARING_SECONDS
    patience.heard({"kind": "points"})
    assert patience.limit == max(TRAINING_SECONDS, 3 * 100)  # it may compile again
    for _ in range(301):
        patience.waited(1.0)
    assert patience.exhausted
    patience.heard({"kind": "points"})
    assert not patience.exhausted
    assert patience.limit == 20 * 301


ASLEEP = """
import sys
import kit, kit.patience

kit.patience.TRAINING_SECONDS = 1.5
study = kit.Study.from_json(open(sys.argv[2]).read())
print(study.run(store=sys.argv[1], progress=False).runs[0].outcome.attempts)
"""


def test_a_machine_that_was_suspended_is_not_taken_for_a_hung_worker(tmp_path, monkeypatch):
    """Caller and worker are stopped for longer than the patience lasts, as on a laptop whose lid was shut."""
    import psutil

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "numpy_backend"))
    (tmp_path / "study.json").write_text(kit.Study([faulty().replace(budget=100)]).to_json())
    command = [sys.executable, "-c", ASLEEP, str(tmp_path / "runs"), str(tmp_path / "study.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not any(b'"points"' in log.read_bytes() for log in tmp_path.rglob("log.jsonl")):
            assert time.monotonic() < until
            time.sleep(0.05)
        processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        for each in processes:
            each.suspend()
        time.sleep(3)
        for each in processes:
            each.resume()
        said, _ = process.communicate(timeout=60)
    assert said == b"1\n"
    assert [summary.status for summary in Store(tmp_path / "runs").runs()] == ["done"]


def test_a_clock_that_is_set_back_disorders_no_curve(tmp_path, monkeypatch):
    backwards = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    run = faulty().run(store=tmp_path, progress=False, executor="inline")
    assert run.status == "done"
    assert (np.diff(run.curve("seconds")) >= 0).all()
    assert 0.02 * 40 < run.cost.seconds < 60


# --- disks


class Heard:
    """Keeps every point that was acknowledged, and does something at the first."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.points: dict[tuple[str, int], float] = {}
        self.action: Callable[[], None] | None = action

    def begin(self, runs: object, found: int) -> None: ...
    def note(self, sentence: str) -> None: ...
    def close(self) -> None: ...

    def record(self, run_id: str, record: dict) -> None:
        if record["kind"] == "points":
            if self.action:
                self.action()
                self.action = None
            for i, value in enumerate(record["metrics"]["batch_loss"]):
                self.points[run_id, record["first"] + i] = float(value)


def interrupted(store: Path, strike: Callable[[], None], mend: Callable[[], None], delay: float, truth: dict) -> bool:
    """A study whose disk fails at some moment and is mended; returns whether that kept a run from its end."""
    base = kit.Experiment(model=kit.model("faulty", seconds=0.002), **FAULTY)
    study = base.vary(optimizer=["adam", "schedule_free"], replicate=range(2))
    timer = threading.Timer(delay, strike)
    heard = Heard(timer.start)
    found = study.run(store=store, executor="inline", progress=heard)
    timer.join()
    assert {run.status for run in found.runs} <= {"done", "lost"}
    failed = any(run.status != "done" for run in found.runs) or bool(found.notes)
    said = [*found.notes, *(run.reason for run in found.runs if run.status == "lost")]
    assert all("The store cannot be written" in sentence or "Run it again" in sentence for sentence in said)
    assert not failed or any("The store cannot be written" in sentence for sentence in said)
    mend()
    kept = {(o.run_id, s): v for o in Store(store).outcomes() for s, v in points(o)}
    assert heard.points.items() <= kept.items() <= truth.items()
    again = study.run(store=store, executor="inline", progress=False)
    assert [run.status for run in again.runs] == ["done"] * 4
    assert {(run.run_id, s): v for run in again.runs for s, v in points(run.outcome)} == truth
    assert Store(store).notes == []
    return failed


def points(outcome: kit.outcome.Outcome) -> Iterator[tuple[int, float]]:
    curve = outcome.curves[outcome.curves["metric"] == "batch_loss"]
    return zip(curve["step"].tolist(), curve["value"].tolist(), strict=True)


@pytest.fixture
def truth(tmp_path, monkeypatch) -> dict:
    monkeypatch.setattr(kit.recorder, "CHECKPOINT_SECONDS", 0.02)
    monkeypatch.setattr(kit.recorder, "CHECKPOINT_SHARE", 1.0)
    monkeypatch.setattr(kit.recorder, "FLUSH_SECONDS", 0.01)
    base = kit.Experiment(model=kit.model("faulty", seconds=0.002), **FAULTY)
    study = base.vary(optimizer=["adam", "schedule_free"], replicate=range(2))
    runs = study.run(store=tmp_path / "whole", executor="inline", progress=False).runs
    return {(run.run_id, s): v for run in runs for s, v in points(run.outcome)}


def test_a_disk_that_fills_up_at_twenty_moments(small_disk, truth):
    generator, interruptions = random.Random(0), 0
    for number in range(20):
        ballast = small_disk / "ballast"

        def fill(ballast: Path = ballast) -> None:
            with open(ballast, "wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(b"x" * 1000)

        store = small_disk / f"store{number}"
        interruptions += interrupted(store, fill, ballast.unlink, generator.uniform(0, 0.25), truth)
        for path in sorted(store.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        store.rmdir()
    assert interruptions >= 10


def test_a_store_that_becomes_read_only_at_twenty_moments(tmp_path, make_immutable, truth):
    generator, interruptions = random.Random(0), 0
    for number in range(20):
        store = tmp_path / f"store{number}"
        change = [lambda value=value, store=store: make_immutable(store, value) for value in (True, False)]
        interruptions += interrupted(store, *change, generator.uniform(0, 0.25), truth)
    assert interruptions >= 10


def test_every_status_is_one_that_is_promised():
    assert set(STATUSES) == {"done", "diverged", "stopped", "failed", "lost"}
