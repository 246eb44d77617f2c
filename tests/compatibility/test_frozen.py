"""A plugin written for descentkit 0.1 works with today's host, and with one whose hooks and records have grown."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from kit import hookcalls, hookspecs, records
from kit.hookcalls import record_types
from kit.pool import Pool
from kit.registry import Registry
from kit.testing.cases import cases_of, plugins_of
from kit.testing.conduct import results_of

FROZEN = Path(__file__).with_name("kit_frozen.py")
DIGEST = "cbedd63e9a88f8281b909eac2b3343562ad9e7793aadbb8e8cea221b8d07318a"
OFFERED = {
    "backend": ["frozen"], "model": ["frozen_model"], "loss": ["frozen_loss"],
    "optimizer": ["frozen_rule", "frozen_twin"], "device": ["cpu"], "dataset": ["frozen_data"],
    "schedule": ["frozen_halving"], "probe": ["frozen_largest"], "executor": ["frozen_alone"],
}  # fmt: skip
# What a record must be given, now and as long as 0.x lasts; whatever it gains has a default.
REQUIRED = {
    "Hyperparameter": {"name", "default"}, "BackendSpec": {"name", "engine"}, "ModelSpec": {"name", "build"},
    "LossSpec": {"name", "build"}, "OptimizerSpec": {"name"}, "DeviceSpec": {"name", "find"},
    "DatasetSpec": {"name", "load"}, "ScheduleSpec": {"name", "build"}, "ProbeSpec": {"name", "build"},
    "ExecutorSpec": {"name", "build"},
}  # fmt: skip


@pytest.fixture
def frozen(install: Any) -> str:
    return str(install("kit-frozen", FROZEN.read_text(encoding="utf-8"), requires=("descentkit>=0.1,<0.2",)))


def offered(registry: Registry) -> dict[str, list[str]]:
    kinds = {kind: registry.kind(kind) for kind in OFFERED}
    return {k: [o.record.name for o in found if o.distribution == "kit-frozen"] for k, found in kinds.items()}


def test_it_is_frozen() -> None:
    """A change here would prove nothing about the plugins that others wrote: mend the host instead."""
    assert hashlib.sha256(FROZEN.read_bytes()).hexdigest() == DIGEST


def test_every_hook_is_in_it(frozen: str) -> None:
    registry = Registry.load([frozen])
    assert registry.failures == ()
    assert offered(registry) == OFFERED
    assert set(OFFERED) == {record.kind for record in record_types().values()}


def test_it_trains(frozen: str, tmp_path: Path) -> None:
    run = kit.Experiment(
        dataset="frozen_data",
        model="frozen_model",
        loss="frozen_loss",
        optimizer=kit.optimizer("frozen_rule", learning_rate=0.1),
        schedule="frozen_halving",
        probes=("frozen_largest",),
        backend="frozen",
        budget=kit.Budget(steps=60),
        batch_size=16,
    ).run(store=tmp_path / "runs", progress=False, executor="frozen_alone")
    assert run.status == "done", run.reason
    curve = run.curve("train_loss")
    assert curve.iloc[-1] < 0.5 * curve.iloc[0]
    assert np.isfinite(run.curve("largest_gradient")).all()


def test_it_passes_today_s_checks(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_BLOCK", "torch,tensorflow,jax")
    registry, pool = Registry.load(), Pool()
    try:
        results = results_of(cases_of(registry, plugins_of(frozen)), registry, pool=pool)
    finally:
        pool.close()
    assert [result.said() for result in results if result.status == "failed"] == []
    assert sum(result.status == "passed" for result in results) > 80


def test_it_goes_on_when_hooks_gain_arguments(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later host hands hooks something; an implementation that does not ask for it gets nothing."""

    @hookspecs.hookspec
    def kit_models(host_version: str, devices: tuple[str, ...]) -> Iterable[records.ModelSpec]:
        return ()

    monkeypatch.setattr(hookspecs, "kit_models", kit_models)
    monkeypatch.setattr(hookcalls, "ARGUMENTS", {"host_version": "0.2", "devices": ("cpu",)})
    registry = Registry.load([frozen])
    assert registry.failures == ()
    assert offered(registry) == OFFERED


def test_an_argument_that_a_hook_has_gained_arrives(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @hookspecs.hookspec
    def kit_schedules(host_version: str) -> Iterable[records.ScheduleSpec]:
        return ()

    monkeypatch.setattr(hookspecs, "kit_schedules", kit_schedules)
    monkeypatch.setattr(hookcalls, "ARGUMENTS", {"host_version": "0.2"})
    source = """
    import kit
    from kit.records import ScheduleSpec

    @kit.hookimpl
    def kit_schedules(host_version):
        yield ScheduleSpec(name="for-" + host_version, build="a:b")
    """
    install("kit-new", source)
    registry = Registry.load(["kit-new"])
    assert registry.failures == ()
    assert [offer.record.name for offer in registry.schedules] == ["for-0.2"]


def test_it_goes_on_when_records_gain_fields(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (*record_types().values(), records.Hyperparameter):
        grown = dataclasses.make_dataclass(
            kind.__name__, [("colour", str, "grey")], bases=(kind,), frozen=True, kw_only=True
        )
        monkeypatch.setattr(records, kind.__name__, grown)
    registry = Registry.load([frozen])
    assert registry.failures == ()
    assert offered(registry) == OFFERED
    assert {offer.record.colour for offer in registry.models} == {"grey"}


@pytest.mark.parametrize("name", REQUIRED)
def test_what_a_record_requires_stays(name: str) -> None:
    fields = [field for field in dataclasses.fields(getattr(records, name)) if field.init]
    nothing = dataclasses.MISSING
    required = {f.name for f in fields if f.default is nothing and f.default_factory is nothing}
    assert required == REQUIRED[name]
    assert all(field.kw_only for field in fields)
