"""Calling a plugin's hooks one by one: each is taken whole or not at all, and a fault in one spares the rest.

A hook that raises halfway through its generator, or yields one record that is not valid, offers nothing: with
half a list, what an experiment finds would depend on where its author's mistake stood.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import typing
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pluggy

from kit import hookspecs
from kit.entry_points import EntryPoint
from kit.errors import PluginError, unknown
from kit.ledger import Ledger, said
from kit.records import Component
from kit.supervision import TooSlowError, supervised

# What the host hands to hooks, by name: an implementation gets those that it names. Hooks may gain arguments, and none
# that they have is taken away, so that an implementation written today goes on working. So far there are none.
ARGUMENTS: dict[str, Any] = {}
MOST_RECORDS = 10_000  # of one hook: a generator that never ends must not hang the host


@cache
def record_types() -> dict[str, type[Component]]:
    """Each hook and the record that it yields, as `kit.hookspecs` says: {"kit_models": ModelSpec, …}."""
    return {
        name: typing.get_args(typing.get_type_hints(function)["return"])[0]
        for name, function in vars(hookspecs).items()
        if name.startswith(f"{hookspecs.PROJECT}_")
    }


def collect(plugin: object, point: EntryPoint, ledger: Ledger) -> tuple[Component, ...]:
    """The records of every hook that the plugin implements; what fails goes into the ledger."""
    records: list[Component] = []
    implementations = list(_implementations(plugin, point, ledger))
    for attribute, hook in implementations:
        with ledger.holding_back_output(point, f"in {attribute}"):
            try:
                with supervised(point, ledger, f"in {attribute}"):
                    yielded = _call(plugin, attribute, hook)
                _check(yielded, record_types()[hook], records)
            except (Exception, SystemExit, TooSlowError) as error:
                ledger.add(point, "hook", _why(plugin, attribute, hook, error), error)
            else:
                records += yielded
    if not implementations:
        reason = f"It implements no hook. Choices: {', '.join(record_types())}."
        ledger.add(point, "hook", reason)
    return tuple(records)


def _implementations(plugin: object, point: EntryPoint, ledger: Ledger) -> Iterator[tuple[str, str]]:
    """(attribute, hook) of each implementation; misspelled and unmarked ones go into the ledger."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    for attribute in dir(plugin):
        try:
            options: Any = manager.parse_hookimpl_opts(plugin, attribute)
        except Exception:  # a property or descriptor that raises is no hook
            continue
        if options is None:
            fault = _unmarked(plugin, attribute)
            hook = attribute
        else:
            hook = options.get("specname") or attribute
            fault = _misused(hook, options)
        if fault:
            ledger.add(point, "hook", fault)
        elif options is not None and hook in record_types():
            yield attribute, hook


def _unmarked(plugin: object, attribute: str) -> str:
    """The fault of a function that is named like a hook and lacks the mark; empty for anything else."""
    function = inspect.getattr_static(plugin, attribute, None)
    if not attribute.startswith(f"{hookspecs.PROJECT}_") or not inspect.isfunction(function):
        return ""
    if attribute in record_types():
        return f"{attribute} is not marked with @kit.hookimpl, so it is no hook."
    close = difflib.get_close_matches(attribute, record_types(), n=1, cutoff=0.75)
    if not close:
        return ""  # a helper of the plugin's own
    return f"There is no hook named '{attribute}'. Did you mean '{close[0]}', marked with @kit.hookimpl?"


def _misused(hook: str, options: Any) -> str:
    """The fault of a marked function that can never be called; empty where there is none."""
    if hook not in record_types():
        return "" if options.get("optionalhook") else str(unknown("hook", hook, record_types()))
    if options.get("wrapper") or options.get("hookwrapper"):
        return f"{hook} is marked as a wrapper, but hooks are called alone: there is nothing to wrap."
    return ""


class _OneHook(pluggy.PluginManager):
    """Sees a single implementation, so that pluggy checks and calls it alone."""

    def __init__(self, attribute: str) -> None:
        super().__init__(hookspecs.PROJECT)
        self._attribute = attribute
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name == self._attribute else None


def _call(plugin: object, attribute: str, hook: str) -> list[Any]:
    """What one implementation yields, to its end."""
    manager = _OneHook(attribute)
    manager.register(plugin, attribute)
    caller = getattr(manager.hook, hook)
    results = caller(**{name: ARGUMENTS[name] for name in caller.spec.argnames})
    if not results:
        raise PluginError("it returned None, but must yield records")
    result = results[0]
    if isinstance(result, Component | str) or not isinstance(result, Iterable):
        raise PluginError(f"it returned one {type(result).__name__}, but must yield records")
    pairs = [(item, _copied(item)) for item in itertools.islice(result, MOST_RECORDS + 1)]
    if len(pairs) > MOST_RECORDS:
        raise PluginError(f"it yielded more than {MOST_RECORDS:,} records and was stopped")
    for item, copied in pairs:
        if item != copied:
            raise PluginError(f"it changed the {copied.kind} '{copied.name}' after it had yielded it")
    return [copied for _, copied in pairs]


def _copied(item: Any) -> Any:
    """A record as it is now, checked once more: what its plugin does to it afterwards is the plugin's own affair."""
    if not isinstance(item, Component):
        return item
    return replace(item, hyperparameters=tuple(replace(h) for h in item.hyperparameters))


def _check(yielded: list[Any], expected: type[Component], before: list[Component]) -> None:
    """Raise `PluginError` for what is not the hook's kind of record, and for a name that stands twice."""
    for item in yielded:
        if not isinstance(item, expected):
            what = f"{type(item).__name__} {item.name!r}" if isinstance(item, Component) else f"{item!r:.60}"
            raise PluginError(f"it yielded {what}, but must yield {expected.__name__} records only")
    names = Counter((item.name, item.backend) for item in before + yielded if isinstance(item, expected))
    for (name, backend), count in names.items():
        if count > 1:
            where = f" for {backend}" if backend else ""
            raise PluginError(f"it yielded {count} {expected.kind} records named '{name}'{where}")


def _why(plugin: object, attribute: str, hook: str, error: BaseException) -> str:
    nothing = f"Nothing that {attribute} yields was taken"
    if isinstance(error, PluginError | TooSlowError):
        return f"{nothing}: {str(error).rstrip('.')}."
    if isinstance(error, pluggy.PluginValidationError):
        signature = inspect.signature(getattr(plugin, attribute))
        known = inspect.signature(getattr(hookspecs, hook)).parameters
        taken = f"arguments {', '.join(known)}" if known else "no arguments"
        return f"{nothing}: it reads {attribute}{signature}, but the hook {hook} takes {taken}."
    return f"{nothing}: it raised {said(error)}."
