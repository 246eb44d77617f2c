"""The host's own plugin."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from kit import builtin
from kit.records import resolve

HOOKS = [name for name in dir(builtin) if name.startswith("kit_")]
RECORDS = [record for hook in HOOKS for record in getattr(builtin, hook)()]


def test_what_the_issue_names_is_there():
    names = {(record.kind, record.name) for record in RECORDS}
    for name in ("digits", "iris", "wine", "breast_cancer", "diabetes", "blobs", "moons", "spirals", "noisy_quadratic"):
        assert ("dataset", name) in names
    for name in ("sinusoid", "mnist5000", "kjv", "characters", "none"):
        assert ("dataset", name) in names
    for name in ("constant", "step", "exponential", "polynomial", "cosine", "one_cycle", "warmup_stable_decay"):
        assert ("schedule", name) in names
    for name in ("gradient_norm", "update_ratio", "parameter_norm", "trajectory"):
        assert ("probe", name) in names
    assert {("executor", "inline"), ("executor", "processes")} <= names
    assert {("optimizer", name) for name in ("gd", "sgd", "minibatch", "adam")} <= names


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r.kind} {r.name}")
def test_references_resolve_and_take_the_options(record):
    """A record's options are exactly what its function or class takes, with the same defaults."""
    reference = getattr(record, {"dataset": "load", "optimizer": "rule"}.get(record.kind, "build"))
    found = resolve(reference)
    assert record.help
    if record.kind in ("dataset", "schedule"):
        function = inspect.unwrap(found)
        taken = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY}
        options = {h.name: h.default for h in record.hyperparameters if not h.name.startswith("warmup_")}
        assert set(taken) == set(options)
        if record.kind == "schedule":
            assert taken == options


def test_listing_is_light():
    code = (
        "import sys; from kit import builtin\n"
        "[list(getattr(builtin, h)()) for h in dir(builtin) if h.startswith('kit_') and h != 'kit_optimizers']\n"
        "sys.exit(bool({'numpy', 'pandas', 'sklearn', 'scipy', 'torch', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
