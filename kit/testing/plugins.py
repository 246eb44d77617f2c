"""Checks of a plugin as a whole: how it loads, what loading it costs, that it says what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kit.entry_points import HOST, EntryPoint
from kit.testing.alone import Look, looked_at
from kit.testing.checks import NotApplicable, Violation, check

if TYPE_CHECKING:
    from kit.registry import Registry


@dataclass(frozen=True, eq=False)
class PluginSubject:
    """A plugin: its entry point, and the registry that it was loaded into."""

    registry: Registry
    point: EntryPoint

    @cached_property
    def look(self) -> Look:
        """What a fresh process saw of it."""
        return looked_at(self.point.name, self.point.distribution)

    @cached_property
    def frameworks(self) -> set[str]:
        """The packages that any record here requires, and that belong inside the functions that use them."""
        return {package.partition(".")[0] for offer in self.registry.offers for package in offer.record.requires}

    def failures(self, *stages: str) -> list[str]:
        return [reason for stage, reason in self.look.failures if stage in stages]


def _require_none(failures: list[str], expected: str) -> None:
    if failures:
        raise Violation(expected=expected, got=" ".join(failures))


@check("plugin", places=("host",))
def entry_point_loads(plugin: PluginSubject) -> None:
    """Its entry point names a module that can be imported, beside this version of the host.

    Mend: `[project.entry-points."kit.plugins"]` in pyproject.toml: a name, and the module with the hooks.
    """
    _require_none(plugin.failures("metadata", "requirement", "import", "selection"), "an entry point that loads")


@check("plugin", places=("host",))
def import_is_light(plugin: PluginSubject) -> None:
    """Importing it loads no framework, nor anything else that a record requires, and prints nothing.

    Mend: import the framework inside the functions that use it, or in a module that a record names by reference.
    """
    heavy = sorted(set(plugin.look.brought) & plugin.frameworks)
    if heavy:
        raise Violation(expected="an import without any framework", got=f"an import of {', '.join(heavy)}")
    _require_none(plugin.failures("output", "process"), "an import that keeps to itself")


@check("plugin", places=("host",))
def hooks_are_known_and_marked(plugin: PluginSubject) -> None:
    """Its hooks are those of `kit.hookspecs`, marked with `@kit.hookimpl`, without arguments, yielding valid records.

    Mend: the reason says which hook or record, and why.
    """
    _require_none(plugin.failures("hook"), "hooks that are taken whole")
    if not plugin.look.records[0]:
        raise Violation(expected="at least one record", got="none")


@check("plugin", places=("host",))
def names_are_its_own(plugin: PluginSubject) -> None:
    """No other plugin that is installed offers a record of the same kind, name and backend.

    Mend: another name, or `KIT_BLOCK` for the one that you do not want; `family` says that two are the same thing.
    """
    mine = f"{plugin.point.distribution}:"
    clashes = [
        f"{kind} '{name}': {' and '.join(qualified)}"
        for kind, name, qualified in plugin.registry.ambiguous()
        if any(each.startswith(mine) for each in qualified)
    ]
    _require_none(clashes, "names that mean one thing")


@check("plugin", places=("host",))
def says_which_host_it_needs(plugin: PluginSubject) -> None:
    """Its distribution requires the host, in a range of versions that ends: the next one may differ.

    Mend: `dependencies = ["descentkit>=0.1,<0.2"]` in pyproject.toml.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    if plugin.point.distribution == HOST:
        raise NotApplicable("it is the host's own")
    if not plugin.point.requirements:
        raise Violation(expected=f"a requirement on {HOST}", got="none")
    for text in plugin.point.requirements:
        try:
            operators = {specifier.operator for specifier in Requirement(text).specifier}
        except InvalidRequirement as error:
            raise Violation(expected="a requirement that can be read", got=f"'{text}': {error}") from error
        if not operators & {"<", "<=", "==", "===", "~="}:
            raise Violation(expected=f"an upper bound on {HOST}", got=f"'{text}'")


@check("plugin", places=("host",))
def survives_a_missing_framework(plugin: PluginSubject) -> None:
    """Where no framework is installed it loads all the same, and yields the same records.

    Mend: name what needs a framework as "module:attribute"; do not look for the framework while hooks are called.
    """
    without = looked_at(plugin.point.name, plugin.point.distribution, blocked=plugin.frameworks)
    _require_none([reason for stage, reason in without.failures if stage == "import"], "an import without frameworks")
    _require_same_records(plugin.look.records[0], without.records[0], "the same records without any framework")


@check("plugin", places=("host",))
def is_repeatable(plugin: PluginSubject) -> None:
    """Its hooks yield the same records, in the same order, each time and in every process.

    Mend: no sets, no random names, no generator that is used up; records made anew in each call.
    """
    first, second = plugin.look.records
    _require_same_records(first, second, "the same records when hooks are called again")
    other = looked_at(plugin.point.name, plugin.point.distribution, seed=2)
    _require_same_records(first, other.records[0], "the same records in another process")


def _require_same_records(one: tuple[str, ...], other: tuple[str, ...], expected: str) -> None:
    if one != other:
        lost = [text for text in one if text not in other] or [text for text in other if text not in one]
        got = f"'{lost[0]:.120}' in one of them only" if lost else "another order"
        raise Violation(expected=expected, got=got)
