"""What is installed beside what is needed, from the distributions' metadata; nothing is imported to see."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kit.entry_points import HOST
from kit.records import Component

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True, kw_only=True)
class Unmet:
    """A requirement that is not met. `installed` is the version that is there, or empty."""

    distribution: str  # whose requirement it is
    requirement: str  # e.g. "torch>=2.4"
    package: str
    installed: str

    @property
    def command(self) -> str:
        return pip(self.requirement)


def pip(*arguments: str) -> str:
    """The command line that installs into the interpreter that is running."""
    return shlex.join([sys.executable or "python", "-m", "pip", "install", *arguments])


def versions(distribution: str) -> dict[str, str]:
    """The versions of Python, a distribution and what it needs, where installed."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (distribution, *(requirement.name for requirement in _requirements(distribution))):
        version = _version(name)
        if version:
            found[name] = version
    return found


def unmet(distribution: str) -> list[Unmet]:
    """What a distribution says that it needs here and that is not there, extras left out."""
    found = []
    for requirement in _requirements(distribution):
        version = _version(requirement.name)
        if not version or not requirement.specifier.contains(version, prereleases=True):
            text = str(requirement).partition(";")[0].strip()
            found.append(
                Unmet(distribution=distribution, requirement=text, package=requirement.name, installed=version)
            )
    return found


def missing(record: Component) -> tuple[str, ...]:
    """The packages that a component says it needs and that are not installed."""
    return tuple(name for name in record.requires if util.find_spec(name.partition(".")[0]) is None)


def checkout() -> Path | None:
    """The folder that an editable host was installed from (PEP 610); None for an ordinary installation."""
    try:
        text = metadata.distribution(HOST).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    url = urlsplit(json.loads(text)["url"]) if text else None
    return Path(unquote(url.path)) if url is not None and url.scheme == "file" else None


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _requirements(distribution: str) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        texts = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return  # run from a checkout that is not installed
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement
