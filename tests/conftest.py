"""What tests of every area share, and which files belong to the process of which framework.

A process loads one framework at most. A file under `tests/torch/` or with `pytestmark = pytest.mark.torch` belongs to
torch, likewise for tensorflow and jax; every other file is the host's, whose process loads none (a test may start
worker processes that do), but those under `tests/browser/`, which have a session of their own. `--framework=torch` runs
the files of one process; `tests/suite.py` runs all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., str]

FRAMEWORKS = ("torch", "tensorflow", "jax")
BROWSER = "browser"  # a session like the host's, whose tests start a JupyterLab and a browser
HERE = Path(__file__).parent
LOADED = pytest.StashKey[int]()  # how many of them this process had loaded when it was last looked at


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--framework", choices=("host", BROWSER, *FRAMEWORKS), help="run only the files of this process")


def framework_of(file: Path) -> str:
    """Which process a test file belongs to: that of a framework, "browser" or "host"."""
    folder = file.relative_to(HERE).parts[0]
    if folder in (BROWSER, *FRAMEWORKS):
        return folder
    marked = re.findall(
        rf"^pytestmark\b.*\bmark\.({'|'.join(FRAMEWORKS)})\b", file.read_text(encoding="utf-8"), re.MULTILINE
    )
    return str(marked[0]) if len(marked) == 1 else "host"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = config.getoption("--framework")
    if wanted and collection_path.suffix == ".py" and collection_path.is_relative_to(HERE):
        return framework_of(collection_path) != wanted or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        framework = framework_of(item.path) if item.path.is_relative_to(HERE) else "host"
        if framework in FRAMEWORKS:
            item.add_marker(framework)
    if "slow" not in config.getoption("markexpr"):  # they take minutes; `make slow`, or -m slow, runs them
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    refuse_mixture(config, pytest.UsageError)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    refuse_mixture(item.config, pytest.fail.Exception)


def refuse_mixture(config: pytest.Config, error: type[BaseException]) -> None:
    """Raise where this process has loaded a framework that it should not have."""
    loaded = [name for name in FRAMEWORKS if name in sys.modules]
    known = config.stash.setdefault(LOADED, 0)
    config.stash[LOADED] = len(loaded)
    allowed = 0 if config.getoption("--framework") in ("host", BROWSER) else 1
    if len(loaded) > max(known, allowed):  # the one that loaded it is to blame, not those that come after
        raise error(
            f"This process has loaded {' and '.join(loaded)}; the host's loads none and no process loads two. "
            "Run `python tests/suite.py`, or give --framework."
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands first on the path, here and in child processes; forgotten after."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("KIT_PLUGINS", raising=False)
    monkeypatch.delenv("KIT_BLOCK", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """Install a fake plugin: `install("kit-extra", "code of its module")`; returns the distribution's name.

    entry_points: lines `name = target`; by default the module, under its own name. requires: Requires-Dist.
    """

    def build(
        distribution: str,
        source: str | None = "",
        *,
        version: str = "1.0",
        entry_points: str | None = None,
        requires: tuple[str, ...] = (),
    ) -> str:
        module = distribution.replace("-", "_")
        if source is not None:
            (site / f"{module}.py").write_text(textwrap.dedent(source))
        folder = site / f"{module}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        declared = entry_points if entry_points is not None else f"{module} = {module}"
        (folder / "entry_points.txt").write_text(f"[kit.plugins]\n{textwrap.dedent(declared)}\n")
        return distribution

    return build


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def make_read_only() -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only for everyone, root included, by mounting it over itself."""
    mounted: list[Path] = []

    def make(folder: Path) -> None:
        done = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("mounting a file system needs root")
        mounted.append(folder)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def make_immutable() -> Iterator[Callable[[Path, bool], None]]:
    """Makes a folder read-only in the middle of writing, as a file system that was remounted after an error is: not
    even files that are open can be written."""
    touched: set[Path] = set()

    def make(folder: Path, immutable: bool) -> None:
        touched.add(folder)
        subprocess.run(["chattr", "-R", "+i" if immutable else "-i", str(folder)], capture_output=True, check=True)

    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe"
        try:
            with open(probe, "ab", buffering=0) as file:
                make(Path(folder), True)
                file.write(b"x")
        except PermissionError:
            pass
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("chattr +i needs root and a file system that knows it")
        else:
            pytest.skip("this file system lets open files be written after chattr +i")
        finally:
            subprocess.run(["chattr", "-R", "-i", folder], capture_output=True, check=False)
    yield make
    for folder in touched:
        subprocess.run(["chattr", "-R", "-i", str(folder)], capture_output=True, check=False)
