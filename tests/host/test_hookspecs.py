"""The page of hooks: documented, without arguments, each known to the registry, each read from a plugin."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from kit import hookspecs, records
from kit.hookcalls import record_types
from kit.registry import Registry

ARGUMENTS = {  # what a record of each kind needs beside its name
    "backends": "engine='a:b'",
    "models": "build='a:b'",
    "losses": "build='a:b'",
    "optimizers": "rule='a:b'",
    "devices": "find='a:b'",
    "datasets": "load='a:b'",
    "schedules": "build='a:b'",
    "probes": "build='a:b'",
    "executors": "build='a:b'",
}
NINE = tuple(ARGUMENTS)


def test_there_are_nine_hooks() -> None:
    marked = [name for name, value in vars(hookspecs).items() if hasattr(value, "kit_spec")]
    assert sorted(marked) == sorted(f"kit_{plural}" for plural in NINE)
    assert sorted(record_types()) == sorted(marked)


@pytest.mark.parametrize("plural", NINE)
def test_a_hook_is_documented_and_takes_nothing(plural: str) -> None:
    hook = getattr(hookspecs, f"kit_{plural}")
    record = record_types()[f"kit_{plural}"]
    assert f"`{record.__name__}`" in (hook.__doc__ or "")  # says what one yields
    assert "yield" in hook.__doc__
    assert not inspect.signature(hook).parameters


@pytest.mark.parametrize("plural", NINE)
def test_a_hook_s_records_reach_the_registry(install, plural: str) -> None:
    record = record_types()[f"kit_{plural}"].__name__
    source = f"""
    from kit.hookspecs import hookimpl
    from kit.records import {record}

    @hookimpl
    def kit_{plural}():
        yield {record}(name="mine", {ARGUMENTS[plural]})
    """
    install("kit-mine", source)
    registry = Registry.load(["kit-mine"])
    assert registry.failures == ()
    (offer,) = getattr(registry, plural)
    assert offer.record.name == "mine"
    assert (offer.distribution, offer.version, offer.plugin) == ("kit-mine", "1.0", "kit_mine")
    assert registry.find(offer.record.kind, "mine") is offer.record


def test_every_record_says_what_it_is() -> None:
    for record in record_types().values():
        assert inspect.getdoc(record)
        assert getattr(records, record.__name__) is record


def test_loading_imports_no_framework(install, tmp_path: Path) -> None:
    code = """
import sys
from kit.registry import Registry
registry = Registry.load()
slow = {"torch", "tensorflow", "keras", "jax", "numpy", "pandas", "matplotlib", "pydantic"}
heavy = slow & set(sys.modules)
assert not heavy, heavy
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
