"""The table: how far every lane is, how fast, how long still."""

import math

import pytest

from kit.laboratory import tally as module
from kit.laboratory.still import lane_words
from kit.laboratory.tally import Progress, Tally, whole_percent, whole_words


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def points(first, count, seconds=(0.0, 1.0)):
    return {"kind": "points", "first": first, "metrics": {"batch_loss": [1.0] * count}, "seconds": seconds}


@pytest.fixture
def tally(clock):
    found = Tally(2)
    found.runs = [Progress(lane=lane, replicate=0, batch=1, goal=100.0, in_seconds=False) for lane in (0, 0, 1)]
    found.begin()
    return found


def test_shares_speed_and_time_left(tally, clock):
    tally.rows(["a", "b"])
    clock.now += 2
    tally.runs[0].hear(points(1, 50))
    tally.runs[1].hear(points(1, 30))
    first, second = tally.rows(["a", "b"])
    assert first["progress"] == "40%"
    assert first["speed"] == "40.0/s"  # 80 steps in 2 s
    assert first["left"] == "3 s"  # 120 steps to go
    assert first["status"] == "2 training" or first["status"] == "all 2 training"
    assert (second["status"], second["speed"], second["left"]) == ("waiting", "–", "–")
    assert tally.share == pytest.approx(80 / 300)
    assert tally.time_left() == pytest.approx(2 * 220 / 80)
    assert whole_words(tally) == "27%, 0 of 3 runs ended, about 6 s left"
    assert whole_words(tally, going=False) == "27%, 0 of 3 runs ended"


def test_the_whole_is_there_at_the_end_and_not_before():
    assert [whole_percent(share) for share in (0.0, 8e-6, 0.004, 0.5, 0.999, 1.0)] == [
        "0%", "0%", "0%", "50%", "99%", "100%",
    ]  # fmt: skip


def test_a_reading_belongs_to_the_step_at_which_it_was_taken(tally):
    tally.runs[0].hear(points(1, 10))
    tally.runs[0].hear({"kind": "evaluation", "step": 10, "metrics": {"validation_loss": 0.5}})
    tally.runs[0].hear(points(11, 80))
    assert lane_words(tally.runs[:1], "validation_loss") == "0.500 after 10 steps (1 run)"


def test_a_run_that_was_stopped_stands_where_it_was_stopped(tally):
    run = tally.runs[0]
    run.hear(points(1, 25))
    run.hear({"kind": "end", "status": "stopped", "reason": "Stopped on request.", "cost": {"steps": 25}})
    assert run.ended
    assert run.share == 0.25


def test_a_pause_is_not_counted(tally, clock):
    clock.now += 1
    tally.rest(True)
    clock.now += 1000
    assert tally.clock() == 1
    tally.rest(False)
    clock.now += 1
    assert tally.clock() == 2


def test_a_run_that_ended_early_is_over(tally):
    tally.runs[0].hear(points(1, 3))
    tally.runs[0].hear({"kind": "end", "status": "diverged", "reason": "It left.", "cost": {"steps": 3}})
    assert tally.runs[0].share == 1
    assert tally.rows(["a", "b"])[0]["status"] == "1 diverged, 1 waiting"
    assert tally.rows(["a", "b"])[0]["reason"] == "It left."


def test_a_budget_in_seconds_is_read_from_the_training_time(clock):
    run = Progress(lane=0, replicate=0, batch=1, goal=10.0, in_seconds=True)
    run.hear(points(1, 7, (0.0, 2.5)))
    assert run.share == 0.25


def test_means_leave_out_what_diverged(tally):
    for run, loss in zip(tally.runs, (1.0, math.inf, 3.0), strict=True):
        run.hear({"kind": "evaluation", "step": 1, "metrics": {"validation_loss": loss}})
    assert tally.rows(["a", "b"])[0]["validation_loss"] == "1.00"


def test_the_box_around_a_path(tally):
    for x, y in ((0.0, 1.0), (2.0, -1.0), (math.nan, 9.0), (1.0, 0.0)):
        tally.runs[0].hear({"kind": "evaluation", "step": 1, "metrics": {"position.0": x, "position.1": y}})
    assert tally.reached() == [(0.0, -1.0), (2.0, 1.0)]


def test_what_never_began_is_said_so_when_the_session_has_ended(tally):
    tally.runs[0].hear({"kind": "start"})
    tally.close()
    assert {run.status for run in tally.runs} == {"not begun"}
