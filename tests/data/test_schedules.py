"""Schedules against PyTorch's closed forms, written out here, and against what their names promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import schedules
from kit.builtin.schedules import RECORDS
from kit.errors import InvalidValueError
from kit.records import resolve

T = 40
STEPS = np.arange(T)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-15)


def test_constant():
    close(schedules.constant(STEPS, T), [1.0] * T)


def test_step_as_step_lr():
    close(schedules.step(STEPS, T, factor=0.5, every_steps=7), [0.5 ** (t // 7) for t in range(T)])


@pytest.mark.parametrize("steps", [1, 2, 3, 100, 500, 999, 1000, 1001])
def test_step_drops_twice_by_default(steps):
    factors = schedules.step(np.arange(steps), steps)
    assert factors[0] == 1.0
    assert len(np.unique(factors)) == min(3, steps)
    assert factors[-1] == pytest.approx(0.1 ** (min(3, steps) - 1))


def test_exponential_as_exponential_lr():
    gamma = 0.01 ** (1 / T)
    close(schedules.exponential(STEPS, T, final=0.01), [gamma**t for t in range(T)])


def test_polynomial_as_polynomial_lr():
    """PyTorch's recursion: each step multiplies by ((1 − (t+1)/T) / (1 − t/T))^power."""
    wanted = [1.0]
    for t in range(T - 1):
        wanted.append(wanted[-1] * ((1 - (t + 1) / T) / (1 - t / T)) ** 2.5)
    close(schedules.polynomial(STEPS, T, power=2.5), wanted)


def test_cosine_as_cosine_annealing_lr():
    wanted = [0.1 + 0.9 * (1 + math.cos(math.pi * t / T)) / 2 for t in range(T)]
    close(schedules.cosine(STEPS, T, final=0.1), wanted)


@pytest.mark.parametrize("fraction", [0.25, 0.3, 0.5])
def test_one_cycle_as_one_cycle_lr(fraction):
    """PyTorch's two phases, which end at pct_start·T − 1 and T − 1."""
    ends, levels = (fraction * T - 1, T - 1), (1 / 25, 1.0, 1 / 25 / 1e4)
    wanted = []
    for t in range(T):
        phase = 0 if t <= ends[0] else 1
        begin = 0.0 if phase == 0 else ends[0]
        share = (t - begin) / (ends[phase] - begin)
        low, high = levels[phase], levels[phase + 1]
        wanted.append(high + (low - high) / 2 * (1 + math.cos(math.pi * share)))
    close(schedules.one_cycle(STEPS, T, peak_fraction=fraction), wanted)


def test_warmup_stable_decay():
    found = schedules.warmup_stable_decay(STEPS, T, warmup_fraction=0.25, decay_fraction=0.5)
    close(found[:10], (np.arange(10) + 1) / 10)
    close(found[10:25], 1.0)
    close(found[25:], 1 - np.arange(15) / 15)
    root = schedules.warmup_stable_decay(STEPS, T, decay_fraction=0.5, shape="sqrt", final=0.1)
    close(root[20:], 1 - 0.9 * np.sqrt(np.arange(20) / 20))


def default(record):
    """The schedule with its own defaults, but for the warm-up."""
    options = record.defaults() | {"warmup_fraction": 0.0}
    return lambda t, steps, **more: resolve(record.build)(t, steps, **(options | more))


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_warm_up_before_any_schedule(record):
    """A line to where the schedule begins; then the schedule, over what remains."""
    schedule = default(record)
    found = schedule(STEPS, T, warmup_steps=8)
    alone = schedule(np.arange(T - 8), T - 8)
    close(found[:8], (np.arange(8) + 1) / 8 * alone[0])
    close(found[8:], alone)
    close(schedule(STEPS, T, warmup_fraction=0.2), found)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
@given(steps=st.integers(1, 300), cut=st.integers(0, 300))
@settings(deadline=None, max_examples=25)
def test_factors_do_not_depend_on_the_chunk(record, steps, cut):
    schedule = default(record)
    whole = schedule(np.arange(steps), steps)
    assert whole.dtype == np.float64
    assert np.isfinite(whole).all()
    assert (whole >= 0).all()
    assert whole.max() <= 1.0
    cut = min(cut, steps)
    parts = [schedule(part, steps) for part in (np.arange(cut), np.arange(cut, steps))]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("record", [r for r in RECORDS if r.needs_steps], ids=lambda r: r.name)
def test_no_step_is_wasted_at_zero(record):
    assert (default(record)(STEPS, T) > 0).all()


def test_a_warm_up_longer_than_the_budget_is_refused():
    with pytest.raises(InvalidValueError, match="leaves nothing of a budget of 40"):
        schedules.cosine(STEPS, T, warmup_steps=40)


def test_a_share_of_a_budget_without_steps_is_refused():
    """A budget in seconds reaches a schedule as one step."""
    with pytest.raises(InvalidValueError, match="say warmup_steps"):
        schedules.constant(STEPS, 1, warmup_fraction=0.1)
    close(schedules.constant(STEPS, 1, warmup_steps=4)[:5], [0.25, 0.5, 0.75, 1.0, 1.0])


def test_only_what_needs_no_horizon_says_so():
    for record in RECORDS:
        alike = np.array_equal(default(record)(STEPS, T), default(record)(STEPS, 10 * T))
        assert alike == (not record.needs_steps), record.name
