"""When checkpoints are written: as often as their own cost allows."""

from __future__ import annotations

import time

import numpy as np
import pytest

import kit.recorder
from kit.engine import State
from kit.recorder import CHECKPOINT_SECONDS, CHECKPOINT_SHARE, Recorder


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    Clock.now = 1000.0
    return Clock


@pytest.fixture
def recorder(clock, monkeypatch):
    """Of one trial that writes nothing; a checkpoint takes `recorder.takes` seconds."""

    class Job:
        class task:
            trials = ()

    recorder = Recorder(Job, None, lambda run_id, record: None)
    recorder.ended, recorder.takes, recorder.written = [False], 0.0, []

    def write(n, step, snapshot):
        clock.now += recorder.takes
        recorder.written.append(clock.now)

    monkeypatch.setattr(recorder, "checkpoint", write)
    monkeypatch.setattr(recorder, "note_unsaved", lambda state: None)
    return recorder


def train(recorder, clock, seconds, chunk=0.25):
    until = clock.now + seconds
    while clock.now < until:
        clock.now += chunk
        recorder.checkpoint_if_due(0, lambda: (None, {}, {}))


def test_cheap_ones_come_every_ten_seconds(recorder, clock):
    train(recorder, clock, 60)
    assert np.diff(recorder.written) == pytest.approx(CHECKPOINT_SECONDS, abs=0.3)
    assert len(recorder.written) == 6


@pytest.mark.parametrize("takes", [0.5, 2.0, 30.0])
def test_dear_ones_take_a_hundredth_of_the_time(recorder, clock, takes):
    recorder.takes = takes
    train(recorder, clock, 400 * takes)
    spent = takes * len(recorder.written)
    assert len(recorder.written) >= 4
    assert spent <= 1.01 * CHECKPOINT_SHARE * (clock.now - 1000) + takes  # the first came before its cost was known
    assert CHECKPOINT_SHARE <= 0.02


def test_the_first_waits_as_long_as_its_size_lets_expect(recorder, clock):
    recorder.expect(State(parameters={"weight": np.zeros((1, 10_000_000), dtype=np.float32)}))  # 160 MB of state
    recorder.takes = recorder.checkpoint_cost
    assert recorder.takes == pytest.approx(0.8)
    train(recorder, clock, 79)
    assert recorder.written == []
    train(recorder, clock, 3)
    assert len(recorder.written) == 1
    assert kit.recorder.CHECKPOINT_SHARE * (recorder.written[0] - 1000) >= 0.99 * recorder.takes
