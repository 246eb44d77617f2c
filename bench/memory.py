"""The most memory that training takes: `python -m bench.memory raw torch mlp … --loop step` prints a JSON document.

`raw` is this process with the hand-written loop and nothing of ours. `ours` starts a run as a user does and watches the
worker from outside, besides asking the run for what it recorded itself.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.grid import loop_of, trained
from bench.problems import PROBLEMS, Material


def peak_bytes(process: int | str = "self") -> int:
    """Resident at its peak; 0 for a process that is gone."""
    return _status(process, "VmHWM")


def resident_bytes(process: int | str = "self") -> int:
    """Resident now; 0 for a process that is gone."""
    return _status(process, "VmRSS")


def _status(process: int | str, entry: str) -> int:
    """Bytes of an entry of Linux's proc(5) status."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"{entry}:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def raw(options: argparse.Namespace) -> dict[str, Any]:
    material = Material.read(options.material)
    loop = loop_of(options.backend, options.loop, material)
    trained(loop, material, material.learning_rate, options.steps)
    return {"bytes": peak_bytes()}


def ours(options: argparse.Namespace) -> dict[str, Any]:
    import psutil

    highest: dict[int, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for child in psutil.Process().children():
                highest[child.pid] = max(highest.get(child.pid, 0), peak_bytes(child.pid))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = PROBLEMS[options.problem].experiment(options.backend, options.steps).run(store=folder, progress=False)
            assert run.status == "done", run.reason
            recorded = run.cost.peak_memory_bytes
    finally:
        over.set()
        watcher.join()
    return {"bytes": max(highest.values()), "recorded": recorded}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("raw", "ours"))
    parser.add_argument("backend", choices=("torch", "tensorflow"))
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("material", type=Path)
    parser.add_argument("--loop", default="")
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    json.dump((raw if options.kind == "raw" else ours)(options), sys.stdout)


if __name__ == "__main__":
    main()
