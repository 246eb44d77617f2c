"""The wrapper plugins: what they offer without importing a framework, and the page that says how each did."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.registry import Registry
from tests.natives.plugins import OPTIONAL, ROOT, places

PAGE = ROOT / "docs" / "native-optimizers.md"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for place in places(tmp_path):
        monkeypatch.syspath_prepend(place)
    return Registry.load()


def test_listing_them_imports_neither_torch_nor_what_they_wrap(tmp_path: Path) -> None:
    code = (
        "import sys; from kit.registry import Registry; registry = Registry.load(); "
        "names = registry.names('optimizer', 'torch'); "
        "assert 'pytorch_optimizer.Lion' in names and 'schedulefree.AdamWScheduleFree' in names, names; "
        "assert not registry.failures, registry.failures; "
        "loaded = {'torch', 'pytorch_optimizer', 'schedulefree', 'numpy'} & set(sys.modules); assert not loaded, loaded"
    )
    path = ":".join(places(tmp_path))
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}.split(':'); {code}"], check=True)


def test_a_name_that_is_not_installed_says_what_mends_it(registry: Registry) -> None:
    record = registry.find("optimizer", "pytorch_optimizer.Lion", "torch")
    assert record.requires == ("torch", "pytorch_optimizer")
    assert record.install == "pip install pytorch_optimizer"


def test_the_page_has_a_line_for_every_native_optimizer(registry: Registry) -> None:
    """Run `python -m tests.natives.table` where it does not."""
    lines = re.findall(r"^\| ([a-z_]+\.\w+) \| ([a-z].+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    verdicts = dict(lines)
    assert len(verdicts) == len(lines), "a name stands twice"
    offered = {offer.record.name for offer in registry.optimizers if offer.record.native}
    cannot = {name for name, verdict in verdicts.items() if verdict.startswith("cannot: ")}
    assert offered == set(verdicts) - cannot


def test_the_page_keeps_the_promise() -> None:
    lines = re.findall(r"^\| ([a-z_]+)\.(\w+) \| ([a-z].+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    runs: dict[str, set[str]] = {}
    for package, name, verdict in lines:
        if verdict.startswith(("with defaults", "at ")):
            runs.setdefault(package, set()).add(name)
    failing = {f"{package}.{name}" for package, name, _ in lines} - {
        f"{package}.{name}" for package, names in runs.items() for name in names
    }
    assert len(runs["pytorch_optimizer"]) >= 120
    assert {name for name in failing if name.startswith("torch.")} == {"torch.SparseAdam"}
    assert not {name for name in failing if name.startswith("schedulefree.")}
    assert {name for name in failing if name.startswith("keras.")} == {"keras.Adadelta"}  # hardly moves in 60 steps


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_plugin_asks_for_this_host(name: str) -> None:
    text: Any = (ROOT / "plugins" / name / "pyproject.toml").read_text(encoding="utf-8")
    assert '"descentkit>=0.1,<0.2"' in text
