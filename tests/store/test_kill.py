"""kill -9 at any moment: no acknowledged record is lost, and the checkpoint is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.store import AttemptLog, Store, read_checkpoint, read_log, write_checkpoint
from kit.store.log import LOG

# Writes a log and checkpoints, and says of each record, once it is acknowledged, its number.
WRITER = """
import os, sys
import numpy as np
from kit.store import AttemptLog, write_checkpoint
from kit.store.log import LOG

folder = sys.argv[1]
log = AttemptLog(folder)
for number in range(1_000_000):
    block = np.full(1 + number % 50, float(number))
    log.append({"kind": "points", "first": number, "metrics": {"batch_loss": block}, "seconds": [0, 1]})
    os.write(1, b"%d\\n" % number)
    if number % 5 == 4:
        write_checkpoint(folder, number, {"weight": np.full((50, 50), float(number))}, {"number": number})
        os.write(1, b"c%d\\n" % number)
"""


# Carries out whole runs, and says of each, once it is finished, its number.
CALLER = """
import os, sys
from kit.store import AttemptLog, Store

store = Store(sys.argv[1])
for number in range(int(sys.argv[2]), 1_000_000):
    run = f"run{number:06d}"
    store.add(run, {"batch_size": 2, "number": number})
    attempt = store.begin(run)
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "from_step": 0, "time": 1 + number})
    log.append({"kind": "points", "first": 1, "metrics": {"batch_loss": [float(number)]}, "seconds": [0, 1]})
    log.append({"kind": "end", "status": "done", "reason": "", "cost": {"steps": 1}})
    log.close()
    store.remember_strategy("key", run)
    store.finish(run, attempt.number)
    assert store.status(run) == "done" and store.notes == [], store.notes
    os.write(1, b"%d\\n" % number)
"""


def kill(script: str, *arguments: str, after: float) -> list[str]:
    """Let a process begin, kill it some time after its first word, and return what it acknowledged."""
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    head = os.read(process.stdout.fileno(), 1)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    said = head + process.stdout.read()
    process.wait()
    process.stdout.close()
    return said.decode().split("\n")[:-1]  # a torn last line was not said


def check(folder: Path, said: list[str]) -> int:
    """Everything acknowledged is there and right; returns how many records were acknowledged."""
    acknowledged = [int(word) for word in said if not word.startswith("c")]
    records = read_log(folder / LOG)
    numbers = [record["first"] for record in records]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= len(acknowledged)
    for number, record in enumerate(records):
        assert record["metrics"]["batch_loss"] == [float(number)] * (1 + number % 50)
    checkpoint = read_checkpoint(folder)
    promised = [int(word[1:]) for word in said if word.startswith("c")]
    if promised:
        assert checkpoint is not None
        assert checkpoint.step >= promised[-1]
    if checkpoint is not None:
        assert (checkpoint.arrays["weight"] == checkpoint.step).all()
        assert checkpoint.extra == {"number": checkpoint.step}
        before = (folder / LOG).read_bytes()[: checkpoint.offset]
        assert before.count(b"\n") == checkpoint.step + 1
    log = AttemptLog(folder)  # the dead writer's lock is gone
    log.append({"kind": "end", "status": "lost", "reason": "killed"})
    log.close()
    assert len(read_log(folder / LOG)) == len(numbers) + 1
    return len(acknowledged)


def rounds(tmp_path: Path, kills: int) -> int:
    generator = random.Random(kills)
    total = 0
    for number in range(kills):
        folder = tmp_path / f"run{number}" / "attempt-1"
        total += check(folder, kill(WRITER, str(folder), after=generator.uniform(0, 0.05)))
    return total


def test_ten_kills(tmp_path: Path) -> None:
    assert rounds(tmp_path, 10) > 100


def test_the_caller_is_killed_and_the_store_goes_on(tmp_path: Path) -> None:
    generator = random.Random(3)
    finished = 0
    for _ in range(6):
        said = kill(CALLER, str(tmp_path / "store"), str(finished), after=generator.uniform(0, 0.1))
        finished = int(said[-1]) + 1
        store = Store(tmp_path / "store")
        runs = store.runs()
        assert [summary.status for summary in runs[:finished]] == ["done"] * finished
        assert [summary.final["batch_loss"] for summary in runs[:finished]] == list(range(finished))
        assert len(runs) <= finished + 1
        assert store.strategy("key") in (f"run{finished - 1:06d}", f"run{finished:06d}")
        assert store.notes == []
    assert [outcome.curves["value"].tolist() for outcome in store.outcomes()[:finished]] == [
        [float(number)] for number in range(finished)
    ]


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    assert rounds(tmp_path, 50) > 500


def test_killed_while_training_is_running_then_lost(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.add("run", {"batch_size": 2})
    attempt = store.begin("run")
    assert store.status("run") is None
    script = (
        "import sys, time; from kit.store import AttemptLog; log = AttemptLog(sys.argv[1]);"
        "log.append({'kind': 'start', 'from_step': 0, 'time': 5});"
        "log.append({'kind': 'points', 'first': 1, 'metrics': {'batch_loss': [3.0]}, 'seconds': [0, 1]});"
        "print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(attempt.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert store.status("run") == "running"
        assert store.runs()[0].final == {"batch_loss": 3.0}
        process.kill()
    assert store.status("run") == "lost"
    outcome = store.outcome("run")
    assert "step 1" in outcome.reason
    assert outcome.cost.samples == 2
    assert outcome.curves["value"].tolist() == [3.0]


def test_a_zombie_harms_no_successor(store: Store, writer: Any, expected: Any) -> None:
    """The first attempt is thought dead (its machine was cut off), is continued elsewhere, and comes back."""
    writer.run("run", 1, last=20, status=None, checkpoint=20)
    folder = store.layout.run("run") / "attempt-1"
    zombie = AttemptLog(folder)
    writer.attempt("run", 1, first=20)
    before = (store.summary("run").document(), store.outcome("run").curves)
    wrong = {"kind": "points", "first": 21, "metrics": {"batch_loss": [9.0] * 15}, "seconds": [0.2, 0.35]}
    zombie.append(wrong)
    write_checkpoint(folder, 35, {"parameters/weight": np.zeros((3, 2))}, {})
    zombie.append({"kind": "end", "status": "failed", "reason": "Out of touch.", "cost": {}})
    zombie.close()
    for place in (store, Store(store.path)):
        place.reindex()
        summary, outcome = place.summary("run"), place.outcome("run")
        assert (summary.status, summary.attempts, summary.final) == ("done", 2, before[0]["final"])
        assert outcome.curves.equals(before[1])
        assert place.parameters("run")["weight"].tolist() == (writer.parameters(1, 40) + 1).tolist()
