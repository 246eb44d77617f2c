"""Workers that are started ahead of their work."""

from __future__ import annotations

import time

import psutil
import pytest

from kit import conduct, processes
from kit.errors import WorkError
from kit.pool import Pool


@pytest.fixture
def pool():
    made = Pool()
    yield made
    made.close()


def test_a_warmed_worker_is_the_one_that_is_taken(pool):
    pool.warm("numpy", 1)
    pool.warm("numpy", 1)  # one is coming: no second one
    (coming,) = pool.coming.values()
    worker = pool.take("numpy", 1)
    assert worker is coming
    assert worker.facts["pid"] == worker.process.pid
    pool.give(worker)
    pool.warm("numpy", 1)  # one waits
    assert not pool.coming
    assert pool.take("numpy", 1) is worker
    pool.give(worker)


def test_a_warmed_worker_that_cannot_work_says_why_when_it_is_needed(pool):
    pool.warm("nmpy", 1)
    with pytest.raises(WorkError, match="nmpy"):
        pool.take("nmpy", 1)


def test_nothing_is_left_of_one_that_was_not_needed(pool):
    pool.warm("numpy", 1)
    (coming,) = pool.coming.values()
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < 4
    assert not psutil.pid_exists(coming.process.pid)
    assert not coming.output.exists()


def test_workers_are_begun_before_the_data_are_read_and_only_where_something_may_be_left(base, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(processes.POOL, "warm", lambda backend, threads: begun.append(backend))
    resolve = conduct.Resolver.resolve
    monkeypatch.setattr(conduct.Resolver, "resolve", lambda *a: (begun.append("resolved"), resolve(*a))[1])
    base.run(store=tmp_path, progress=False)
    assert begun == ["numpy", "resolved"]
    base.run(store=tmp_path, progress=False)
    assert begun == ["numpy", "resolved", "resolved"]
