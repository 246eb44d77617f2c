"""A study that is asked to wait: it holds no core, the time is not training time, and no number changes."""

import threading
import time

import numpy as np
import pytest

import kit
from kit.patience import STOPPING_SECONDS, TRAINING_SECONDS, Patience
from tests.children import running


@pytest.fixture
def slow():
    """About 0.4 s of training, 0.01 s a step."""
    model = kit.model("faulty", seconds=0.01)
    return kit.Experiment(dataset="iris", model=model, backend="numpy", dtype="float64", budget=40, batch_size=16)


class Heard:
    """A progress that counts the points of all runs."""

    def __init__(self):
        self.steps, self.begun, self.closed = 0, threading.Event(), False

    def begin(self, runs, found): ...
    def note(self, sentence): ...

    def record(self, run_id, record):
        if record["kind"] == "points":
            self.steps += len(record["metrics"]["batch_loss"])
            self.begun.set()

    def close(self):
        self.closed = True


def paused_once(study, store, wait=1.0):
    """Run the study with a pause in the middle: (results, steps when paused, steps at the end of the pause, seconds of
    processor that the pause took)."""
    heard, found = Heard(), []
    running = threading.Thread(target=lambda: found.append(study.run(store=store, progress=heard)), daemon=True)
    running.start()
    assert heard.begun.wait(60)
    study.pause()
    try:
        time.sleep(0.5)
        at_first = heard.steps
        before = processor_seconds()
        time.sleep(wait)
        used = processor_seconds() - before
        later = heard.steps
    finally:
        study.resume()  # a test that fails must not leave it waiting for ever
        running.join(60)
    return found[0], at_first, later, used


def processor_seconds():
    """Of all workers of this process."""
    workers = running("kit.worker")
    assert workers
    return sum(sum(worker.cpu_times()[:2]) for worker in workers)


def test_a_paused_study_waits_without_a_core_and_goes_on_to_the_same_numbers(slow, tmp_path):
    results, first, later, used = paused_once(slow.vary(replicate=range(2)), tmp_path / "paused")
    assert 0 < first == later < 80
    assert used < 0.2  # seconds of processor in a second of waiting
    whole = slow.vary(replicate=range(2)).run(store=tmp_path / "whole", progress=False)
    for paused, run in zip(results, whole, strict=True):
        assert paused.status == run.status == "done"
        np.testing.assert_array_equal(paused.curve("batch_loss"), run.curve("batch_loss"))
        assert paused.cost.seconds < 1  # 1.5 s of waiting are not in it


def test_a_paused_study_can_be_stopped(slow, tmp_path):
    study, heard = slow.replace(budget=2000).vary(replicate=range(1)), Heard()
    found = []
    running = threading.Thread(target=lambda: found.append(study.run(store=tmp_path, progress=heard)), daemon=True)
    running.start()
    assert heard.begun.wait(60)
    study.pause()
    time.sleep(0.3)
    study.stop()
    asked = time.monotonic()
    running.join(60)
    assert time.monotonic() - asked < 1
    assert found[0].runs[0].status == "stopped"
    assert not study.pause_event.is_set()  # the word was for that run


def test_stop_does_not_wait_for_a_program_that_is_still_being_built(slow, tmp_path):
    """A worker that loads or compiles hears nothing; it has trained nothing, so it is ended with nothing lost."""
    building = slow.replace(model=kit.model("faulty", hang_at=1))
    study = building.vary(replicate=range(1))
    begun, found = threading.Event(), []

    class Begun(Heard):
        def record(self, run_id, record):
            begun.set()

    running = threading.Thread(target=lambda: found.append(study.run(store=tmp_path, progress=Begun())), daemon=True)
    running.start()
    assert begun.wait(60)
    time.sleep(0.3)
    study.stop()
    asked = time.monotonic()
    running.join(60)
    assert time.monotonic() - asked < 2  # half a second, and what a busy machine adds
    stopped = found[0].runs[0]
    assert (stopped.status, stopped.reason) == ("stopped", "Stopped on request before its first step.")
    assert stopped.cost.steps == 0
    with pytest.raises(kit.KitError):
        stopped.parameters()
    assert "stopped" in str(found[0].table())
    assert slow.run(store=tmp_path, progress=False).status == "done"  # by a worker that took the place


def test_a_worker_that_was_asked_to_stop_is_waited_for_as_long_as_it_is_usually_silent():
    patience = Patience()
    patience.heard({"kind": "points"})
    patience.waited(1.0)
    assert patience.limit == TRAINING_SECONDS
    patience.stopping = True
    assert patience.limit == STOPPING_SECONDS
    for _ in range(8):
        patience.waited(1.0)
    patience.heard({"kind": "points"})
    assert patience.limit == 3 * 9
