"""A store of ten thousand runs: `python -m bench.large_store make FOLDER`, then `list`, `summary`, `figure` on it.

Each question is asked in a process of its own, as a user would ask it the next morning; what it took in seconds has
imports in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

STEPS, EVALUATIONS = 980, 20  # a run has 1,000 points
OPTIMIZERS = ("gd", "momentum", "adam", "lion")


def specification(number: int) -> dict[str, Any]:
    """Of a study over optimizers, learning rates and replicates, as the kit resolves one."""
    rate = float(f"{10 ** (-4 + 4 * (number // 40 % 250) / 250):.4g}")
    return {
        "format": 1,
        "dataset": {"name": "digits", "options": {}},
        "model": {"name": "mlp", "options": {"hidden": [32]}},
        "loss": {"name": "cross_entropy", "options": {}},
        "task": "classification",
        "optimizer": {"name": OPTIMIZERS[number % 4], "kind": "rule", "options": {"learning_rate": rate}},
        "schedule": {"name": "constant", "options": {}},
        "batch_size": 64,
        "budget": {"steps": STEPS},
        "seed": number // 10_000,
        "replicate": number // 4 % 10,
        "backend": "torch",
        "device": "cpu",
        "dtype": "float32",
        "evaluate_every": STEPS // EVALUATIONS,
    }


def make(folder: Path, runs: int) -> dict[str, Any]:
    """Write the store as workers and callers do, a record for each tenth of a second of 10 ms steps."""
    from kit.store import AttemptLog, Store

    store, generator = Store(folder), np.random.default_rng(0)
    began = time.perf_counter()
    for number in range(runs):
        run_id = f"{number:016x}"
        store.add(run_id, specification(number))
        attempt = store.begin(run_id)
        log = AttemptLog(attempt.folder)
        log.append({"kind": "start", "attempt": 1, "from_step": 0, "time": 1.7e9 + number, "threads": 1})
        log.append({"kind": "strategy", "name": "compiled", "timings": {"compiled": 250.0}})
        losses = 2.3 * np.exp(-np.arange(STEPS) / 300) + 0.05 * generator.random(STEPS)
        every = STEPS // EVALUATIONS
        for first in range(0, STEPS, every):
            block, seconds = losses[first : first + every], [first / 100, (first + every) / 100]
            log.append({"kind": "points", "first": first + 1, "metrics": {"batch_loss": block}, "seconds": seconds})
            metrics = {"validation_loss": float(block[-1])}
            log.append({"kind": "evaluation", "step": first + every, "seconds": seconds[1], "metrics": metrics})
        cost = {"steps": STEPS, "samples": 64 * STEPS, "gradient_evaluations": 64 * STEPS, "seconds": STEPS / 100}
        log.append({"kind": "end", "status": "done", "reason": "The budget was spent.", "cost": cost})
        log.close()
        store.finish(run_id, attempt.number)
    return {"runs": runs, "seconds": time.perf_counter() - began}


def summary(folder: Path, runs: int) -> int:
    import kit

    frame = kit.open_store(folder).summary
    assert frame["best_validation_loss"].notna().all()
    return len(frame)


def figure(folder: Path, runs: int) -> int:
    """A thousand of the curves in one figure."""
    import kit

    results = kit.open_store(folder).select(replicate=0)
    results.plot_curves("batch_loss").savefig(folder / "curves.png")
    return len(results)


def asked(folder: Path, question: str) -> dict[str, Any]:
    """A question in a process of its own: seconds from start to end, and the most memory that it held."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.large_store", question, str(folder)]
    if question == "list":
        command = [sys.executable, "-m", "kit", "runs", "--store", str(folder)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1]) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"`{' '.join(command)}` ended with {process.returncode}.")
    return {"seconds": time.perf_counter() - began, "bytes": used.ru_maxrss * 1024}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("question", choices=("make", "list", "summary", "figure", "all"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    options = parser.parse_args()
    if options.question == "all":
        document = {"made": make(options.folder, options.runs)}
        document |= {name: asked(options.folder, name) for name in ("list", "summary", "figure")}
        json.dump(document, sys.stdout)
    elif options.question == "make":
        json.dump(make(options.folder, options.runs), sys.stdout)
    else:
        print({"summary": summary, "figure": figure}[options.question](options.folder, options.runs))


if __name__ == "__main__":
    main()
