"""What it costs to lose nothing: `python -m bench.keeping checkpoint torch`, `executor torch`, `writers`.

`checkpoint`: one run that writes checkpoints and one that writes none take turns, each slice as long as the interval
between two checkpoints, so that every slice of the first has one. `executor`: many short runs by worker processes, less
the time that the same runs take in one process. `writers`: processes that append points at once, each appending one
point at a time to a log of its own, while runs are finished in the index beside them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SPAWN = multiprocessing.get_context("spawn")


def checkpoint(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Microseconds per step with and without checkpoints, of a model whose checkpoint is 28 MB."""
    import kit
    from bench.ours import ENDLESS, Ours
    from bench.steady import take_turns, warm
    from kit.recorder import CHECKPOINT_SECONDS

    experiment = kit.Experiment(
        model=kit.model("mlp", hidden=(1024, 1024)), optimizer="adam", backend=options.backend, budget=ENDLESS
    )
    contenders = {kind: Ours([experiment], folder / kind, 1) for kind in ("with", "without")}
    contenders["without"].loop.recorder.checkpoint_if_due = lambda *_: None  # type: ignore[method-assign]
    for mine in contenders.values():
        warm(mine.run, mine)
    runs = {kind: mine.run for kind, mine in contenders.items()}
    measured = take_turns(runs, options.turns, options.seconds or CHECKPOINT_SECONDS)
    records = [json.loads(line) for line in Path(contenders["with"].log).read_bytes().splitlines()]
    return {
        "backend": options.backend,
        "microseconds": {kind: statistics.median(values) for kind, values in measured.items()},
        "ratios": [a / b for a, b in zip(measured["with"], measured["without"], strict=True)],
        "checkpoints": sum(record["kind"] == "checkpoint" for record in records),
        "bytes": sum(path.stat().st_size for path in Path(contenders["with"].log).parent.glob("*.safetensors")),
    }


def executor(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds that a run of one step takes, by each executor, once its workers are warm."""
    import kit

    base = kit.Experiment(backend=options.backend, budget=1, dataset="blobs", model="linear", strategy=options.strategy)
    seconds: dict[str, list[float]] = {name: [] for name in options.executors}
    for turn in range(options.turns + 1):
        for name, values in seconds.items():
            study = base.vary(seed=range(options.runs))  # one seed is one program: nothing is stacked
            began = time.perf_counter()
            results = study.run(store=folder / f"{name}{turn}", executor=name, progress=False)
            elapsed = time.perf_counter() - began
            assert {run.status for run in results} == {"done"}
            values += [elapsed / options.runs] if turn else []
    return {"backend": options.backend, "seconds": {name: statistics.median(v) for name, v in seconds.items()}}


def write_points(folder: Path, rate: int, seconds: float, connection: Connection) -> None:
    """Append a point at a time, `rate` a second, and say how many there were and how long the slowest took."""
    from kit.store import AttemptLog

    log, slowest = AttemptLog(folder), 0.0
    connection.send("ready")
    connection.recv()
    began = time.perf_counter()
    total = int(rate * seconds)
    for number in range(total):
        ahead = began + number / rate - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        before = time.perf_counter()
        log.append(
            {"kind": "points", "first": number + 1, "seconds": [0, 1], "metrics": {"batch_loss": [float(number)]}}
        )
        slowest = max(slowest, time.perf_counter() - before)
    elapsed = time.perf_counter() - began
    log.close()
    connection.send((total, slowest, elapsed))


def writers(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Points written and found again, the slowest append, and the slowest finishing of a run in the index meanwhile."""
    from kit.store import AttemptLog, Store, read_log

    store = Store(folder)
    begun = []
    for number in range(options.processes):
        store.add(f"writer{number}", {"batch_size": 1, "number": number})
        attempt = store.begin(f"writer{number}")
        mine, other = SPAWN.Pipe()
        arguments = (attempt.folder, options.rate, options.seconds or 60.0, other)
        process = SPAWN.Process(target=write_points, args=arguments)
        process.start()
        begun.append((process, mine, attempt))
    for _, connection, _ in begun:
        assert connection.recv() == "ready"
    for _, connection, _ in begun:
        connection.send("go")
    finished = [0.0]
    number = 0
    while any(process.is_alive() for process, _, _ in begun):
        number += 1
        store.add(f"run{number}", {"batch_size": 1, "number": number})
        attempt = store.begin(f"run{number}")
        log = AttemptLog(attempt.folder)
        log.append({"kind": "end", "status": "done", "reason": "", "cost": {}})
        log.close()
        before = time.perf_counter()
        store.finish(f"run{number}", attempt.number)
        finished.append(time.perf_counter() - before)
        time.sleep(0.1)
        if all(connection.poll() for _, connection, _ in begun):
            break
    said = [connection.recv() for _, connection, _ in begun]
    for process, _, _ in begun:
        process.join()
    kept = 0
    for _, _, attempt in begun:
        records = read_log(attempt.folder / "log.jsonl")
        assert [record["metrics"]["batch_loss"] for record in records] == [[float(n)] for n in range(len(records))]
        kept += len(records)
    assert not store.notes
    return {
        "processes": options.processes,
        "written": sum(total for total, _, _ in said),
        "kept": kept,
        "slowest": max(slowest for _, slowest, _ in said),
        "slowest_finish": max(finished),
        "seconds": max(elapsed for _, _, elapsed in said),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("checkpoint", "executor", "writers"))
    parser.add_argument("backend", nargs="?", default="torch")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--executors", nargs="+", default=["inline", "processes"])
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        document = globals()[options.part](options, Path(folder))
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
