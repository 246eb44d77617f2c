"""The documentation: nothing that users or authors of plugins rely on is left out, and what it shows runs."""

from __future__ import annotations

import doctest
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import kit
from kit.hookcalls import record_types
from kit.registry import Registry

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_undocumented(reference: ModuleType) -> None:
    assert reference.undocumented() == []


def test_what_is_undocumented_is_found(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Bare:
        """Says nothing of its field."""

        silent: int = 0
        beside: int = 0  # a comment
        # A comment
        # of two lines
        above: int = 0

    assert [words for *_, words in reference.fields_of(Bare)] == ["", "a comment", "A comment of two lines"]
    monkeypatch.setattr(reference, "RECORDS", (Bare,))
    assert reference.undocumented() == ["Bare.silent"]


def test_the_pages_build_without_a_warning_and_ask_for_nothing_outside(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "hooks.html").read_text(encoding="utf-8")
    assert all(name in page for name in record_types())
    fetched = r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\""
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 8
    assert [found for p in pages for found in re.findall(fetched, p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("hook", sorted(record_types()))
def test_the_example_of_a_hook_is_a_plugin(install, reference: ModuleType, hook: str) -> None:
    install("kit-example", (reference.EXAMPLES / f"{hook}.py").read_text(encoding="utf-8"))
    registry = Registry.load(["kit-example"])
    assert registry.failures == ()
    (offer,) = registry.offers
    assert isinstance(offer.record, record_types()[hook])


def test_the_examples_train(install, reference: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A rule, a schedule, a dataset, a probe and an executor of the examples, together, on the NumPy backend."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "numpy_backend"))
    for hook in ("optimizers", "schedules", "datasets", "probes", "executors"):
        source = (reference.EXAMPLES / f"kit_{hook}.py").read_text(encoding="utf-8")
        install(f"kit-example-{hook}", source)
    experiment = kit.Experiment(
        dataset=kit.dataset("exclusive_or", samples=64),
        model="linear",
        optimizer=kit.optimizer("sign_descent", learning_rate=0.01),
        schedule=kit.schedule("halving", every=5),
        probes=["largest_parameter"],
        backend="numpy",
        dtype="float64",
        batch_size=8,
        budget=10,
        evaluate_every=1,
        standardise=False,
    )
    run = experiment.run(store=tmp_path, executor="lightest_first", progress=False)
    assert (run.status, run.cost.steps) == ("done", 10), run.reason
    moved = abs(run.parameters()["bias"]).max()
    assert moved <= 5 * 0.01 + 5 * 0.005 + 1e-12  # a sign step moves by the rate, which was halved after five
    assert run.curve("largest_parameter").iloc[-1] == pytest.approx(
        max(abs(value).max() for value in run.parameters().values())
    )


def test_the_cookbook_runs(tmp_path: Path) -> None:
    backend = next((name for name in Registry.load().names("backend") if name in ("torch", "tensorflow")), None)
    if backend is None:
        pytest.skip("no framework is installed")
    names = {"BACKEND": backend, "STORE": str(tmp_path / "runs"), "FOLDER": tmp_path}
    outcome = doctest.testfile(str(DOCS / "cookbook.md"), module_relative=False, globs=names)
    assert outcome.attempted > 20
    assert outcome.failed == 0
