"""What is committed works elsewhere: no addresses of registries, no paths of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOREIGN = {
    "a registry's address": re.compile(
        r"pypi\.(?:python\.)?org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs|conda\.anaconda"
        r"|deb\.debian\.org|--(?:extra-)?index-url\s*[=\s]\s*\S|--find-links\s*[=\s]\s*\S"
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work/(?:main|shared)|opt/(?:pypi|wheels)|etc/xdg)(?:/|\b)|[A-Z]:\\Users"
    ),
}


def foreign(text: str) -> list[str]:
    """What in a text works on one machine alone, as phrases with the line."""
    return [
        f"line {number}: {what}: {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FOREIGN.items()
        if pattern.search(line)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "pip install x --index" + "-url https://example.invalid/simple",
        "see https://pypi" + ".org/project/x",
        "open('/roo" + "t/x')",
        "cd /wor" + "k/main",
        "'/hom" + "e/anna/data.csv'",
        "torch @ https://download.pytorch" + ".org/whl/x.whl",
    ],
)
def test_the_scan_finds(line: str) -> None:
    assert foreign(line)


@pytest.mark.parametrize("line", ["p / root of v", "root/leaf", "pip install -e . -c constraints.txt", "a/home/b"])
def test_the_scan_passes(line: str) -> None:
    assert not foreign(line)


def test_no_committed_file_works_on_one_machine_alone(root: Path, committed: list[str]) -> None:
    found = []
    for name in committed:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{name}, {said}" for said in foreign(text)]
    assert found == []


def test_constraints_are_exact_pins_without_addresses(root: Path) -> None:
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    assert all(not pin.url and not pin.extras and not pin.marker for pin in pins)
    assert all([operator.operator for operator in pin.specifier] == ["=="] for pin in pins)
    assert not [line for line in lines if "+" in line]  # a local label (torch's "+cpu") would shut out other builds
    assert not [pin.name for pin in pins if pin.name.startswith("descentkit")]


def test_the_installed_versions_are_the_pinned_ones(root: Path) -> None:
    """The suite says something about the versions that `make test` installs, not about others."""
    from importlib.metadata import PackageNotFoundError, version

    for line in (root / "constraints.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        try:
            installed = version(pin.name)
        except PackageNotFoundError:
            continue
        assert pin.specifier.contains(installed, prereleases=True), f"{pin.name}: {installed} is installed, not {pin}"
