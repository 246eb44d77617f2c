"""The host's own plugin: what needs no framework. It enters through the public hooks, like everybody's.

Its rules run in every backend; its datasets, schedules, probes and executors are framework-free.
"""

from __future__ import annotations

from collections.abc import Iterator

from kit.builtin import datasets, probes, schedules
from kit.hookspecs import hookimpl
from kit.records import DatasetSpec, ExecutorSpec, OptimizerSpec, ProbeSpec, ScheduleSpec


@hookimpl
def kit_optimizers() -> Iterator[OptimizerSpec]:
    from kit.rules import ALL

    for rule in ALL:
        yield rule.record()


@hookimpl
def kit_datasets() -> Iterator[DatasetSpec]:
    yield from datasets.RECORDS


@hookimpl
def kit_schedules() -> Iterator[ScheduleSpec]:
    yield from schedules.RECORDS


@hookimpl
def kit_probes() -> Iterator[ProbeSpec]:
    yield from probes.RECORDS


@hookimpl
def kit_executors() -> Iterator[ExecutorSpec]:
    yield ExecutorSpec(
        name="processes",
        build="kit.processes:Processes",
        help="Warm worker processes, one per backend and share of the cores.",
    )
    yield ExecutorSpec(
        name="inline", build="kit.executors:Inline", help="In this very process, for debugging; one backend only."
    )
