"""Steady state, in one process of one framework: `python -m bench.steady torch mlp …` prints a JSON document.

Hand-written loops and ours take turns, a slot of a few tenths of a second each, in another order every time, so that
whatever else the machine does meets all of them alike; each figure is the median over the turns. Compilation and the
choice of a strategy are over before the first turn.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.grid import learning_rates
from bench.problems import PROBLEMS, Material

Contender = Callable[[float], tuple[float, int]]
COMPARED_STEPS = 50  # the hand-written loops and ours must agree on the loss after these


class Raw:
    """A hand-written loop, as a contender. The batches are taken out before the clock runs."""

    def __init__(self, loop: Any, material: Material) -> None:
        self.loop, self.material = loop, material
        self.step, self.unit = 0, max(loop.chunk, COMPARED_STEPS - COMPARED_STEPS % loop.chunk)
        self.first_loss = self.loop.advance(material.batches(0, self.unit))  # compiles
        self.step = self.unit
        seconds, steps = self.run(0.0)
        self.speed = steps / seconds

    def run(self, seconds: float) -> tuple[float, int]:
        wanted = int(seconds * getattr(self, "speed", 0.0)) // self.loop.chunk * self.loop.chunk
        batches = self.material.batches(self.step, max(self.loop.chunk, wanted))
        began = time.perf_counter()
        self.loop.advance(batches)
        elapsed = time.perf_counter() - began
        self.step += len(batches)
        self.speed = len(batches) / elapsed
        return elapsed, len(batches)


def take_turns(contenders: dict[str, Contender], turns: int, seconds: float) -> dict[str, list[float]]:
    """Microseconds per step of each contender, at each turn."""
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    source = random.Random(0)
    for _ in range(turns):
        for name in source.sample(list(contenders), len(contenders)):
            elapsed, steps = contenders[name](seconds)
            measured[name].append(1e6 * elapsed / steps)
    return measured


def warm(contender: Contender, ours: Any, limit: float = 120.0) -> None:
    """Until a program has chosen its strategy and compiles no more."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        before = ours.program.compile_seconds
        contender(1.0)
        if ours.program.strategy and ours.program.compile_seconds == before:
            return


def measure(backend: str, name: str, material: Material, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    raw = importlib.import_module(f"bench.raw_{backend}")
    raw.threads(options.threads)
    loops = {kind: Raw(raw.LOOPS[kind](material), material) for kind in raw.LOOPS if kind in options.loops}
    contenders: dict[str, Contender] = {kind: loop.run for kind, loop in loops.items()}
    ours: dict[str, Any] = {}
    if options.ours:
        from bench.ours import ENDLESS, Ours

        single = PROBLEMS[name].experiment(backend, ENDLESS)
        ours["ours"] = Ours([single], folder / "one", options.threads)
        if options.stack > 1:
            rates = list(single.vary(learning_rate=learning_rates(options.stack)).experiments)
            ours["stack"] = Ours(rates, folder / "stack", options.threads)
        for kind, mine in ours.items():
            contenders[kind] = mine.run
            warm(mine.run, mine)
    measured = take_turns(contenders, options.turns, options.seconds)
    document: dict[str, Any] = {
        "backend": backend,
        "problem": name,
        "threads": options.threads,
        "turns": options.turns,
        "stack": options.stack,
        "microseconds": {kind: statistics.median(values) for kind, values in measured.items()},
        "spread": {kind: [min(values), max(values)] for kind, values in measured.items()},
        "losses": {kind: [loop.unit, loop.first_loss] for kind, loop in loops.items()},
        "strategies": {kind: [mine.program.strategy, dict(mine.program.timings)] for kind, mine in ours.items()},
    }
    if ours:
        curve = np.array(ours["ours"].losses())
        pairs = [(value, curve[steps - 1]) for steps, value in document["losses"].values()]
        document["disagreement"] = max(abs(a - b) / abs(b) for a, b in pairs)
    return document


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", choices=("torch", "tensorflow", "jax"))
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("material", type=Path)
    parser.add_argument("--loops", nargs="*", default=[])
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--stack", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        document = measure(options.backend, options.problem, Material.read(options.material), options, Path(folder))
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
