"""How far every run is, and the table made from it: a row for each lane."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.outcome import STATUSES
from kit.results.words import MISSING, duration, number, plural

WAITING, PREPARING, TRAINING, UNBEGUN = "waiting", "preparing", "training", "not begun"
PLACE = ("position.0", "position.1")  # as the trajectory of a two-parameter problem is recorded
RECENT_SECONDS = 3.0  # of watching, over which speed is measured


@dataclass(kw_only=True, eq=False)
class Progress:
    """One run. `done` and `goal` are in the budget's unit: steps, or seconds of training."""

    lane: int
    replicate: int
    batch: int
    goal: float
    in_seconds: bool
    status: str = WAITING
    reason: str = ""
    step: int = 0
    done: float = 0.0
    latest: dict[str, float] = field(default_factory=dict)  # metric -> its last value
    read: int = 0  # the step at which that was read
    corners: tuple[tuple[float, float], ...] = ()  # of the box around the path of a two-parameter problem

    def hear(self, record: dict[str, Any]) -> None:
        kind = record["kind"]
        if kind == "start":
            self.status = PREPARING
        elif kind == "points":
            values = next(iter(record["metrics"].values()))
            self.status = TRAINING
            self.step = record["first"] - 1 + len(values)
            self.done = record["seconds"][1] if self.in_seconds else self.step
        elif kind == "evaluation":
            self.latest |= record["metrics"]
            self.read = record["step"]
            self._walk()
        elif kind == "end":
            self.status, self.reason = record["status"], record["reason"]
            self.step = int(record["cost"].get("steps", self.step))

    def _walk(self) -> None:
        place = [self.latest.get(name, math.nan) for name in PLACE]
        if all(map(math.isfinite, place)):
            points = [*self.corners, (place[0], place[1])]
            low, high = ((f(x for x, _ in points), f(y for _, y in points)) for f in (min, max))
            self.corners = (low, high)

    @property
    def ended(self) -> bool:
        return self.status in STATUSES

    @property
    def share(self) -> float:
        """Of its budget, from 0 to 1; 1 once it has ended by itself, however it did."""
        return 1.0 if self.ended and self.status != "stopped" else min(1.0, self.done / self.goal)


