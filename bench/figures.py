"""From what was measured to the figures that are quoted: each with what it is compared with, and its bound."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from bench.problems import PROBLEMS

# Loops that are beyond what PyTorch's own tutorials have; measured and shown, but not what a user would write by hand.
BEYOND = ("steps",)
EAGER = {"torch": ("eager", "foreach", "fused"), "tensorflow": ("eager",), "jax": ("step",)}
TITLES = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of the table. `ratio` is of medians of one run; None where the figure stands for itself."""

    what: str
    backend: str = ""
    ours: float
    against: float | None = None
    against_name: str = ""
    unit: str
    ratio: float | None = None
    bound: float | None = None
    sense: Literal["at most", "at least", ""] = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None without one."""
        value = self.ours if self.ratio is None else self.ratio
        if self.bound is None:
            return None
        return value <= self.bound if self.sense == "at most" else value >= self.bound


def of_steady(document: dict[str, Any]) -> list[Figure]:
    """One run against the best loop by hand; the stack against as many of those."""
    backend, times = document["backend"], document["microseconds"]
    if "ours" not in times:
        return []
    by_hand = {kind: value for kind, value in times.items() if kind not in ("ours", "stack")}
    plain = {kind: value for kind, value in by_hand.items() if kind not in BEYOND}
    best = min(plain, key=plain.__getitem__)
    title = PROBLEMS[document["problem"]].title
    found = [
        Figure(
            what=f"one run, {title}: time per step",
            backend=backend,
            ours=times["ours"],
            against=by_hand[kind],
            against_name=f"{'best ' if kind == best else ''}loop by hand ({kind})",
            unit="µs",
            ratio=times["ours"] / by_hand[kind],
            bound=1.05 if kind == best else None,
            sense="at most" if kind == best else "",
        )
        for kind in by_hand
        if kind == best or kind in BEYOND
    ]
    if "stack" not in times:
        return found
    eager = min(EAGER[backend], key=lambda kind: by_hand.get(kind, float("inf")))
    bounds = {"torch": {eager: 5.0, best: None}, "tensorflow": {best: 3.0, "graph": 30.0}, "jax": {best: None}}[backend]
    trials = document["stack"]
    return found + [
        Figure(
            what=f"{trials} learning rates, {title}: time per step of all",
            backend=backend,
            ours=times["stack"],
            against=trials * by_hand[kind],
            against_name=f"{trials} × loop by hand ({kind})",
            unit="µs",
            ratio=trials * by_hand[kind] / times["stack"],
            bound=bound,
            sense="at least" if bound else "",
        )
        for kind, bound in bounds.items()
        if kind in by_hand
    ]


def of_grid(document: dict[str, Any]) -> list[Figure]:
    """Whole commands, from start to end."""
    walls = {kind: statistics.median(values) for kind, values in document["walls"].items() if values}
    names = {"raw": "loop by hand", "optuna": "Optuna", "ray": "Ray Tune"}
    if "ours" not in walls:
        return []
    return [
        Figure(
            what=f"{document['trials']} learning rates × {document['steps']:,} steps, whole command",
            backend=document["backend"],
            ours=walls["ours"],
            against=walls[kind],
            against_name=f"{names[kind]} ({document['loop']})",
            unit="s",
            ratio=walls[kind] / walls["ours"],
        )
        for kind in names
        if kind in walls
    ]


def of_memory(document: dict[str, Any]) -> list[Figure]:
    megabytes = {kind: statistics.median(values) / 2**20 for kind, values in document["bytes"].items() if values}
    if len(megabytes) < 2:
        return []
    return [
        Figure(
            what=f"memory at its peak, {PROBLEMS[document['problem']].title}",
            backend=document["backend"],
            ours=megabytes["ours"],
            against=megabytes["raw"],
            against_name=f"loop by hand ({document['loop']})",
            unit="MiB",
            ratio=megabytes["ours"] / megabytes["raw"],
            bound=1.1,
            sense="at most",
        )
    ]


def of_levers(document: dict[str, Any]) -> list[Figure]:
    """What a run takes above what is resident before it, with each lever and without."""

    def of(name: str, entry: str) -> float:
        return statistics.median(one[entry] for one in measured[name])

    measured = {name: values for name, values in document["measured"].items() if values}
    if "plain" not in measured:
        return []
    return [
        Figure(
            what=f"memory of a transformer of 8 blocks with {name}; "
            f"a step takes {of(name, 'seconds') / of('plain', 'seconds'):.2f} × as long",
            backend=document["backend"],
            ours=of(name, "bytes") / 2**20,
            against=of("plain", "bytes") / 2**20,
            against_name="without",
            unit="MiB",
            ratio=of(name, "bytes") / of("plain", "bytes"),
            bound=1.0,
            sense="at most",
        )
        for name in measured
        if name != "plain"
    ]


def of_larger(document: dict[str, Any]) -> list[Figure]:
    times = document["microseconds"]
    return [
        Figure(
            what=f"{document['bytes'] / 2**30:.1f} GiB on disk, {document['allowance'] / 2**30:.0f} GiB allowed: steps",
            backend=document["backend"],
            ours=1e6 / times["mapped"],
            against=1e6 / times["resident"],
            against_name="data in memory",
            unit="/s",
            ratio=times["resident"] / times["mapped"],
            bound=0.8,
            sense="at least",
        )
    ]


def of_startup(document: dict[str, float]) -> list[Figure]:
    bounds = {"import kit": 0.2, "kit plugins": 0.5, "kit --help": 0.3}
    return [
        Figure(
            what=f"`{name}`, processor time, Python's start ({document['python']:.2f} s) included",
            ours=document[name],
            unit="s",
            bound=bound,
            sense="at most",
        )
        for name, bound in bounds.items()
    ]


def of_keeping(document: dict[str, Any]) -> list[Figure]:
    backend = document.get("backend", "")
    if document["part"] == "checkpoint":
        times = document["microseconds"]
        what = f"checkpoints of {document['bytes'] / 2**20:.0f} MiB as they fall due: time per step"
        ratio = statistics.median(document["ratios"])
        by = {"against": times["without"], "against_name": "no checkpoints", "bound": 1.02}
        return [Figure(what=what, backend=backend, ours=times["with"], unit="µs", ratio=ratio, sense="at most", **by)]
    if document["part"] == "executor":
        seconds = document["seconds"]
        overhead = 1e3 * (seconds["processes"] - seconds["inline"])
        what = "worker processes, warm: what they add to a run"
        return [Figure(what=what, backend=backend, ours=overhead, unit="ms", bound=20.0, sense="at most")]
    writers = f"{document['processes']} processes, {document['written']:,} points in {document['seconds']:.0f} s"
    lost, slowest = document["written"] - document["kept"], 1e3 * document["slowest"]
    return [
        Figure(what=f"{writers}: points lost", ours=lost, unit="", bound=0.0, sense="at most"),
        Figure(what=f"{writers}: slowest append", ours=slowest, unit="ms", bound=1e3, sense="at most"),
    ]


def of_large_store(document: dict[str, Any]) -> list[Figure]:
    store = f"store of {document['made']['runs']:,} runs of 1,000 points"
    questions = {"list": ("`kit runs`", 2.0), "summary": ("summary of all", 3.0), "figure": ("a figure of 1,000", 5.0)}
    found = []
    for name, (what, bound) in questions.items():
        asked = document[name]
        about = f"{store}: {what}"
        found.append(Figure(what=about, ours=asked["seconds"], unit="s", bound=bound, sense="at most"))
        megabytes = asked["bytes"] / 1e6
        found.append(Figure(what=f"{about}, memory", ours=megabytes, unit="MB", bound=500.0, sense="at most"))
    return found


def of_lab(document: dict[str, Any]) -> list[Figure]:
    """The live view in a real browser: what it costs the training, how often it is drawn, how soon Stop answers."""
    # Seconds within training steps, of all runs: a program that happens to be compiled anew in one turn is not in them.
    backend, trained, frames = document["backend"], document["training_seconds"], document["frame_ms"]
    figure = partial(Figure, backend=backend)
    return [
        figure(
            what="the lab looking on, 6 lanes × 5 replicates: seconds of training",
            ours=statistics.median(trained["watched"]),
            against=statistics.median(trained["alone"]),
            against_name="without it",
            unit="s",
            ratio=document["ratio"],  # the median over turns
            bound=1.05,
            sense="at most",
        ),
        figure(
            what="from running its cells to the first curve that moves, kernel up, workers not",
            ours=document["first_curve"],
            unit="s",
            bound=15.0,
            sense="at most",
        ),
        figure(what="its drawings", ours=document["frames_a_second"], unit="/s", bound=5.0, sense="at least"),
        figure(
            what=f"Stop, both cores training, the longest of {len(document['stops'])}",
            ours=max(document["stops"]),
            unit="s",
            bound=1.0,
            sense="at most",
        ),
        figure(
            what="100 curves × 10,000 points drawn over and over: between two frames, 95 of 100 at most",
            ours=frames["p95"],
            unit="ms",
            bound=100.0,
            sense="at most",
        ),
    ]


def of_demo(document: dict[str, float]) -> list[Figure]:
    seconds = document["seconds"]
    return [Figure(what="`make demo` after installation", ours=seconds, unit="s", bound=120.0, sense="at most")]


READERS: dict[str, Any] = {
    "steady": of_steady,
    "grid": of_grid,
    "memory": of_memory,
    "levers": of_levers,
    "larger": of_larger,
    "keeping": of_keeping,
    "large_store": of_large_store,
    "startup": of_startup,
    "lab": of_lab,
    "demo": of_demo,
}


def figures(measured: dict[str, list[Any]]) -> list[Figure]:
    """All figures, in the order of the table; what failed gives none."""
    return [
        figure
        for part, read in READERS.items()
        for document in measured.get(part, [])
        if "failed" not in document
        for figure in read(document)
    ]
