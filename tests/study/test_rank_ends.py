"""What a rank's complaint means: its own failure, or only that another one is going."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import Pipe

import pytest

from kit import ranks as module
from kit.errors import DeviceLostError, WorkError
from kit.ranks import Ranks
from kit.vitals import Vitals


@pytest.fixture
def two(tmp_path):
    """Two ranks, the first of which has said that it failed; the second lives for as many seconds as asked."""
    started = []

    def make(seconds):
        ranks = Ranks.__new__(Ranks)
        command = "import sys, time; time.sleep(float(sys.argv[1])); sys.exit(3)"
        ranks.processes = [subprocess.Popen([sys.executable, "-c", command, str(s)]) for s in (60, seconds)]
        ranks.vitals = [Vitals(process.pid) for process in ranks.processes]
        pairs = [Pipe() for _ in ranks.processes]
        ranks.connections = [mine for mine, _ in pairs]
        pairs[0][1].send(("failed", "RuntimeError: Connection reset by peer"))
        ranks.folder = str(tmp_path / "folder")
        started.append((ranks, pairs))
        return ranks

    yield make
    for ranks, _ in started:
        ranks.close()


def test_one_that_misses_another_is_no_failure_of_its_own(two):
    ranks = two(seconds=0.4)  # its connections are gone before it is
    with pytest.raises(DeviceLostError, match=r"Rank 1 of 2 \(process \d+\) ended with exit code 3"):
        ranks._answer(0)


def test_a_failure_while_all_live_is_a_failure(two, monkeypatch):
    monkeypatch.setattr(module, "ENDING_SECONDS", 0.2)
    ranks = two(seconds=60)
    with pytest.raises(WorkError, match="Connection reset by peer"):
        ranks._answer(0)
    assert all(process.poll() is not None for process in ranks.processes)
