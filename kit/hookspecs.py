"""The hooks that a plugin may implement: nine, without arguments, each yielding records.

Every hook is called once, when a `kit.registry.Registry` is made; nothing per step goes through a hook. Mark an
implementation with `@kit.hookimpl`. A plugin is a module or object behind an entry point of the group
`kit.plugins`; it must be importable without its framework.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from kit.records import (
    BackendSpec,
    DatasetSpec,
    DeviceSpec,
    ExecutorSpec,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    ProbeSpec,
    ScheduleSpec,
)

PROJECT = "kit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def kit_backends() -> Iterable[BackendSpec]:
    """Frameworks that compute: yield one `BackendSpec` for each, naming its engine."""
    return ()


@hookspec
def kit_models() -> Iterable[ModelSpec]:
    """Models: yield one `ModelSpec` per model and backend, with the same `family` across backends."""
    return ()


@hookspec
def kit_losses() -> Iterable[LossSpec]:
    """Losses: yield one `LossSpec` per loss and backend; a loss gives one number per sample."""
    return ()


@hookspec
def kit_optimizers() -> Iterable[OptimizerSpec]:
    """Optimizers: yield one `OptimizerSpec` for each, with a rule (every backend) or a native class (one backend)."""
    return ()


@hookspec
def kit_devices() -> Iterable[DeviceSpec]:
    """Devices: yield one `DeviceSpec` per kind of device and backend, whether or not one is present."""
    return ()


@hookspec
def kit_datasets() -> Iterable[DatasetSpec]:
    """Datasets: yield one `DatasetSpec` for each; it is loaded only when an experiment uses it."""
    return ()


@hookspec
def kit_schedules() -> Iterable[ScheduleSpec]:
    """Learning-rate schedules: yield one `ScheduleSpec` for each."""
    return ()


@hookspec
def kit_probes() -> Iterable[ProbeSpec]:
    """Probes: yield one `ProbeSpec` for each thing that can be read from a run while it trains."""
    return ()


@hookspec
def kit_executors() -> Iterable[ExecutorSpec]:
    """Executors: yield one `ExecutorSpec` for each place where stacks can run."""
    return ()
