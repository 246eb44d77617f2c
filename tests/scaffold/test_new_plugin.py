"""`kit new plugin`: what it writes installs, appears, trains, passes the checks as it stands; what it refuses."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.cli import main
from kit.errors import InvalidValueError, UnknownNameError
from kit.pool import Pool
from kit.registry import Registry
from kit.scaffold import KINDS, new_plugin
from kit.testing.cases import cases_of, plugins_of
from kit.testing.conduct import results_of
from kit.testing.report import Result

MADE = [(kind, backend) for kind, about in KINDS.items() for backend in about.backends or (None,)]


def name_of(kind: str, backend: str | None) -> str:
    return f"made-{kind}-{backend}" if backend else f"made-{kind}"


NAMES = [name_of(kind, backend) for kind, backend in MADE]


def lines_of_code(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    tree = ast.parse(source)
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    docstrings = {n for text in texts for n in range(text.lineno, (text.end_lineno or text.lineno) + 1)}
    numbered = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in docstrings for n, line in numbered)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every kind of plugin, made and installed by pip into one folder, without a network."""
    root = tmp_path_factory.mktemp("made")
    site = root / "site"
    folders = []
    for kind, backend in MADE:
        name = name_of(kind, backend)
        folders.append(str(new_plugin(name, root / name, kind=kind, backend=backend).folder))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(site), *folders], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return os.environ | {"PYTHONPATH": str(site), "KIT_STORE": str(root / "runs")}


def run(environment: dict[str, str], *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_each_appears_in_the_listing(environment: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(run(environment, "-m", "kit", "plugins", "--json", folder=tmp_path).stdout)
    assert listed["failures"] == []
    found = {plugin["name"]: plugin["offers"] for plugin in listed["plugins"]}
    for kind, backend in MADE:
        name = name_of(kind, backend)
        offered = [record["name"] for records in found[name].values() for record in records]
        assert offered == [name]


@pytest.fixture(scope="module")
def results(environment: dict[str, str]) -> Iterator[dict[str, list[Result]]]:
    """The results of all checks of all kinds, in the same three workers."""
    pool, site = Pool(), environment["PYTHONPATH"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("PYTHONPATH", site)
        registry = Registry.load()
        cases = {name: cases_of(registry, plugins_of(f"descentkit-{name}")) for name in NAMES}
        found = iter(results_of([case for each in cases.values() for case in each], registry, pool=pool))
        yield {name: [next(found) for _ in each] for name, each in cases.items()}
    pool.close()
    for name in [name for name in sys.modules if name.startswith("descentkit_made")]:
        del sys.modules[name]


@pytest.mark.parametrize(("kind", "backend"), MADE)
def test_each_passes_the_checks_as_it_stands(results: dict[str, list[Result]], kind: str, backend: str | None) -> None:
    found = results[name_of(kind, backend)]
    assert [result.said() for result in found if result.status in ("failed", "expected failure")] == []
    places = {result.backend for result in found if result.status == "passed"}
    assert places >= {"host"} | ({backend} if backend else set())
    assert sum(result.status == "passed" for result in found) >= 12


def test_a_rule_is_compared_with_adam_in_both_frameworks(environment: dict[str, str], tmp_path: Path) -> None:
    options = ("--optimizer", "adam,made-rule", "--steps", "20", "--replicates", "1", "--json")
    done = run(environment, "-m", "kit", "compare", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"made-rule"') >= 2


def test_the_test_file_of_a_rule_passes(environment: dict[str, str], tmp_path: Path) -> None:
    new_plugin("made-rule-again", tmp_path / "again")
    source = (tmp_path / "again" / "tests" / "test_plugin.py").read_text()
    file = tmp_path / "test_plugin.py"
    file.write_text(
        source.replace("made-rule-again", "made-rule")
        .replace("made_rule_again", "made_rule")
        .replace("MadeRuleAgain", "MadeRule")
    )
    done = run(
        environment | {"KIT_BLOCK": "tensorflow"},
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(file),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert " failed" not in done.stdout


def test_the_rule_is_short_and_the_project_complete(tmp_path: Path) -> None:
    project = new_plugin("lion2", tmp_path / "lion2")
    assert project.files == (
        ".github/workflows/check.yml", ".gitignore", "README.md", "descentkit_lion2.py", "pyproject.toml",
        "tests/test_plugin.py",
    )  # fmt: skip
    assert lines_of_code((tmp_path / "lion2" / "descentkit_lion2.py").read_text()) <= 15
    described = tomllib.loads((tmp_path / "lion2" / "pyproject.toml").read_text())["project"]
    assert described["name"] == "descentkit-lion2"
    assert described["dependencies"] == ["descentkit>=0.1,<0.2"]
    assert described["entry-points"]["kit.plugins"] == {"lion2": "descentkit_lion2"}


@pytest.mark.parametrize(("kind", "backend"), MADE)
def test_no_word_is_left_open(tmp_path: Path, kind: str, backend: str | None) -> None:
    project = new_plugin("sharp-descent", tmp_path / "here", kind=kind, backend=backend)
    for name in project.files:
        text = (project.folder / name).read_text()
        assert "{{" not in text.replace("${{ matrix.python }}", ""), name
        if name.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize(
    "name", ["Lion", "2lion", "lion two", "lion.two", "-lion", "lion-", "lambda", "", "löwe", "a/b"]
)
def test_a_name_that_cannot_be_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidValueError, match="is not valid; it must be"):
        new_plugin(name, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"'lion' is there already \(descentkit:lion\)"):
        new_plugin("lion", tmp_path / "here")
    assert new_plugin("lion", tmp_path / "here", kind="model").folder.exists()  # no model is called so


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    new_plugin("lion2", tmp_path / "here")  # an empty folder will do
    (tmp_path / "here" / "README.md").write_text("mine")
    with pytest.raises(InvalidValueError, match="is there already and not empty"):
        new_plugin("lion2", tmp_path / "here")
    assert (tmp_path / "here" / "README.md").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValueError):
        new_plugin("lion2", tmp_path / "file")


def test_kinds_and_backends_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'rule'"):
        new_plugin("lion2", tmp_path / "here", kind="rules")
    with pytest.raises(UnknownNameError, match="Choices: tensorflow, torch"):
        new_plugin("lion2", tmp_path / "here", kind="native", backend="jax")
    with pytest.raises(InvalidValueError, match="works with every backend"):
        new_plugin("lion2", tmp_path / "here", backend="torch")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "plugin", "lion2"]) == 0
    said = capsys.readouterr().out
    assert "kit check descentkit-lion2" in said
    assert "kit compare --optimizer adam,lion2" in said
    assert main(["new", "plugin", "lion2"]) == 2
    assert "nothing was written" in capsys.readouterr().err
