"""Several processes that write into one store at once: nothing is lost, nobody is kept out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from kit.store import Store

PROCESSES, RUNS, POINTS = 4, 25, 40

# Carries out runs of its own beside the others' and an attempt at one that all share; says how long the slowest step
# of a run took.
WRITER = """
import sys, time
from kit.store import AttemptLog, Store

folder, name, runs, points = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
store, slowest = Store(folder), 0.0
store.add("shared", {"batch_size": 1})
shared = store.begin("shared")
for number in range(runs):
    began = time.perf_counter()
    run = f"{name}-{number}"
    store.add(run, {"batch_size": 1, "number": number})
    attempt = store.begin(run)
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "from_step": 0, "time": 1 + number})
    for step in range(1, points + 1):
        value = float(1000 * number + step)
        log.append({"kind": "points", "first": step, "metrics": {"batch_loss": [value]}, "seconds": [0, 1]})
    log.append({"kind": "end", "status": "done", "reason": "", "cost": {"steps": points}})
    log.close()
    store.finish(run, attempt.number)
    assert store.status(run) == "done"
    slowest = max(slowest, time.perf_counter() - began)
assert store.notes == [], store.notes
print(shared.number, slowest, flush=True)
"""


def test_four_writers_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, f"writer{n}", str(RUNS), str(POINTS)], **pipes) for n in range(PROCESSES)]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * PROCESSES
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * PROCESSES
    assert sorted(int(number) for number, _ in said) == list(range(1, PROCESSES + 1))
    assert max(float(slowest) for _, slowest in said) < 5  # four on two cores: 0.2 s here
    store = Store(tmp_path)
    found = {summary.run_id: summary for summary in store.runs() if summary.run_id != "shared"}
    assert {summary.status for summary in found.values()} == {"done"}
    assert set(found) == {f"writer{n}-{number}" for n in range(PROCESSES) for number in range(RUNS)}
    for run_id in found:
        number = int(run_id.partition("-")[2])
        expected = [float(1000 * number + step) for step in range(1, POINTS + 1)]
        assert store.outcome(run_id).curves["value"].tolist() == expected
    before = {summary.run_id: summary.document() for summary in store.runs()}
    assert {summary.run_id: summary.document() for summary in store.reindex()} == before
    assert store.notes == []
