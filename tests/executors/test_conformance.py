"""What every executor must do: 64 trials, the same numbers everywhere, whatever is killed, poisoned or cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import kit
from kit.errors import StoreError
from kit.executors import Pending
from kit.records import resolve
from kit.store import Store, read_log

RATES = kit.log_grid(1e-4, 1e-1, per_decade=5)
TRIALS = len(RATES) * 4
BASE = kit.Experiment(
    dataset="blobs",
    model="linear",
    optimizer="adam",
    backend="numpy",
    dtype="float64",
    budget=60,
    batch_size=16,
    evaluate_every=20,
)
Curves = dict[str, dict[int, float]]


def study(seconds: float = 0.0, **faults: Any) -> kit.Study:
    """64 trials: one stack."""
    slow = BASE.replace(model=kit.model("faulty", seconds=seconds, **faults))
    return slow.vary(learning_rate=RATES, replicate=range(TRIALS // len(RATES)))


def curves(results: Any) -> Curves:
    return {label(run): run.curve("batch_loss").to_dict() for run in results.runs if run.status == "done"}


def label(run: Any) -> str:
    return f"{run.specification['optimizer']['options']['learning_rate']}/{run.specification['replicate']}"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Curves:
    """The same trials by a plain loop over single runs in this process, without any executor."""
    from kit.job import build, initial_state
    from kit.recorder import Recorder
    from kit.registry import Registry
    from kit.resolve import Resolver
    from kit.run import Loop
    from kit.task import StackTask, TrialTask

    registry = Registry.load(["builtin", "numpy"])
    engine = resolve(registry.find("backend", "numpy").engine)()
    found: Curves = {}
    for experiment in BASE.vary(learning_rate=RATES, replicate=range(TRIALS // len(RATES))).experiments:
        item = Resolver(registry).resolve(experiment)
        folder = tmp_path_factory.mktemp("alone") / item.run_id / "attempt-1"
        trial = TrialTask(run_id=item.run_id, specification=item.specification, folder=str(folder))
        job = build(StackTask(trials=(trial,), things=b""), registry)
        recorder = Recorder(job, engine, lambda run_id, record: None)
        program = engine.compile(job.problem, job.optimizer, job.stack, device="cpu", dtype="float64", steps=60)
        program.load(initial_state(job, engine))
        Loop(job, recorder, lambda: False, lambda: False).train(program)
        recorder.close()
        records = [record for record in read_log(folder / "log.jsonl") if record["kind"] == "points"]
        values = [value for record in records for value in record["metrics"]["batch_loss"]]
        rate = item.specification["optimizer"]["options"]["learning_rate"]
        found[f"{rate}/{item.specification['replicate']}"] = dict(enumerate(values, 1))
    return found


class Watcher:
    """Does something once the first points have been heard."""

    def __init__(self, action: Callable[[], None] = lambda: None) -> None:
        self.action: Callable[[], None] | None = action
        self.notes: list[str] = []

    def begin(self, runs: object, found: int) -> None: ...
    def close(self) -> None: ...

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        if record["kind"] == "points" and self.action:
            action, self.action = self.action, None
            action()


def workers(store: Path) -> set[int]:
    """The processes that have begun to train, as the logs say."""
    logs = store.glob("runs/*/attempt-*/log.jsonl")
    return {record["pid"] for log in logs for record in read_log(log) if record["kind"] == "start"}


def kill_workers(store: Path) -> None:
    for pid in workers(store):
        os.kill(pid, signal.SIGKILL)


def test_sixty_four_trials(executor: str, tmp_path: Path, reference: Curves) -> None:
    results = study().run(store=tmp_path, executor=executor, progress=False)
    assert len(reference) == TRIALS == 64
    assert curves(results) == reference
    assert {run.outcome.attempts for run in results} == {1}
    assert results.notes == ()


def test_a_killed_worker(distant: str, tmp_path: Path, reference: Curves) -> None:
    watcher = Watcher(lambda: kill_workers(tmp_path))
    results = study(seconds=0.01).run(store=tmp_path, executor=distant, progress=watcher)
    assert curves(results) == reference
    assert {run.outcome.attempts for run in results} == {2}
    assert all(len(run.record["interruptions"]) == 1 for run in results)
    assert "taken up again" in watcher.notes[0]


CALLER = """
import sys
import kit

