"""Who trains and who is held out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kit.data import Data
from kit.data import split as splitting
from kit.data.split import held_out, shared, split


def labelled(y):
    y = np.asarray(y)
    return Data(
        x=np.arange(len(y), dtype=float)[:, None], y=y, task="classification", classes=tuple(range(y.max() + 1))
    )


def numbers(data, fraction=0.2, seed=0, replicate=0):
    train, held = split(data, seed, replicate, fraction)
    return train[:], held[:] if held is not None else np.array([], dtype=int)


@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=200).filter(lambda y: len(set(y)) > 1),
    fraction=st.floats(0.0, 0.99),
    replicate=st.integers(0, 3),
)
@settings(deadline=None, max_examples=100)
def test_every_row_is_on_one_side(labels, fraction, replicate):
    data = labelled(labels)
    train, held = numbers(data, fraction, replicate=replicate)
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(len(labels)))
    assert len(train) == data.training_rows(fraction) >= 1
    assert len(held) == held_out(len(labels), fraction)
    assert (len(held) >= 1) == (fraction > 0)


@given(counts=st.lists(st.integers(2, 60), min_size=2, max_size=5), fraction=st.floats(0.05, 0.5))
@settings(deadline=None, max_examples=100)
def test_classes_keep_their_shares(counts, fraction):
    y = np.repeat(np.arange(len(counts)), counts)
    _, held = numbers(labelled(y), fraction)
    found = np.bincount(y[held], minlength=len(counts))
    wanted = np.array(counts) * len(held) / len(y)
    assert (np.abs(found - wanted) < 1).all()


def test_a_class_of_one_row_always_trains():
    y = np.array([0] * 10 + [1] * 10 + [2])
    for replicate in range(40):
        train, _ = numbers(labelled(y), 0.3, replicate=replicate)
        assert 20 in train


def test_every_row_is_as_likely_to_be_held_out():
    y = np.array([0] * 7 + [1] * 20 + [2] * 13)
    counts = np.zeros(40)
    for seed in range(3000):
        counts[numbers(labelled(y), 0.25, seed=seed)[1]] += 1
    assert counts.sum() == 3000 * 10
    # Within a class the rows are exchangeable; each is held out in a quarter of the splits.
    assert stats.chisquare(counts).pvalue > 1e-3


def test_replicates_and_seeds_differ_and_repeat():
    data = labelled(np.arange(100) % 3)
    first = numbers(data)[1]
    assert np.array_equal(first, numbers(data)[1])
    assert not np.array_equal(first, numbers(data, replicate=1)[1])
    assert not np.array_equal(first, numbers(data, seed=1)[1])


def regression(rows, **more):
    return Data(x=np.arange(rows, dtype=float)[:, None], y=np.arange(rows, dtype=float), task="regression", **more)


def test_no_fraction_and_given_validation_data_are_shared():
    data = regression(10)
    assert not shared(data, 0.2)
    assert shared(data, 0.0)
    assert numbers(data, 0.0)[0].tolist() == list(range(10))
    given_ = regression(10, x_validation=np.zeros((3, 1)), y_validation=np.zeros(3))
    assert shared(given_, 0.2)
    assert given_.training_rows(0.2) == 10
    assert split(given_, 0, 0, 0.2)[1] is None


@given(rows=st.integers(33, 400), fraction=st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=60)
def test_large_data_are_split_in_blocks_alike_for_all_replicates(rows, fraction):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "BLOCK", 8)
        patch.setattr(splitting, "POOL", 32)
        data = regression(rows)
        assert shared(data, fraction)
        train, held = numbers(data, fraction)
        assert np.array_equal(held, numbers(data, fraction, replicate=1)[1])
        assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(rows))
        assert len(train) == data.training_rows(fraction)
        assert len(held) % 8 == 0
        assert len(np.unique(held // 8)) == len(held) // 8
        positions = np.arange(len(train)).reshape(-1, 1)
        assert np.array_equal(split(data, 0, 0, fraction)[0][positions][:, 0], train)


def test_a_sample_of_large_data_is_whole_blocks(monkeypatch):
    monkeypatch.setattr(splitting, "BLOCK", 8)
    monkeypatch.setattr(splitting, "POOL", 32)
    train, _ = split(regression(1003), 0, 0, 0.2)
    positions = train.sample(40, np.random.default_rng(0))
    assert len(positions) == 40
    assert len(np.unique(positions // 8)) == 5
    assert np.array_equal(train.sample(10_000, np.random.default_rng(0)), np.arange(train.count))
