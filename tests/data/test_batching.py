"""The order of batches: every row once an epoch, whatever is asked for first, uniformly enough at any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kit import batching
from kit.batching import Order
from kit.errors import InvalidValueError


@pytest.fixture
def small_pools(monkeypatch):
    """The large-data order on data small enough to look at: pools of 4 blocks of 8 rows."""
    monkeypatch.setattr(batching, "BLOCK", 8)
    monkeypatch.setattr(batching, "POOL_BLOCKS", 4)
    monkeypatch.setattr(batching, "POOL", 32)


def stream(rows, replicate=0, epochs=1, seed=0):
    return Order(rows, 1, seed, [replicate]).indices(0, epochs * rows).ravel().reshape(epochs, rows)


@given(rows=st.integers(1, 300), epochs=st.integers(1, 5), replicate=st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_every_epoch_is_a_permutation(rows, epochs, replicate):
    for epoch in stream(rows, replicate, epochs):
        assert np.array_equal(np.sort(epoch), np.arange(rows))


@given(rows=st.integers(33, 500), epochs=st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_every_epoch_of_large_data_is_a_permutation(rows, epochs):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BLOCK", 8), ("POOL_BLOCKS", 4), ("POOL", 32)):
            patch.setattr(batching, name, value)
        for epoch in stream(rows, 0, epochs):
            assert np.array_equal(np.sort(epoch), np.arange(rows))


@given(data=st.data(), rows=st.integers(2, 400), large=st.booleans())
@settings(deadline=None, max_examples=80)
def test_any_stretch_can_be_asked_for(data, rows, large):
    batch = data.draw(st.integers(1, rows))
    first, steps = data.draw(st.integers(0, 40)), data.draw(st.integers(1, 20))
    with pytest.MonkeyPatch.context() as patch:
        if large:
            for name, value in (("BLOCK", 8), ("POOL_BLOCKS", 4), ("POOL", 32)):
                patch.setattr(batching, name, value)
        whole = Order(rows, batch, 5, [0, 2]).indices(0, 60)
        order = Order(rows, batch, 5, [0, 2])
        order.indices(first + 20, 1)  # what was asked before must not matter
        stretch = order.indices(first, steps)
    assert stretch.dtype == np.int64
    assert np.array_equal(stretch, whole[first : first + steps])
    assert stretch.shape == (steps, 2, batch)


def test_a_batch_size_of_the_data_is_whole_epochs():
    for step in Order(37, 37, 0, [0]).indices(0, 9)[:, 0]:
        assert np.array_equal(np.sort(step), np.arange(37))


def test_replicates_epochs_and_seeds_differ_and_are_independent_of_each_other():
    together = Order(1000, 10, 0, [0, 1]).indices(0, 200)
    assert np.array_equal(together[:, 1:], Order(1000, 10, 0, [1]).indices(0, 200))
    assert not np.array_equal(together[:, 0], together[:, 1])
    assert not np.array_equal(together[:100, 0], together[100:, 0])
    assert not np.array_equal(together[:, :1], Order(1000, 10, 1, [0]).indices(0, 200))


def places(rows, seeds):
    """How often each row stood at each place of an epoch: (rows, rows)."""
    counts = np.zeros((rows, rows))
    for seed in range(seeds):
        counts[stream(rows, seed=seed)[0], np.arange(rows)] += 1
    return counts


def test_every_row_is_as_likely_at_every_place():
    counts = places(12, 3000)
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_every_row_of_large_data_is_as_likely_at_every_place(small_pools):
    counts = places(70, 4000)  # 9 blocks, the last of 6 rows, in 3 pools
    # The short block shifts places by two rows; 64 rows of whole blocks are exchangeable.
    full = counts[:64]
    assert stats.chisquare(full, axis=0).pvalue.min() > 1e-3 / 70
    assert (counts.sum(axis=0) == 4000).all()


def test_batches_of_large_data_mix_all_blocks(small_pools):
    """Neighbours in the file are no more often neighbours in the stream than pools make them."""
    apart = np.concatenate([np.abs(np.diff(stream(320, seed=s)[0])) for s in range(300)])
    # Uniformly, 2/320 of neighbouring places hold neighbouring rows; within a pool of 32 rows of random blocks, 7/8 of
    # 2/32.
    assert np.mean(apart == 1) == pytest.approx(7 / 8 * 2 / 32, rel=0.1)


def test_replicates_of_large_data_read_the_same_blocks_at_the_same_time(small_pools):
    both = Order(320, 32, 0, [0, 1]).indices(0, 10)
    for step in both:
        assert set(step[0] // 8) == set(step[1] // 8)
        assert not np.array_equal(step[0], step[1])


def test_real_size_without_memory_for_an_epoch():
    """A billion rows: an epoch of them would take 8 GB."""
    order = Order(10**9, 64, 0, [0])
    found = order.indices(10**7, 100)
    assert found.min() >= 0
    assert found.max() < 10**9
    assert len(np.unique(found)) == found.size
    assert np.array_equal(found[3:5], Order(10**9, 64, 0, [0]).indices(10**7 + 3, 2))


@pytest.mark.parametrize(("rows", "batch"), [(10, 11), (10, 0), (10, -1), (0, 1)])
def test_a_batch_that_does_not_fit_is_refused(rows, batch):
    with pytest.raises(InvalidValueError, match="training split"):
        Order(rows, batch, 0, [0])
