"""What befalls the processes of one run over several devices: a pause, a stop, the death of a rank, or of the worker
that conducts them. NumPy's ranks divide nothing; each backend's own tests show that theirs train as one."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import psutil
import pytest

import kit
from tests.children import running

STEPS = 100
GIVEN = {"backend": "numpy", "dataset": "blobs", "budget": STEPS, "batch_size": 16, "dtype": "float64"}


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setenv("KIT_NUMPY_CHECKPOINT_SECONDS", "0.05")
    model = kit.model("faulty", seconds=0.01)
    return kit.Experiment(model=model, devices=2, parallel="copies", **GIVEN).vary(replicate=[0])


@pytest.fixture
def alone(tmp_path):
    """The run on one device."""
    return kit.Experiment(model=kit.model("faulty"), **GIVEN).run(store=tmp_path / "alone", progress=False)


class Heard:
    """A progress that knows how many steps were taken, and does something, in a thread of its own, at the first."""

    def __init__(self, action):
        self.steps, self.action, self.thread = 0, action, None

    def begin(self, runs, found): ...
    def note(self, sentence): ...

    def record(self, run_id, record):
        if record["kind"] == "points":
            self.steps = record["first"] - 1 + len(record["metrics"]["batch_loss"])
            if self.thread is None:
                self.thread = threading.Thread(target=self.action, args=(self,))
                self.thread.start()

    def close(self):
        self.thread.join()


def ranks():
    return running("kit.rank")


def seconds_of(processes):
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def carried_out(study, store, action):
    (run,) = study.run(store=store, progress=Heard(action)).runs
    assert not ranks()
    return run


def same(run, alone):
    assert run.status == "done", run.reason
    assert run.record["strategy"] == "copies"
    np.testing.assert_array_equal(run.curve("batch_loss"), alone.curve("batch_loss"))
    assert all(np.array_equal(value, alone.parameters()[name]) for name, value in run.parameters().items())


def test_a_pause_holds_no_core_and_changes_no_number(study, tmp_path, alone):
    seen = {}

    def pause(heard):
        study.pause()
        try:
            time.sleep(0.5)
            steps, used, seen["ranks"] = heard.steps, seconds_of(ranks()), len(ranks())
            time.sleep(1)
            seen["steps"], seen["used"] = heard.steps - steps, seconds_of(ranks()) - used
        finally:
            study.resume()

    same(carried_out(study, tmp_path / "runs", pause), alone)
    assert (seen["ranks"], seen["steps"]) == (2, 0)
    assert seen["used"] < 0.2  # seconds of processor in a second of waiting


def test_a_stop_and_the_death_of_a_rank(study, tmp_path, alone):
    stopped = carried_out(study, tmp_path / "runs", lambda heard: study.stop())
    assert stopped.status == "stopped"
    assert 0 < stopped.cost.steps < STEPS
    killed = []

    def kill(heard):
        killed.append(ranks()[1])
        killed[0].kill()

    run = carried_out(study, tmp_path / "runs", kill)
    same(run, alone)
    assert run.outcome.attempts == 3
    (why,) = run.record["interruptions"]
    assert f"Rank 1 of 2 (process {killed[0].pid}) was killed by SIGKILL" in why


def test_the_ranks_go_with_their_worker_and_the_run_goes_on(study, tmp_path, alone):
    theirs = []

    def kill(heard):
        theirs.extend(ranks())
        os.kill(theirs[0].ppid(), 9)

    run = carried_out(study, tmp_path / "runs", kill)
    same(run, alone)
    assert run.outcome.attempts == 2
    gone, alive = psutil.wait_procs(theirs, timeout=10)
    assert (len(gone), alive) == (2, [])
