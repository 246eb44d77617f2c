"""Points on their way to the browser: each once, in order, and the whole again for whoever comes late."""

import numpy as np
import pytest

from kit.laboratory.stream import FULL, HEAD, Metrics, Stream


class Browser:
    """What curves.js does with what comes, written from the description of the blocks alone."""

    def __init__(self):
        self.curves = {}
        self.missing = False

    def take(self, packed):
        heads = np.frombuffer(packed[0], dtype=np.float64).reshape(-1, HEAD)
        values = np.frombuffer(packed[1], dtype=np.float32)
        at = 0
        for run, metric, offset, first, distance, count, _, _ in heads:
            curve = self.curves.setdefault((int(run), int(metric)), [])
            block = [(first + i * distance, values[at + i]) for i in range(int(count))]
            at += int(count)
            if offset > len(curve):
                self.missing = True
            else:
                curve += block[len(curve) - int(offset) :]


@pytest.fixture
def stream():
    return Stream(Metrics())


def test_points_arrive_once_and_in_order(stream):
    page = Browser()
    for first in range(1, 100, 10):
        stream.add(0, "loss", first, np.arange(first, first + 10), (0.0, 1.0))
        stream.add(1, "loss", first, -np.arange(first, first + 10), (0.0, 1.0))
        page.take(stream.pending())
    assert stream.pending() is None
    assert page.curves[0, 0] == [(step, step) for step in range(1, 101)]
    assert page.curves[1, 0] == [(step, -step) for step in range(1, 101)]


def test_a_page_that_comes_late_gets_the_whole_and_then_only_what_is_new(stream):
    stream.add(0, "loss", 1, [1, 2, 3], (0, 1))
    stream.pending()
    stream.add(0, "loss", 4, [4, 5], (1, 2))
    late = Browser()
    late.take(stream.snapshot())
    late.take(stream.pending())  # is in the snapshot too
    stream.add(0, "loss", 6, [6], (2, 3))
    late.take(stream.pending())
    assert [value for _, value in late.curves[0, 0]] == [1, 2, 3, 4, 5, 6]
    assert not late.missing


def test_a_page_that_missed_something_sees_it_and_asks_again(stream):
    page = Browser()
    stream.add(0, "loss", 1, [1, 2], (0, 1))
    stream.pending()
    stream.add(0, "loss", 3, [3], (1, 2))
    page.take(stream.pending())
    assert page.missing
    page.take(stream.snapshot())
    assert [value for _, value in page.curves[0, 0]] == [1, 2, 3]


def test_steps_that_a_continued_attempt_repeats_are_not_drawn_twice(stream):
    stream.add(0, "loss", 1, [1, 2, 3, 4], (0, 1))
    stream.add(0, "loss", 3, [3, 4, 5], (1, 2))
    page = Browser()
    page.take(stream.snapshot())
    assert [step for step, _ in page.curves[0, 0]] == [1, 2, 3, 4, 5]


def test_a_long_curve_is_thinned_evenly_and_never_grows_without_bound(stream):
    for first in range(1, 1_000_001, 5000):
        stream.add(0, "loss", first, np.arange(first, first + 5000), (0, 1))
    assert stream.size < 6 * FULL
    page = Browser()
    page.take(stream.snapshot())
    steps = np.array([step for step, _ in page.curves[0, 0]])
    assert all(step == value for step, value in page.curves[0, 0])
    assert (np.diff(steps) > 0).all()
    assert (np.diff(steps)[: FULL - 1] == 1).all()
    assert np.diff(steps).max() <= 32
    assert steps[-1] > 999_900


def test_metrics_have_one_number_in_all_streams_of_a_lab():
    metrics = Metrics()
    one, other = Stream(metrics), Stream(metrics)
    one.add(0, "a", 1, [1], (0, 0))
    other.add(0, "b", 1, [1], (0, 0))
    other.add(0, "a", 1, [1], (0, 0))
    assert metrics.names == ["a", "b"]
    assert np.frombuffer(other.snapshot()[0]).reshape(-1, HEAD)[:, 1].tolist() == [1.0, 0.0]
