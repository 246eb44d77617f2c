"""The distributions as wheels, and environments with neither, one or both of the frameworks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = {
    "descentkit": ROOT,
    "descentkit-torch": ROOT / "plugins" / "torch",
    "descentkit-tensorflow": ROOT / "plugins" / "tensorflow",
    "descentkit-jax": ROOT / "plugins" / "jax",
}
# What a framework brings along, as names begin in site-packages.
BRINGS = {
    "torch": ("torch", "functorch", "triton"),
    "tensorflow": ("tensorflow", "keras", "_tf", "tensorboard-", "tensorboard_"),
}
Environment = Callable[..., "Interpreter"]


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead Python back into the checkout."""
    strangers = ("PYTHONPATH", "PYTHONHOME", "KIT_PLUGINS", "KIT_BLOCK")
    return {name: value for name, value in os.environ.items() if name not in strangers}


class Interpreter:
    """A Python with chosen packages, run in a folder that holds no source of ours."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder = python, folder

    def __call__(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def out(self, *arguments: str) -> str:
        """What it prints; fails with what it complained of."""
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def tracked() -> list[str]:
    """The files that a commit would hold: those that git tracks, or all that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each distribution's wheel, built from a copy of the sources, without the network."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    folders = [str(copy / folder.relative_to(ROOT)) for folder in DISTRIBUTIONS.values()]
    done = subprocess.run([*pip, "--wheel-dir", str(out), *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: next(out.glob(f"{name.replace('-', '_')}-[0-9]*.whl")) for name in DISTRIBUTIONS}


@pytest.fixture
def environment(tmp_path: Path, wheels: dict[str, Path]) -> Environment:
    """`environment("torch")`: a virtual environment with our wheels and PyTorch, without TensorFlow.

    The packages we depend on are linked, not installed again; what a framework brings is left out unless it is named.
    """

    def make(*frameworks: str) -> Interpreter:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
        python = tmp_path / "venv" / "bin" / "python"
        target = next((tmp_path / "venv").glob("lib/python*/site-packages"))
        left_out = tuple(part for name, parts in BRINGS.items() if name not in frameworks for part in parts)
        for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
            ours = entry.name.lower().startswith(("descentkit", "_editable", "__editable", "kit_", "__pycache__"))
            if not ours and not entry.name.lower().startswith(left_out):
                (target / entry.name).symlink_to(entry)
        chosen = [wheels["descentkit"], *(wheels[f"descentkit-{name}"] for name in frameworks)]
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install", "--no-deps", "--no-index"]
        done = subprocess.run([*pip, *map(str, chosen)], env=clean_environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return Interpreter(python, tmp_path)

    return make


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def committed() -> list[str]:
    return tracked()
