"""Our wheels with neither framework, with one of them, and what an import brings along."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FRAMEWORKS = ["torch", "tensorflow", "keras", "jax"]
Environment = Callable[..., Any]


def test_import_kit_is_light() -> None:
    code = "import kit, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "kit" in loaded
    assert not loaded & {*FRAMEWORKS, "numpy", "pandas", "pydantic", "matplotlib", "scipy", "sklearn"}


def test_the_host_imports_where_no_framework_can_be(environment: Environment) -> None:
    """Every module of the host, with an import hook that refuses the frameworks."""
    code = f"""
import importlib, pkgutil, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FRAMEWORKS!r}:
            raise AssertionError(f"the host imported {{name}}")
sys.meta_path.insert(0, Refuse())
import kit
count = 0
for module in pkgutil.walk_packages(kit.__path__, "kit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
print(count)
"""
    assert int(environment().out("-c", code)) > 30


def test_neither_framework(environment: Environment) -> None:
    neither = environment()
    assert "start.ipynb" in neither.out("-m", "kit", "start", "mine", "--no-open", "--json")  # from the wheel
    assert "kit_torch" not in neither.out("-m", "kit", "plugins", "--json")
    done = neither("-m", "kit", "compare", "--steps", "5")
    assert done.returncode == 2
    assert "descentkit-torch" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_one_framework_alone_trains_and_neither_reads_what_it_stored(
    environment: Environment, framework: str, tmp_path: Path
) -> None:
    alone = environment(framework)
    arguments = ["--dataset", "iris", "--steps", "20", "--replicates", "2", "--store", "runs", "--out", "out"]
    said = json.loads(alone.out("-m", "kit", "compare", *arguments, "--optimizer", "gd,adam", "--json"))
    assert said
    code = """
import sys, kit
results = kit.open_store("runs")
assert len(results.summary) == 4, results.summary
assert set(results.summary["status"]) == {"done"}
print(results.table())
results.plot_curves()
results.report("again.html")
assert not {"torch", "tensorflow", "keras", "jax"} & set(sys.modules)
"""
    alone.out("-c", code)
    for name in ("again.html", "out/report.html", "out/curves.png", "out/curves.parquet", "out/study.json"):
        assert (tmp_path / name).stat().st_size > 0
