"""Entry points of the group `kit.plugins`, read from the distributions' metadata before anything is imported.

A plugin is known by its entry point's name *and* its distribution, so that two of one name are both found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import metadata

from kit.errors import nearest
from kit.ledger import Failure, Ledger, said

GROUP = "kit.plugins"
HOST = "descentkit"  # the host's own distribution


@dataclass(frozen=True, kw_only=True)
class EntryPoint:
    """What a distribution's metadata say of a plugin."""

    name: str
    target: str  # "package.module" or "package.module:attribute"
    distribution: str
    version: str
    requirements: tuple[str, ...]  # on the host, e.g. ("descentkit<0.2,>=0.1",)

    def answers_to(self, names: Collection[str]) -> bool:
        """Whether one of the names is this plugin's or its distribution's."""
        return self.name in names or canonical(self.distribution) in {canonical(name) for name in names}


def canonical(distribution: str) -> str:
    """A distribution's name as packaging compares it (PEP 503): `My_Plugin` is `my-plugin`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def find(ledger: Ledger) -> list[EntryPoint]:
    """Every entry point of the group, by distribution and name. Unreadable metadata go into the ledger."""
    found: dict[str, list[EntryPoint]] = {}
    again: list[tuple[str, metadata.Distribution]] = []
    for distribution in metadata.distributions():
        try:
            if GROUP not in (distribution.read_text("entry_points.txt") or ""):
                continue  # parsing every distribution's metadata would cost more than the rest of a listing
            # Of one distribution found twice, the first on the path is the one that Python imports.
            name = canonical(distribution.metadata["Name"])
            if name in found:
                again.append((name, distribution))
            else:
                found[name] = list(_declared(distribution))
        except Exception as error:
            ledger.append(_unreadable(distribution, error))
    for name, distribution in again:
        _note_version(found[name], distribution, ledger)
    return [point for name in sorted(found) for point in _unique(found[name], ledger)]


def _note_version(points: list[EntryPoint], other: metadata.Distribution, ledger: Ledger) -> None:
    """Note that a plugin's distribution is installed in another version too, behind the one that is used."""
    version, folder = other.version or "?", os.path.dirname(str(getattr(other, "_path", "?")))
    for point in points:
        if point.version != version:
            reason = f"Version {version} is installed too, in {folder}: {point.version} stands before it and is used."
            ledger.add(point, "versions", reason)


def _unreadable(distribution: metadata.Distribution, error: Exception) -> Failure:
    folder = str(getattr(distribution, "_path", "?"))
    return Failure(
        plugin="?",
        distribution=os.path.basename(folder),
        version="?",
        stage="metadata",
        reason=f"Its metadata cannot be read: {said(error)}.",
        detail=folder,
    )


def _declared(distribution: metadata.Distribution) -> Iterator[EntryPoint]:
    requirements = tuple(
        requirement
        for requirement in distribution.requires or ()
        if (start := re.match(r"[\w.\-]+", requirement.strip())) and canonical(start[0]) == HOST
    )
    for point in distribution.entry_points:
        if point.group == GROUP:
            yield EntryPoint(
                name=point.name,
                target=point.value,
                distribution=distribution.metadata["Name"],
                version=distribution.version or "?",
                requirements=requirements,
            )


def _unique(points: list[EntryPoint], ledger: Ledger) -> Iterator[EntryPoint]:
    """The entry points of one distribution but for names that stand twice, which nothing could tell apart."""
    for name in sorted({point.name for point in points}):
        same = [point for point in points if point.name == name]
        if len(same) == 1:
            yield same[0]
            continue
        targets = " and ".join(f"'{point.target}'" for point in same)
        reason = f"It declares '{name}' {len(same)} times, for {targets}: none is loaded."
        ledger.add(same[0], "metadata", reason)


def select(
    found: list[EntryPoint], names: Collection[str] | None, ledger: Ledger
) -> tuple[list[EntryPoint], list[EntryPoint]]:
    """The plugins to load and those left out: `names`, or else KIT_PLUGINS, or else all; without KIT_BLOCK.

    A name asked for that nothing answers to goes into the ledger.
    """
    only = _listed("KIT_PLUGINS") if names is None else list(names)
    block = _listed("KIT_BLOCK")
    for name in only:
        if not any(point.answers_to([name]) for point in found):
            installed = ", ".join(nearest(name, [point.name for point in found])) or "none"
            reason = f"No plugin named '{name}' is installed. Installed: {installed}."
            failure = Failure(plugin=name, distribution="?", version="?", stage="selection", reason=reason)
            ledger.append(failure)
    everything = names is None and not only  # an empty KIT_PLUGINS counts as unset; empty `names` is none
    wanted = [p for p in found if (everything or p.answers_to(only)) and not p.answers_to(block)]
    return wanted, [point for point in found if point not in wanted]


def _listed(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def unmet(point: EntryPoint) -> str:
    """Why the plugin's own requirement on the host is not met; empty where it is, or where it has none."""
    if not point.requirements:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        host = metadata.version(HOST)
    except metadata.PackageNotFoundError:
        return ""  # run from a checkout that is not installed: there is no version to hold it against
    for text in point.requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            return f"Its requirement '{text}' cannot be read: {said(error)}."
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and not requirement.specifier.contains(host, prereleases=True):
            return (
                f"It needs {HOST} {requirement.specifier}, and {HOST} {host} is installed: not imported. "
                f"Install a version of {point.distribution} that was made for {HOST} {host}."
            )
    return ""