kit.Study.from_json(open(sys.argv[1]).read()).run(store=sys.argv[2], executor=sys.argv[3], progress=False)
"""


def test_a_killed_caller(executor: str, tmp_path: Path, reference: Curves) -> None:
    store, file = tmp_path / "runs", tmp_path / "study.json"
    file.write_text(study(seconds=0.05).to_json())
    command = [sys.executable, "-W", "ignore", "-c", CALLER, str(file), str(store), executor]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as caller:
        until = time.monotonic() + 90
        while not any(b'"points"' in log.read_bytes() for log in store.glob("runs/*/attempt-1/log.jsonl")):
            assert time.monotonic() < until
            assert caller.poll() is None
            time.sleep(0.02)
        began = workers(store)
        caller.kill()
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in began if psutil.pid_exists(pid)], timeout=30)
    assert left == [], "a worker without its caller goes by itself"
    assert {summary.status for summary in Store(store).runs()} == {"lost"}
    results = study(seconds=0.05).run(store=store, executor=executor, progress=False)
    assert curves(results) == reference
    assert {run.outcome.attempts for run in results} == {2}


def test_a_poisoned_trial_is_lost_and_no_other(distant: str, tmp_path: Path, reference: Curves) -> None:
    poison = RATES[3]
    results = study(poison=poison).run(store=tmp_path, executor=distant, progress=False)
    statuses = {label(run): (run.status, run.outcome.attempts) for run in results}
    poisoned = {name for name in statuses if name.startswith(f"{poison}/")}
    assert {statuses.pop(name) for name in poisoned} == {("lost", 4)}
    assert {status for status, _ in statuses.values()} == {"done"}
    assert curves(results) == {name: curve for name, curve in reference.items() if name not in poisoned}


def test_a_trial_that_raises_fails_and_no_other(executor: str, tmp_path: Path) -> None:
    faulty = BASE.replace(model=kit.model("faulty", raise_at=7))
    results = kit.Study([faulty, BASE]).run(store=tmp_path, executor=executor, progress=False)
    assert [(run.status, run.outcome.attempts) for run in results] == [("failed", 1), ("done", 1)]


def test_a_trial_that_raises_in_a_stack_fails_and_no_other(executor: str, tmp_path: Path, reference: Curves) -> None:
    """It is found by halving; the others go on as stacks."""
    spoilt, watcher = RATES[3], Watcher()
    results = study(spoilt=spoilt).run(store=tmp_path, executor=executor, progress=watcher)
    statuses = {label(run): run.status for run in results}
    failed = {name for name in statuses if name.startswith(f"{spoilt}/")}
    assert {name for name, status in statuses.items() if status == "failed"} == failed
    assert len(failed) == 4
    assert curves(results) == {name: curve for name, curve in reference.items() if name not in failed}
    assert all("raised, as it was asked to" in run.reason for run in results if run.status == "failed")
    assert "It trained in a stack of 64. 64 runs are tried in smaller company." in watcher.notes[0]
    assert max(run.outcome.attempts for run in results) == 7  # 64, 32, …, 1


def test_cancelling(executor: str, tmp_path: Path, reference: Curves) -> None:
    cancelled = study(seconds=0.02)
    asked: list[float] = []

    def cancel() -> None:
        asked.append(time.monotonic())
        cancelled.stop()

    results = cancelled.run(store=tmp_path, executor=executor, progress=Watcher(cancel))
    assert time.monotonic() - asked[0] < 5
    assert {run.status for run in results} == {"stopped"}
    again = study(seconds=0.02).run(store=tmp_path, executor=executor, progress=False)
    assert curves(again) == reference
    assert {run.outcome.attempts for run in again} == {2}


def test_pausing(executor: str, tmp_path: Path, reference: Curves) -> None:
    paused = study(seconds=0.02)
    steps: list[int] = []

    def reached() -> int:
        logs = tmp_path.glob("runs/*/attempt-1/log.jsonl")
        return sum(log.stat().st_size for log in logs)

    def rest() -> None:
        time.sleep(1.5)  # what was under way is written
        steps.append(reached())
        time.sleep(1)
        steps.append(reached())
        paused.resume()

    def pause() -> None:
        paused.pause()
        threading.Thread(target=rest).start()

    results = paused.run(store=tmp_path, executor=executor, progress=Watcher(pause))
    assert steps[0] == steps[1] > 0
    assert curves(results) == reference


class Ear:
    """A listener that only listens."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def record(self, run_id: str, record: dict[str, Any]) -> None: ...
    def finished(self, task: Any) -> None: ...
    def stopped(self, task: Any) -> None: ...

    def lost(self, task: Any, sentence: str) -> list[Pending]:
        raise AssertionError(sentence)

    def refused(self, pending: Pending, sentence: str) -> None:
        self.said.append(sentence)

    def pausing(self) -> bool:
        return False


def test_an_attempt_that_cannot_be_claimed_is_refused_and_the_next_is_tried(executor: str) -> None:
    def full(threads: int, facts: dict[str, Any]) -> Any:
        assert threads >= 1
        assert json.dumps(facts["versions"])
        raise StoreError("No space is left.")

    registry, ear = kit.Registry.load(), Ear()
    runner = resolve(registry.find("executor", executor).build)(registry)
    runner.run([Pending(backend="numpy", weight=w, make=full) for w in (1.0, 2.0)], ear, lambda: False)
    assert ear.said == ["No space is left."] * 2


def test_parameters_are_the_same_too(executor: str, tmp_path: Path) -> None:
    one, two = (
        BASE.run(store=tmp_path / name, executor=name, progress=False).parameters() for name in (executor, "inline")
    )
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)
