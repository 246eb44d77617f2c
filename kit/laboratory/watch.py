"""What a study says while it trains, taken in for the lab: points for the curves, states for the table."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kit.laboratory.stream import Metrics, Stream
from kit.laboratory.tally import Progress, Tally


class Watch:
    """A `kit.progress.Progress`. It only takes in; what is shown is read from `stream` and `tally` by another thread.

    places: run_id -> the (lane, replicate)s that it is. Two lanes with equal settings are one run, shown twice.
    """

    def __init__(self, places: Mapping[str, Sequence[tuple[int, int]]], lanes: int, metrics: Metrics) -> None:
        self.places = places
        self.stream, self.tally = Stream(metrics), Tally(lanes)
        self.notes: list[str] = []
        self.training = False  # whether a point has come
        self.lock = threading.Lock()
        self._numbers: dict[str, list[int]] = {}

    def expect(self, specifications: Mapping[str, dict[str, Any]]) -> None:
        """Know of every run before the first begins. specifications: by run_id."""
        order = sorted((place, run_id) for run_id, places in self.places.items() for place in places)
        for (lane, replicate), run_id in order:
            specification = specifications[run_id]
            budget = specification["budget"]
            self._numbers.setdefault(run_id, []).append(len(self.tally.runs))
            self.tally.runs.append(
                Progress(
                    lane=lane,
                    replicate=replicate,
                    batch=specification["batch_size"],
                    goal=float(budget.get("steps") or budget["seconds"]),
                    in_seconds="seconds" in budget,
                )
            )

    def begin(self, runs: list[tuple[str, dict[str, Any]]], found: int) -> None: ...

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        with self.lock:
            self.tally.begin()
            for number in self._numbers.get(run_id, ()):
                self.tally.runs[number].hear(record)
                self._draw(number, record)

    def _draw(self, number: int, record: dict[str, Any]) -> None:
        if record["kind"] == "points":
            self.training = True
            before, after = record["seconds"]
            for metric, values in record["metrics"].items():
                self.stream.add(number, metric, record["first"], values, (before, after))
        elif record["kind"] == "evaluation":
            at = record["seconds"]
            for metric, value in record["metrics"].items():
                self.stream.add(number, metric, record["step"], [value], (at, at))

    def note(self, sentence: str) -> None:
        with self.lock:
            self.notes.append(sentence)

    def close(self) -> None: ...
