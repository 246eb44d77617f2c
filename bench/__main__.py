"""Measure everything: `python -m bench`, or `python -m bench --quick`, or `python -m bench --only steady grid`.

Writes `bench/results.json` (whatever was measured, parts that were not asked for kept from before), `bench/results.md`
and the table in `README.md`. A part that fails is said so in the table, and the others go on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import startup
from bench.figures import BEYOND, READERS, figures
from bench.larger import write
from bench.problems import PROBLEMS, material
from bench.table import into_readme, table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOOPS = {
    "torch": ["eager", "foreach", "fused", "model", "step", "steps"],
    "tensorflow": ["eager", "graph", "xla", "graph50", "xla50"],
    "jax": ["step", "scan50"],
}
PACKAGES = {"torch": ("PyTorch", "torch"), "tensorflow": ("TensorFlow", "tensorflow"), "jax": ("JAX", "jax")}
STEADY_ONLY = ("jax",)  # measured step by step, not in whole commands
UNROLLED = ("mlp",)  # the problems whose unrolled loop compiles in less than a minute
LEVERS = {
    "plain": [],
    "gradient accumulation (8 parts)": ["--accumulation", 8],
    "activation checkpointing": ["--checkpointing"],
    "both": ["--accumulation", 8, "--checkpointing"],
    "bfloat16": ["--dtype", "bfloat16"],
}
WATCHED = {"torch": 20_000, "tensorflow": 60_000}  # steps of the lab's study: about as many seconds in both
SWEPT = "mlp"
TRIALS = 32
TOLERANCE = 1e-2  # losses further apart, relative: the contenders did not do the same work, and nothing is quoted


class Bench:
    """The parts. Each gives documents as JSON; `folder` holds what they share."""

    def __init__(self, folder: Path, backends: list[str], quick: bool) -> None:
        self.folder, self.quick, self.steadily = folder, quick, backends
        self.backends = [backend for backend in backends if backend not in STEADY_ONLY]
        for problem in PROBLEMS.values():
            material(problem).save(self.material(problem.name))

    def material(self, problem: str) -> Path:
        return self.folder / f"{problem}.npz"

    def run(self, module: str, *arguments: Any, python: str = sys.executable) -> dict[str, Any]:
        """A part's own process; its last line is its document. What went wrong comes as {"failed": sentence}."""
        command = [python, "-W", "ignore", "-m", module, *map(str, arguments)]
        # A thread each, as a worker of ours has where two share two cores; and TensorFlow's log is not ours to print.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        say(f"  {module} {' '.join(str(a) for a in arguments if not isinstance(a, Path))}")
        began = time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
            return {"failed": f"{module} {' '.join(map(str, arguments[:3]))}: {said[:200]}"}
        document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return {"wall": time.perf_counter() - began, **document}

    def steady(self) -> list[dict[str, Any]]:
        turns, seconds = (3, 0.1) if self.quick else (11, 0.25)
        found = []
        for backend in self.steadily:
            for problem in [SWEPT] if self.quick else PROBLEMS:
                beyond = () if problem in UNROLLED and not self.quick else BEYOND
                loops = [kind for kind in LOOPS[backend] if kind not in beyond]
                stack = TRIALS if problem == SWEPT else 1
                arguments = ["--loops", *loops, "--ours", "--stack", stack, "--turns", turns, "--seconds", seconds]
                given = [backend, problem, self.material(problem), *arguments]
                done = self.run("bench.steady", *given, python=python_of(backend) or sys.executable)
                apart = done.get("disagreement", 0.0)
                found.append(done if apart < TOLERANCE else {"failed": f"{backend} {problem}: {apart:.1e} apart."})
        return found

    def grid(self) -> list[dict[str, Any]]:
        turns, trials, steps = (1, 4, 100) if self.quick else (3, TRIALS, 1000)
        python, refused = other_environment()
        found: list[dict[str, Any]] = [{"failed": refused}] if refused else []
        for backend in self.backends:
            loop = {"torch": "step", "tensorflow": "xla50"}[backend]
            kinds = ["ours", "raw", *(["optuna", "ray"] if python else [])]
            walls: dict[str, list[float]] = {kind: [] for kind in kinds}
            losses: dict[str, Any] = {}
            for _ in range(turns):
                for kind in kinds:
                    arguments = [kind, backend, SWEPT, self.material(SWEPT), "--loop", loop]
                    arguments += ["--trials", trials, "--steps", steps]
                    chosen = sys.executable if kind == "ours" else python or sys.executable
                    done = self.run("bench.grid", *arguments, python=chosen)
                    if "failed" in done:
                        found.append(done)
                        continue
                    walls[kind].append(done["wall"])
                    losses[kind] = done["losses"]
            all_losses = list(losses.values())
            apart = max((difference(all_losses[0], other) for other in all_losses[1:]), default=0.0)
            if apart >= TOLERANCE:
                found.append({"failed": f"{backend}: the grids end {apart:.1e} apart."})
                continue
            sizes = {"trials": trials, "steps": steps, "disagreement": apart}
            found.append({"backend": backend, "loop": loop, **sizes, "walls": walls, "losses": losses})
        return found

    def memory(self) -> list[dict[str, Any]]:
        turns, found = (1 if self.quick else 3), []
        for backend in self.backends:
            for problem in [SWEPT] if self.quick else [SWEPT, "cnn", "transformer"]:
                loop = {"torch": "step", "tensorflow": "xla50" if problem == SWEPT else "graph50"}[backend]
                measured: dict[str, list[int]] = {"raw": [], "ours": []}
                steps = 1000 if problem == SWEPT else 200
                for _ in range(turns):
                    for kind, values in measured.items():
                        arguments = [kind, backend, problem, self.material(problem), "--loop", loop, "--steps", steps]
                        done = self.run("bench.memory", *arguments)
                        found += [done] if "failed" in done else []
                        values += [done["bytes"]] if "bytes" in done else []
                found.append({"backend": backend, "problem": problem, "loop": loop, "bytes": measured})
        return found

    def levers(self) -> list[dict[str, Any]]:
        turns, found = (1 if self.quick else 3), []
        for backend in self.backends:
            measured: dict[str, list[dict[str, Any]]] = {name: [] for name in LEVERS}
            for _ in range(turns):
                for name, arguments in LEVERS.items():
                    done = self.run("bench.levers", backend, *arguments)
                    found += [done] if "failed" in done else []
                    measured[name] += [done] if "bytes" in done else []
            found.append({"backend": backend, "measured": measured})
        return found

    def larger(self) -> list[dict[str, Any]]:
        write(self.folder, 0.25 if self.quick else 4.0)
        options = ["--turns", 2, "--seconds", 0.3] if self.quick else []
        return [self.run("bench.larger", backend, self.folder, *options) for backend in self.backends]

    def keeping(self) -> list[dict[str, Any]]:
        quick = ["--turns", 1, "--seconds", 0.5] if self.quick else []
        found = []
        for backend in self.backends:
            found.append({"part": "checkpoint", **self.run("bench.keeping", "checkpoint", backend, *quick)})
            found.append({"part": "executor", **self.run("bench.keeping", "executor", backend, *quick)})
        return [*found, {"part": "writers", **self.run("bench.keeping", "writers", *quick)}]

    def large_store(self) -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            return [self.run("bench.large_store", "all", folder, "--runs", 200 if self.quick else 10_000)]

    def startup(self) -> list[dict[str, Any]]:
        return [dict(startup.startup(2 if self.quick else 9))]

    def lab(self) -> list[dict[str, Any]]:
        found = []
        for backend in self.backends:
            sizes = ["--steps", 2000, "--turns", 1, "--stops", 2] if self.quick else ["--steps", WATCHED[backend]]
            found.append(self.run("bench.lab", backend, *sizes))
        return found

    def demo(self) -> list[dict[str, Any]]:
        return [{"seconds": startup.demo()}]


