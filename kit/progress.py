"""Progress of a study, for a terminal, a log file or a notebook."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol


class Progress(Protocol):
    """What a study tells while it runs. Every method must return at once."""

    def begin(self, runs: list[tuple[str, dict[str, Any]]], found: int) -> None:
        """runs: (run_id, specification) of what will train; found: how many the store already held as done."""

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        """A log record of a run was written (see kit.store)."""

    def note(self, sentence: str) -> None:
        """Something to say that belongs to no run."""

    def close(self) -> None:
        """The study has ended."""


class Silent:
    """Says nothing."""

    def begin(self, runs: list[tuple[str, dict[str, Any]]], found: int) -> None: ...
    def record(self, run_id: str, record: dict[str, Any]) -> None: ...
    def note(self, sentence: str) -> None: ...
    def close(self) -> None: ...


def label(specification: dict[str, Any]) -> str:
    """What a line of the display stands for: the runs that differ in seed or hyperparameters alone share one."""
    return f"{specification['optimizer']['name']} · {specification['backend']}"


class Counts:
    """How far each line is: steps done of steps to do, and the state of its runs."""

    def __init__(self, runs: list[tuple[str, dict[str, Any]]]) -> None:
        self.line = {run: label(specification) for run, specification in runs}
        self.goal = {run: _goal(specification) for run, specification in runs}
        self.done = dict.fromkeys(self.line, 0.0)
        self.ended: dict[str, str] = {}
        self.loss: dict[str, float] = {}

    def hear(self, run_id: str, record: dict[str, Any]) -> None:
        kind = record["kind"]
        if kind == "points":
            steps = record["first"] - 1 + len(next(iter(record["metrics"].values())))
            self.done[run_id] = record["seconds"][1] if self.goal[run_id][1] else steps
        elif kind == "evaluation":
            self.loss[run_id] = record["metrics"].get(
                "validation_loss", record["metrics"].get("train_loss", float("nan"))
            )
        elif kind == "end":
            self.ended[run_id] = record["status"]
            self.done[run_id] = self.goal[run_id][0]

    def total(self, line: str) -> tuple[float, float]:
        runs = [run for run, name in self.line.items() if name == line]
        return sum(min(self.done[r], self.goal[r][0]) for r in runs), sum(self.goal[r][0] for r in runs)

    def said(self, line: str) -> str:
        """State of a line in words: the mean loss so far, and what did not go well."""
        runs = [run for run, name in self.line.items() if name == line]
        losses = [self.loss[run] for run in runs if run in self.loss and self.ended.get(run) != "diverged"]
        bad = [self.ended[run] for run in runs if self.ended.get(run, "done") != "done"]
        said = f"lowest loss {min(losses):.4g}" if losses else ""
        return ", ".join([said] * bool(said) + [f"{bad.count(status)} {status}" for status in sorted(set(bad))])


def _goal(specification: dict[str, Any]) -> tuple[float, bool]:
    """(how much, whether that is seconds rather than steps)."""
    budget = specification["budget"]
    return (float(budget["seconds"]), True) if "seconds" in budget else (float(budget["steps"]), False)


class Bars:
    """One bar per line, in a terminal or a notebook, by rich."""

    def __init__(self) -> None:
        self.counts = Counts([])
        self.bars: Any = None

    def begin(self, runs: list[tuple[str, dict[str, Any]]], found: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.counts = Counts(runs)
        console = Console(stderr=True)
        if found:
            console.print(f"{found} of {found + len(runs)} runs were in the store already.")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
        )
        self.bars = Progress(*columns, console=console)
        self.lines = {
            line: self.bars.add_task(line, total=self.counts.total(line)[1], said="waiting", start=False)
            for line in dict.fromkeys(self.counts.line.values())
        }
        self.bars.start()

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        self.counts.hear(run_id, record)
        line = self.counts.line[run_id]
        if record["kind"] == "start":
            self.bars.start_task(self.lines[line])
            self.bars.update(self.lines[line], said="compiling")
        elif record["kind"] in ("points", "end"):
            self.bars.update(self.lines[line], completed=self.counts.total(line)[0], said=self.counts.said(line))

    def note(self, sentence: str) -> None:
        self.bars.console.print(sentence)

    def close(self) -> None:
        self.bars.stop()


class Lines:
    """One line of text per finished line of runs, and one every few seconds: for logs and pipes."""

    EVERY_SECONDS = 10.0

    def begin(self, runs: list[tuple[str, dict[str, Any]]], found: int) -> None:
        self.counts = Counts(runs)
        self.said_at = time.monotonic()
        if found:
            self.note(f"{found} of {found + len(runs)} runs were in the store already.")

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        self.counts.hear(run_id, record)
        line = self.counts.line[run_id]
        runs = [run for run, name in self.counts.line.items() if name == line]
        if record["kind"] == "end" and all(run in self.counts.ended for run in runs):
            self.note(f"{line}: {len(runs)} {'run' if len(runs) == 1 else 'runs'} ended; {self.counts.said(line)}")
        elif time.monotonic() - self.said_at > self.EVERY_SECONDS:
            lines = dict.fromkeys(self.counts.line.values())
            self.note("; ".join(f"{name} {_percent(*self.counts.total(name))}" for name in lines))
            self.said_at = time.monotonic()

    def note(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


def _percent(done: float, goal: float) -> str:
    return f"{done / goal:.0%}" if goal else "100%"


def chosen_progress(wanted: bool | Progress) -> Progress:
    """Bars where they can be drawn, lines of text where not, nothing where nothing is wanted."""
    if not isinstance(wanted, bool):
        return wanted
    if not wanted:
        return Silent()
    return Bars() if sys.stderr.isatty() or "ipykernel" in sys.modules else Lines()
