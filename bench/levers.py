"""What the levers for bigger models save, and what they cost: `python -m bench.levers torch --accumulation 8` prints a
JSON document.

One worker for each measurement, as memory that was taken once is seldom given back. The model is a transformer whose
activations take many times what its parameters do; what counts is what the worker holds at its peak above what it held
before, its framework imported and used. glibc's allocator is told to give back every block of 64 KiB at once, so that
what is measured is what the computation holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import Any

from bench.memory import resident_bytes

MODEL = {"width": 64, "heads": 4, "blocks": 8}
CONTEXT, BATCH = 64, 256
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc's (mallopt(3))
LOOPS = {"torch": "views", "tensorflow": "graph"}  # those that have every lever


def experiment(options: argparse.Namespace) -> Any:
    import kit

    return kit.Experiment(
        dataset=kit.dataset("characters", context=CONTEXT),
        model=kit.model("transformer", **MODEL),
        optimizer=kit.optimizer("adam", learning_rate=1e-3),
        batch_size=BATCH,
        budget=kit.Budget(steps=options.steps),
        evaluate_every=options.steps,
        validation_fraction=0.0,
        backend=options.backend,
        dtype=options.dtype,
        strategy=LOOPS[options.backend],
        gradient_accumulation=options.accumulation,
        activation_checkpointing=options.checkpointing,
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import psutil

    import kit

    os.environ.update(ALLOCATOR)
    with tempfile.TemporaryDirectory() as folder:
        small = kit.Experiment(dataset="iris", model="mlp", budget=1, batch_size=8, backend=options.backend)
        assert small.run(store=folder, progress=False).status == "done"  # so that the framework has computed something
        (worker,) = [child.pid for child in psutil.Process().children() if "kit.worker" in child.cmdline()]
        before = resident_bytes(worker)
        done = experiment(options).run(store=folder, progress=False)
        assert done.status == "done", done.reason
        return {
            "bytes": done.cost.peak_memory_bytes - before,
            "before": before,
            "seconds": done.cost.seconds / options.steps,
            "losses": [float(loss) for loss in done.curve("batch_loss")],
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", choices=LOOPS)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--steps", type=int, default=3)
    json.dump(measure(parser.parse_args()), sys.stdout)


if __name__ == "__main__":
    main()
