"""Loading plugins, so that one that fails takes nothing down with it.

Stock pluggy loading stops the whole host at the first entry point that fails to import, drops the second of
two entry points of one name, and is silent about a misspelled hook. Here every entry point is loaded alone
and every hook is called alone; what fails goes into a ledger and the others go on:

    loaded = load()                      # obeys KIT_PLUGINS=a,b (only these) and KIT_BLOCK=a,b
    loaded.plugins                       # what each offers
    loaded.failures                      # what went wrong, where, and in whose distribution
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce

from kit import entry_points
from kit.entry_points import EntryPoint
from kit.hookcalls import collect
from kit.ledger import Failure, Ledger, said
from kit.records import BackendSpec, Component
from kit.supervision import TooSlowError, supervised


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin that was imported, and all that its hooks yielded."""

    name: str
    distribution: str
    version: str
    target: str
    records: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was found: plugins, the ledger, and what KIT_PLUGINS or KIT_BLOCK left out."""

    plugins: tuple[Plugin, ...]
    failures: tuple[Failure, ...]
    left_out: tuple[EntryPoint, ...]


def load(names: Collection[str] | None = None) -> Loaded:
    """Find, check and import every plugin, and call its hooks. A plugin's fault raises nothing.

    names: only these plugins, by their own or their distribution's name; None: those of KIT_PLUGINS, or all.
    """
    ledger = Ledger()
    wanted, left_out = entry_points.select(entry_points.find(ledger), names, ledger)
    plugins: list[Plugin] = []
    brought: list[tuple[EntryPoint, set[str]]] = []  # the packages that each plugin was the first to import
    for point in wanted:
        before = set(sys.modules)
        plugin = _load_one(point, ledger)
        brought.append((point, {name for name in sys.modules.keys() - before if "." not in name}))
        if plugin is not None:
            plugins.append(plugin)
    _note_frameworks(plugins, brought, ledger)
    return Loaded(plugins=tuple(plugins), failures=tuple(ledger), left_out=tuple(left_out))


def _load_one(point: EntryPoint, ledger: Ledger) -> Plugin | None:
    fault = entry_points.unmet(point)
    if fault:
        ledger.add(point, "requirement", fault)
        return None
    when = "while it was imported"
    with ledger.holding_back_output(point, when):
        try:
            with supervised(point, ledger, when):
                plugin = _import(point.target)
        except (Exception, SystemExit, TooSlowError) as error:
            ledger.add(point, "import", _why_not_imported(point, error), error)
            return None
    return Plugin(
        name=point.name,
        distribution=point.distribution,
        version=point.version,
        target=point.target,
        records=collect(plugin, point, ledger),
    )


def _import(target: str) -> object:
    module, _, attributes = target.partition(":")
    return reduce(getattr, filter(None, attributes.split(".")), importlib.import_module(module.strip()))


def _why_not_imported(point: EntryPoint, error: BaseException) -> str:
    module = point.target.partition(":")[0].strip()
    if isinstance(error, ModuleNotFoundError) and error.name:
        if module == error.name or module.startswith(error.name + "."):
            return f"Its entry point names '{point.target}', but there is no module '{error.name}'."
        return f"It needs the package '{error.name}', which is not installed here."
    if isinstance(error, SystemExit):
        return f"It called sys.exit({error.code!r}) while it was imported."
    if isinstance(error, TooSlowError):
        return str(error)
    if isinstance(error, FileNotFoundError) and _raised_in(error) == "subprocess":
        return f"It needs the program '{error.filename}', which is not found here."
    return f"Importing it raised {said(error)}."


def _raised_in(error: BaseException) -> str:
    """The module whose code raised an error."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return "" if frames is None else str(frames.tb_frame.f_globals.get("__name__", ""))


def _note_frameworks(plugins: list[Plugin], brought: list[tuple[EntryPoint, set[str]]], ledger: Ledger) -> None:
    """Note plugins that load what a backend needs: slow, and two frameworks in one process can crash."""
    backends = [record for plugin in plugins for record in plugin.records if isinstance(record, BackendSpec)]
    frameworks = {package for backend in backends for package in backend.requires}
    for point, packages in brought:
        for framework in sorted(packages & frameworks):
            reason = f"Loading it imported '{framework}', which belongs inside the functions that use it."
            ledger.add(point, "framework", reason)
