"""Kept runs laid over the present ones: their curves as points of a stream, under numbers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kit.laboratory.stream import Metrics, Stream

if TYPE_CHECKING:
    from kit.laboratory.kept import Overlay

FIRST = 10_000  # the number of the first run that is laid over; those of a session are below


def overlaid(lanes: Sequence[Overlay], metrics: Metrics) -> tuple[Stream, dict[str, Any]]:
    """(points, run number -> what the browser is told of it)."""
    stream = Stream(metrics)
    runs: dict[str, Any] = {}
    for lane, overlay in enumerate(lanes):
        for outcome in overlay.runs:
            number = FIRST + len(runs)
            runs[str(number)] = {
                "lane": lane,
                "name": f"{overlay.lane} ({overlay.session})",
                "batch": outcome.specification["batch_size"],
                "kept": overlay.session,
                "status": outcome.status,
            }
            for metric, rows in outcome.curves.groupby("metric", sort=False):
                add(stream, number, str(metric), rows)
    return stream, runs


def add(stream: Stream, number: int, metric: str, rows: Any) -> None:
    """One curve: as one block where its steps follow each other, else point by point."""
    steps, seconds, values = (rows[name].to_numpy() for name in ("step", "seconds", "value"))
    if len(steps) > 1 and steps[-1] - steps[0] == len(steps) - 1:
        stream.add(number, metric, int(steps[0]), values, (float(seconds[0]), float(seconds[-1])))
        return
    for step, at, value in zip(steps.tolist(), seconds.tolist(), values.tolist(), strict=True):
        stream.add(number, metric, int(step), [value], (at, at))
