"""Data larger than memory: `python -m bench.larger torch FOLDER` prints a JSON document.

A 4 GiB array on disk and its first quarter in memory train the same model in turns, in one process. Before the array on
disk is opened, the process's address space is limited to what it has by then, framework and the other contender
included, and 1 GiB more. The file may be in the operating system's cache, as it would be in any second epoch.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.steady import take_turns, warm

FEATURES, CLASSES, BATCH, HIDDEN = 1024, 10, 128, 256
ALLOWANCE = 2**30  # bytes
BLOCK = 4096  # rows


def write(folder: Path, gigabytes: float) -> None:
    """x.npy, float32 (rows, 1024), and y.npy: random numbers, each block of rows shifted by its own."""
    rows = int(gigabytes * 2**30) // (4 * FEATURES) // BLOCK * BLOCK
    source = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, FEATURES))
    block = source.standard_normal((BLOCK, FEATURES), np.float32)
    for first in range(0, rows, BLOCK):
        x[first : first + BLOCK] = block + source.standard_normal(FEATURES, np.float32)
    x.flush()
    np.save(folder / "y.npy", source.integers(0, CLASSES, rows))


def address_space() -> int:
    found = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measure(backend: str, folder: Path, store: Path, turns: int, seconds: float) -> dict[str, Any]:
    import kit
    from bench.ours import ENDLESS, Ours

    def ours(dataset: Any, name: str) -> Ours:
        experiment = kit.Experiment(
            dataset=dataset,
            model=kit.model("mlp", hidden=(HIDDEN,)),
            optimizer=kit.optimizer("momentum", learning_rate=0.01),
            batch_size=BATCH,
            budget=kit.Budget(steps=ENDLESS),
            evaluate_every=ENDLESS,
            backend=backend,
        )
        started = Ours([experiment], store / name, 1)
        warm(started.run, started)
        return started

    whole = np.load(folder / "x.npy", mmap_mode="r")
    rows = len(whole) // 4
    resident = ours((np.array(whole[:rows]), np.load(folder / "y.npy")[:rows]), "resident")
    size = whole.nbytes
    del whole
    limit = address_space() + ALLOWANCE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    mapped = ours((str(folder / "x.npy"), str(folder / "y.npy")), "mapped")
    measured = take_turns({"resident": resident.run, "mapped": mapped.run}, turns, seconds)
    return {
        "backend": backend,
        "bytes": size,
        "allowance": ALLOWANCE,
        "streamed": mapped.loop.job.data.streamed,
        "microseconds": {name: statistics.median(values) for name, values in measured.items()},
        "spread": {name: [min(values), max(values)] for name, values in measured.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", choices=("torch", "tensorflow"))
    parser.add_argument("folder", type=Path, help="where x.npy and y.npy are")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        document = measure(options.backend, options.folder, Path(store), options.turns, options.seconds)
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
