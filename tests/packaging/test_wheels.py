"""The distributions: what their wheels hold and say."""

from __future__ import annotations

import email
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PACKAGES = {
    "descentkit": "kit",
    "descentkit-torch": "kit_torch",
    "descentkit-tensorflow": "kit_tensorflow",
    "descentkit-jax": "kit_jax",
}


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(ending))).decode()


def metadata(wheel: Path) -> Message:
    return email.message_from_string(read(wheel, ".dist-info/METADATA"))


@pytest.mark.parametrize(("distribution", "package"), PACKAGES.items())
def test_a_wheel_holds_one_package_and_nothing_else(wheels: dict[str, Path], distribution: str, package: str) -> None:
    top = {name.split("/")[0] for name in names(wheels[distribution])}
    assert {name for name in top if not name.endswith((".dist-info", ".data"))} == {package}


@pytest.mark.parametrize("distribution", PACKAGES)
def test_metadata(wheels: dict[str, Path], distribution: str) -> None:
    said = metadata(wheels[distribution])
    assert said["Name"] == distribution
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Requires-Python"] == ">=3.11"
    assert said["Summary"]
    assert any(name.endswith("/licenses/LICENSE") for name in names(wheels[distribution]))


@pytest.mark.parametrize("distribution", [name for name in PACKAGES if name != "descentkit"])
def test_a_plugin_asks_for_a_host_of_its_own_minor_version(wheels: dict[str, Path], distribution: str) -> None:
    host = Version(metadata(wheels["descentkit"])["Version"])
    requirements = [Requirement(line) for line in metadata(wheels[distribution]).get_all("Requires-Dist", [])]
    [on_host] = [r for r in requirements if r.name == "descentkit"]
    assert str(on_host.specifier) == "<0.2,>=0.1"
    assert host in on_host.specifier
    assert Version("0.2.0") not in on_host.specifier


def test_the_host_names_no_framework_and_no_plugin_of_ours(wheels: dict[str, Path]) -> None:
    """An unpublished plugin in an extra would make pip ask the index for it, and take a stranger's."""
    asked = {Requirement(line).name for line in metadata(wheels["descentkit"]).get_all("Requires-Dist", [])}
    assert not asked & {"torch", "tensorflow", "keras", "jax"}
    assert not {name for name in asked if name.startswith(("descentkit", "kit"))}


@pytest.mark.parametrize("distribution", PACKAGES)
def test_entry_points(wheels: dict[str, Path], distribution: str) -> None:
    said = read(wheels[distribution], "entry_points.txt")
    assert "[kit.plugins]" in said
    assert ("kit = kit.cli:main" in said) == (distribution == "descentkit")


def test_data_files_travel_with_the_code(wheels: dict[str, Path], root: Path) -> None:
    """Whatever lies in kit/ beside the modules (templates, styles, a type marker) is in the wheel."""
    held = set(names(wheels["descentkit"]))
    lying = {
        path.relative_to(root).as_posix()
        for path in (root / "kit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert lying <= held


def test_voila_finds_its_template_where_the_wheel_is_installed(wheels: dict[str, Path], root: Path) -> None:
    """A wheel's `.data/data/` goes to the environment's root, beneath which Jupyter looks."""
    held = {name.partition(".data/data/")[2] for name in names(wheels["descentkit"]) if ".data/data/" in name}
    template = root / "kit" / "laboratory" / "jupyter" / "voila" / "templates" / "kit"
    assert held == {f"share/jupyter/voila/templates/kit/{path.name}" for path in template.iterdir()}
    assert "share/jupyter/voila/templates/kit/index.html.j2" in held


def test_the_guided_notebooks_travel_in_the_wheel(wheels: dict[str, Path], root: Path) -> None:
    held = {name.rsplit("/", 1)[1] for name in names(wheels["descentkit"]) if name.startswith("kit/notebooks/")}
    assert held == {path.name for path in (root / "notebooks").glob("*.ipynb")}
    assert "start.ipynb" in held