def other_environment() -> tuple[str | None, str]:
    """The Python that has Optuna and Ray, made at the first call; or None and why there is none."""
    folder = ROOT / ".venv-bench"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        say("  making .venv-bench for Optuna and Ray")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        constraints = ["-r", str(HERE / "requirements.txt"), "-c", str(ROOT / "constraints.txt")]
        for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, *constraints]):
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
                return None, f"Optuna and Ray Tune, which could not be installed: {said[:200]}"
        ready.touch()
    return str(python), ""


def python_of(backend: str) -> str | None:
    """The Python that has a backend's framework: this one, or that of `make test-jax`; None where there is none."""
    own = ROOT / f".venv-{backend}" / "bin" / "python"
    return str(own) if own.exists() else sys.executable if find_spec(PACKAGES[backend][1]) else None


def difference(one: list[float], other: list[float]) -> float:
    """The greatest relative difference between losses."""
    return max(abs(a - b) / abs(a) for a, b in zip(one, other, strict=True))


def machine(quick: bool) -> dict[str, Any]:
    from kit.machine import machine_facts

    facts = machine_facts()
    versions = {"Python": ".".join(map(str, sys.version_info[:3]))}
    for name, package in PACKAGES.values():
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(package)
    return {"processor": facts["processor"], "cores": facts["cores_usable"], "versions": versions, "quick": quick}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few turns and small sizes: that it runs, not how fast")
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS), help="some parts")
    installed = [backend for backend in LOOPS if python_of(backend)]
    parser.add_argument("--backend", nargs="+", choices=LOOPS, default=installed, help="those installed, if not said")
    parser.add_argument("--out", type=Path, default=HERE, help="where results.json and results.md go")
    options = parser.parse_args()
    results = options.out / "results.json"
    measured: dict[str, Any] = json.loads(results.read_text())["measured"] if results.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.backend, options.quick)
        for part in options.only:
            say(part)
            began = time.perf_counter()
            measured[part] = getattr(bench, part)()
            say(f"  {time.perf_counter() - began:.0f} s")
    failures = [document["failed"] for part in measured.values() for document in part if "failed" in document]
    found, facts = figures(measured), machine(options.quick)
    text = table(found, facts, failures)
    quoted = [{**dataclasses.asdict(figure), "holds": figure.holds} for figure in found]
    document = {"machine": facts, "figures": quoted, "not_measured": failures, "measured": measured}
    results.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (options.out / "results.md").write_text(text, encoding="utf-8")
    if options.out == HERE and not options.quick:
        into_readme(ROOT / "README.md", text)
    print(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