class Tally:
    """All runs of a session. The clock stands while the session is paused."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.runs: list[Progress] = []
        self._began: float | None = None
        self._paused = 0.0  # seconds
        self._rested: float | None = None  # since when
        self._past: list[tuple[float, list[int]]] = []  # (clock, steps of each lane)

    def clock(self) -> float:
        """Seconds since the first run began, pauses left out."""
        if self._began is None:
            return 0.0
        until = self._rested if self._rested is not None else time.monotonic()
        return until - self._began - self._paused

    def begin(self) -> None:
        if self._began is None:
            self._began = time.monotonic()

    def close(self) -> None:
        """The session has ended: what waited or was prepared does not begin any more."""
        for run in self.runs:
            run.status = UNBEGUN if run.status in (WAITING, PREPARING) else run.status

    def rest(self, resting: bool) -> None:
        if resting and self._rested is None:
            self._rested = time.monotonic()
        elif not resting and self._rested is not None:
            self._paused += time.monotonic() - self._rested
            self._rested = None

    def of_lane(self, lane: int) -> list[Progress]:
        return [run for run in self.runs if run.lane == lane]

    def reached(self) -> list[tuple[float, float]]:
        """Corners of the boxes around the paths of a two-parameter problem; empty where there is none."""
        return [corner for run in self.runs if run.status != "diverged" for corner in run.corners]

    @property
    def share(self) -> float:
        """Of the whole, from 0 to 1."""
        return sum(run.share for run in self.runs) / len(self.runs) if self.runs else 0.0

    def time_left(self) -> float:
        """Seconds until all have ended, if it goes on as so far; NaN where that cannot be said yet."""
        share, clock = self.share, self.clock()
        return math.nan if share < 0.02 or clock <= 0 else clock * (1 - share) / share

    def speeds(self) -> list[float]:
        """Updates in a second of each lane, all of its replicates together, over the last seconds."""
        now, steps = self.clock(), [sum(run.step for run in self.of_lane(lane)) for lane in range(self.lanes)]
        if not self._past or now > self._past[-1][0]:
            self._past.append((now, steps))
        while len(self._past) > 2 and now - self._past[1][0] > RECENT_SECONDS:
            del self._past[0]
        then, before = self._past[0]
        if now - then < 0.2:
            return [math.nan] * self.lanes
        return [(a - b) / (now - then) for a, b in zip(steps, before, strict=True)]

    def rows(self, names: Sequence[str]) -> list[dict[str, str]]:
        """A row of text for each lane: name, status, progress, losses, accuracy, speed, time left, reason."""
        speeds = self.speeds()
        return [self._row(lane, name, speeds[lane]) for lane, name in enumerate(names)]

    def _row(self, lane: int, name: str, speed: float) -> dict[str, str]:
        runs = self.of_lane(lane)
        going = [run for run in runs if not run.ended]
        left = sum(run.goal - run.done for run in going)
        per_second = speed if not any(run.in_seconds for run in runs) else math.nan
        until = left / per_second if going and per_second > 0 else math.nan
        return {
            "name": name,
            "status": status_words(runs),
            "progress": whole_percent(sum(run.share for run in runs) / len(runs)) if runs else MISSING,
            "train_loss": number(mean(runs, "train_loss")),
            "validation_loss": number(mean(runs, "validation_loss")),
            "accuracy": accuracy_words(runs),
            "speed": f"{number(speed)}/s" if going and speed > 0 else MISSING,
            "left": rounded(until) if going and not math.isnan(until) else MISSING,
            "reason": reasons([run.reason for run in runs if run.ended and run.status != "done"]),
        }


def reasons(said: Sequence[str]) -> str:
    """The first, and how many more; runs of a lane mostly end for the same reason, in other numbers."""
    different = list(dict.fromkeys(said))
    more = f" ({plural(len(said) - 1, 'more run')} alike)" if len(different) > 1 else ""
    return f"{different[0]}{more}" if different else ""


def rounded(seconds: float) -> str:
    """A time that people wait for: whole seconds, one at least."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else duration(whole)


def mean(runs: Sequence[Progress], metric: str) -> float:
    """Of the latest values of the runs that did not go wrong; NaN where there is none."""
    values = [run.latest[metric] for run in runs if metric in run.latest and run.status != "diverged"]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def accuracy_words(runs: Sequence[Progress]) -> str:
    value = mean(runs, "validation_accuracy")
    value = mean(runs, "train_accuracy") if math.isnan(value) else value
    return MISSING if math.isnan(value) else f"{value:.1%}"


def status_words(runs: Sequence[Progress]) -> str:
    """`3 training`, `2 done, 1 diverged`, `waiting`."""
    counts = Counter(run.status for run in runs)
    if len(counts) == 1 and len(runs) > 1:
        status, count = next(iter(counts.items()))
        return f"all {count} {status}"
    if len(runs) == 1:
        return runs[0].status
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def whole_percent(share: float) -> str:
    """`42%`; 100% at the end and not before."""
    return f"{min(round(100 * share), 100 if share >= 1 else 99)}%"


def whole_words(tally: Tally, going: bool = True) -> str:
    """How far the whole is: `42%, 3 of 9 runs ended, about 12 s left`. going: whether it goes on to its end."""
    ended = sum(run.ended for run in tally.runs)
    left = tally.time_left()
    said = [whole_percent(tally.share), f"{ended} of {plural(len(tally.runs), 'run')} ended"]
    if going and not math.isnan(left) and ended < len(tally.runs):
        said.append(f"about {rounded(left)} left")
    return ", ".join(said)
