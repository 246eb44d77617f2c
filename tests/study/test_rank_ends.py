"""What a rank's complaint means: its own failure, or only that another one is going."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from multiprocessing import Pipe

import pytest

from kit import crew as module
from kit.child import Child
from kit.crew import Crew
from kit.errors import DeviceLostError, WorkError
from kit.scratch import Scratch
from kit.vitals import Vitals


def child(seconds, connection):
    """A rank's process as its conductor has it, which ends by itself."""
    made = Child.__new__(Child)
    command = "import sys, time; time.sleep(float(sys.argv[1])); sys.exit(3)"
    made.process = subprocess.Popen([sys.executable, "-c", command, str(seconds)])
    made.vitals, made.own_group, made._call = Vitals(made.process.pid), False, Future()
    made._call.set_result(connection)
    return made


@pytest.fixture
def two():
    """Two ranks, the first of which has said that it failed; the second lives for as many seconds as asked."""
    started = []

    def make(seconds):
        crew = Crew.__new__(Crew)
        pairs = [Pipe() for _ in range(2)]
        crew.children = [child(s, mine) for s, (mine, _) in zip((60, seconds), pairs, strict=True)]
        crew.connections = [each.connection for each in crew.children]
        crew.scratch = Scratch("ranks", folder=True)
        pairs[0][1].send(("failed", "RuntimeError: Connection reset by peer"))
        started.append((crew, pairs))
        return crew

    yield make
    for crew, _ in started:
        crew.close()


def test_one_that_misses_another_is_no_failure_of_its_own(two):
    crew = two(seconds=0.4)  # its connections are gone before it is
    with pytest.raises(DeviceLostError, match=r"Rank 1 of 2 \(process \d+\) ended with exit code 3"):
        crew._answer(0)


def test_a_failure_while_all_live_is_a_failure(two, monkeypatch):
    monkeypatch.setattr(module, "ENDING_SECONDS", 0.2)
    crew = two(seconds=60)
    with pytest.raises(WorkError, match="Connection reset by peer"):
        crew._answer(0)
    assert all(each.process.poll() is not None for each in crew.children)
    assert not crew.scratch.path.exists()
