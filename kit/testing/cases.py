"""Which checks a distribution's plugins and records undergo, and where: planned from the records alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kit.entry_points import EntryPoint, canonical, find
from kit.errors import unknown
from kit.ledger import Ledger
from kit.packages import missing
from kit.testing.every import CHECKS

if TYPE_CHECKING:
    from kit.records import Component
    from kit.registry import Offer, Registry
    from kit.testing.checks import Check

ACROSS = "across"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One check of one thing in one place.

    target: the plugin's name, or the record's qualified one. backend: of the worker; None: a process without one.
    traces: (backend, qualified name) of all that are compared, where the check is across backends.
    skip: why it does not apply, where that is known beforehand.
    """

    check: str
    distribution: str
    kind: str  # "plugin", or the kind of the record
    target: str
    name: str  # short
    backend: str | None = None
    traces: tuple[tuple[str, str], ...] = ()
    skip: str = ""

    @property
    def component(self) -> str:
        """In words: `optimizer lion2`."""
        return f"{self.kind} {self.name}"

    @property
    def place(self) -> str:
        """Where it is looked at: a backend's name, "host" or "across"."""
        return ACROSS if self.traces else self.backend or "host"

    @property
    def again(self) -> str:
        """The line that runs it again."""
        names = {"check": self.check, "component": self.name, "backend": self.place}
        return shlex.join(["kit", "check", self.distribution, *(w for k, v in names.items() for w in (f"--{k}", v))])

    @property
    def id(self) -> str:
        """For pytest: `optimizer.stays_finite-lion2-torch`."""
        return f"{self.check}-{self.name}-{self.place}"


def plugins_of(distribution: str) -> list[EntryPoint]:
    """The entry points of a distribution, named by its own or a plugin's name.

    Raises `UnknownNameError` with the nearest match where none is installed.
    """
    points = find(Ledger())
    names = {canonical(point.distribution) for point in points}
    wanted = canonical(distribution)
    found = [point for point in points if canonical(point.distribution) == wanted]
    found = found or [point for point in points if point.name == distribution]
    if not found:
        raise unknown("distribution with a plugin", distribution, names)
    return found


def cases_of(
    registry: Registry,
    points: Sequence[EntryPoint],
    *,
    check: str | None = None,
    component: str | None = None,
    backend: str | None = None,
) -> list[Case]:
    """Every case of these plugins, in order; with names, only those. Raises `UnknownNameError` for what there is not.

    check: a check's name. component: a plugin's or a record's. backend: where it is looked at: a backend's name, "host"
    (a process without a framework) or "across" (backends side by side).
    """
    if check is not None and check not in CHECKS:
        raise unknown("check", check, CHECKS)
    places = ["host", ACROSS, *registry.names("backend")]
    if backend is not None and backend not in places:
        raise unknown("backend", backend, places)
    distributions = {point.distribution for point in points}
    offers = [offer for offer in registry.offers if offer.distribution in distributions]
    every = [case for point in points for case in _of_plugin(point)]
    every += [case for offer in offers for case in _of_record(offer, registry)]
    if component is not None and all(component not in (case.name, case.target) for case in every):
        raise unknown("component", component, {case.name for case in every})
    return [
        case
        for case in every
        if check in (None, case.check)
        and (component is None or component in (case.name, case.target))
        and backend in (None, case.place)
    ]


def _of_plugin(point: EntryPoint) -> Iterator[Case]:
    for each in CHECKS.values():
        if each.about == "plugin":
            yield Case(
                check=each.name,
                distribution=point.distribution,
                kind="plugin",
                target=point.name,
                name=point.name,
            )


def _of_record(offer: Offer[Component], registry: Registry) -> Iterator[Case]:
    record = offer.record
    base = Case(check="", distribution=offer.distribution, kind=record.kind, target=offer.qualified, name=record.name)
    for each in CHECKS.values():
        if each.about not in ("component", record.kind):
            continue
        case = replace(base, check=each.name)
        reason = each.unless(record)
        if reason:
            yield replace(case, skip=reason, backend=record.backend)
        elif each.places == (ACROSS,):
            yield _across(case, offer, registry)
        else:
            yield from _placed(case, each, record, registry)


def _placed(case: Case, check: Check, record: Component, registry: Registry) -> Iterator[Case]:
    """The case in each place where it can be looked at; one that does not apply where there is none."""
    workers = _backends(record, registry)
    if check.about == "component":
        yield replace(case, backend=None if "backend" not in check.places else _home(record, workers))
        return
    in_host = "host" in check.places and _framework_free(record)
    if in_host:
        yield case
    if "backend" in check.places and workers:
        chosen = workers if record.kind == "optimizer" else workers[:1]
        yield from (replace(case, backend=name) for name in chosen)
    elif not in_host:
        yield replace(case, skip=_no_place(record, registry), backend=record.backend)


def _framework_free(record: Any) -> bool:
    """Whether the record can be tried without a framework: a rule in NumPy, a dataset, a schedule, a probe."""
    return record.backend is None and record.kind != "backend"


def _home(record: Component, workers: Sequence[str]) -> str | None:
    """Where what the record names is imported: its own backend's worker."""
    return workers[0] if workers and (record.backend or record.kind == "backend") else None


def _backends(record: Component, registry: Registry) -> tuple[str, ...]:
    """The backends of this installation that the record works with, the record's own first."""
    if record.kind in ("dataset", "schedule", "executor"):
        return ()
    present = [offer.record.name for offer in registry.backends if not missing(offer.record)]
    own = record.name if record.kind == "backend" else record.backend
    return tuple(name for name in dict.fromkeys(present) if own in (None, name))


def _no_place(record: Component, registry: Registry) -> str:
    own = record.name if record.kind == "backend" else record.backend
    if own is None:
        return "no backend is installed here"
    absent = [p for o in registry.backends if o.record.name == own for p in missing(o.record)]
    return f"the backend '{own}' needs {', '.join(absent)}" if absent else f"there is no backend '{own}' here"


def _across(case: Case, offer: Offer[Component], registry: Registry) -> Case:
    """The comparison with the same record in other backends, or with the other records of its family."""
    record = offer.record
    if record.backend is None:
        traces = [(name, offer.qualified) for name in _backends(record, registry)]
    else:
        family = [o for o in registry.kind(record.kind) if o.record.family == record.family and o is not offer]
        family = [o for o in family if getattr(o.record, "parameters", True)]
        traces = [(str(o.record.backend), o.qualified) for o in (offer, *family) if _backends(o.record, registry)]
    if len(traces) < 2:
        reason = "there is nothing here to compare with: no other backend, or no other record of its family"
        return replace(case, skip=reason, backend=record.backend)
    return replace(case, traces=tuple(traces))
