"""What is installed: every record that every plugin offers, as one value.

A record is found by its short name, or by a qualified one that says whose it is:

    registry = Registry.load()
    registry.find("optimizer", "adam")                       # offered by one plugin: the short name will do
    registry.find("model", "mlp", "torch")                   # the record of that backend
    registry.find("model", "descentkit-torch:torch/mlp")     # distribution:backend/name
    registry.find("optimizer", "descentkit:adam")            # distribution:name, for every backend

A short name that two plugins offer for one backend is an error that names both; neither wins by coming last.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from kit.entry_points import EntryPoint, canonical
from kit.errors import AmbiguousNameError, UnknownNameError, nearest, unknown
from kit.hookcalls import record_types
from kit.ledger import Failure
from kit.loader import Plugin, load
from kit.records import (
    BackendSpec,
    Component,
    DatasetSpec,
    DeviceSpec,
    ExecutorSpec,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    ProbeSpec,
    ScheduleSpec,
)

R = TypeVar("R", bound=Component, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Offer(Generic[R]):
    """A record and whose it is."""

    record: R
    distribution: str
    version: str
    plugin: str

    @property
    def qualified(self) -> str:
        """The name that means this record whatever else is installed: `distribution:backend/name`."""
        backend = f"{self.record.backend}/" if self.record.backend else ""
        return f"{self.distribution}:{backend}{self.record.name}"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Every offer, and the ledger of plugins that failed. A value: make one, hand it on."""

    offers: tuple[Offer[Component], ...]
    plugins: tuple[Plugin, ...] = ()
    failures: tuple[Failure, ...] = ()
    left_out: tuple[EntryPoint, ...] = field(default=())  # by KIT_PLUGINS or KIT_BLOCK

    @classmethod
    def load(cls, names: Collection[str] | None = None) -> Registry:
        """Load the plugins that are installed; no framework is imported and no plugin's fault raises.

        names: only these plugins, by their own or their distribution's name; None: KIT_PLUGINS, or all.
        """
        loaded = load(names)
        return cls(
            offers=tuple(
                Offer(record=record, distribution=p.distribution, version=p.version, plugin=p.name)
                for p in loaded.plugins
                for record in p.records
            ),
            plugins=loaded.plugins,
            failures=loaded.failures,
            left_out=loaded.left_out,
        )

    @property
    def backends(self) -> tuple[Offer[BackendSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(BackendSpec)

    @property
    def models(self) -> tuple[Offer[ModelSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(ModelSpec)

    @property
    def losses(self) -> tuple[Offer[LossSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(LossSpec)

    @property
    def optimizers(self) -> tuple[Offer[OptimizerSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(OptimizerSpec)

    @property
    def devices(self) -> tuple[Offer[DeviceSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(DeviceSpec)

    @property
    def datasets(self) -> tuple[Offer[DatasetSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(DatasetSpec)

    @property
    def schedules(self) -> tuple[Offer[ScheduleSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(ScheduleSpec)

    @property
    def probes(self) -> tuple[Offer[ProbeSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(ProbeSpec)

    @property
    def executors(self) -> tuple[Offer[ExecutorSpec], ...]:
        """Every one that is offered, in the order in which the plugins were loaded."""
        return self._of(ExecutorSpec)

    def _of(self, kind: type[R]) -> tuple[Offer[R], ...]:
        return tuple(offer for offer in self.offers if isinstance(offer.record, kind))  # type: ignore[misc]

    def kind(self, kind: str) -> tuple[Offer[Component], ...]:
        """The offers of one kind: "model", "optimizer", … Raises `UnknownNameError` for any other kind."""
        kinds = {record.kind: record for record in record_types().values()}
        if kind not in kinds:
            raise unknown("kind of record", kind, kinds)
        return self._of(kinds[kind])

    def names(self, kind: str, backend: str | None = None) -> list[str]:
        """The short names of a kind, in order; with a backend, of the records that work with it."""
        return sorted({o.record.name for o in self.kind(kind) if backend is None or _fits(o, backend)})

    def find(self, kind: str, name: str, backend: str | None = None) -> Any:
        """The one record of this kind and name that works with the backend.

        name: short, or qualified as `distribution:backend/name`. backend: None where there is none to fit; a
        record for every backend is then found, or else the only one there is.
        Raises `UnknownNameError` with the nearest match and every choice, saying so where the name exists for
        another backend or plugins failed to load; `AmbiguousNameError` where two records answer, naming both.
        """
        named = [offer for offer in self.kind(kind) if _answers(offer, name)]
        fitting = [offer for offer in named if backend is None or _fits(offer, backend)]
        if backend is None:
            fitting = [offer for offer in fitting if offer.record.backend is None] or fitting
        if len(fitting) == 1:
            return fitting[0].record
        if fitting:
            raise AmbiguousNameError(_ambiguous(kind, name, fitting))
        if named and backend is not None:
            raise UnknownNameError(self._other_backend(kind, name, backend, named))
        raise UnknownNameError(f"{unknown(kind, name, self._choices(kind, name, backend))}{self._hint()}")

    def ambiguous(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """The short names that no longer say what is meant: (kind, name, qualified names), for a listing."""
        clashes = []
        for kind in (record.kind for record in record_types().values()):
            for name in self.names(kind):
                same = [offer for offer in self.kind(kind) if offer.record.name == name]
                if any(_overlap(a, b) for i, a in enumerate(same) for b in same[:i]):
                    clashes.append((kind, name, tuple(offer.qualified for offer in same)))
        return tuple(clashes)

    def _choices(self, kind: str, name: str, backend: str | None) -> Collection[str]:
        if ":" in name:
            return [offer.qualified for offer in self.kind(kind) if backend is None or _fits(offer, backend)]
        return self.names(kind, backend)

    def _other_backend(self, kind: str, name: str, backend: str, named: list[Offer[Component]]) -> str:
        backends = self.names("backend")
        if backend not in backends:
            return f"{unknown('backend', backend, backends)}{self._hint()}"
        others = " and ".join(sorted({str(offer.record.backend) for offer in named}))
        choices = ", ".join(nearest(name, self.names(kind, backend))) or "none"
        return (
            f"The {kind} '{name}' is offered for {others} only, not for {backend}. "
            f"Choices for {backend}: {choices}.{self._hint()}"
        )

    def _hint(self) -> str:
        """A sentence on plugins that are not there, since what they offer is missing from the choices."""
        failed = sorted({failure.plugin for failure in self.failures if not failure.note})
        left_out = sorted({point.name for point in self.left_out})
        hint = ""
        if failed:
            hint += f" Not everything loaded ({', '.join(failed)}): `kit plugins --errors` says why."
        if left_out:
            hint += f" Left out by KIT_PLUGINS or KIT_BLOCK: {', '.join(left_out)}."
        return hint


def _answers(offer: Offer[Component], name: str) -> bool:
    """Whether a short or qualified name means this record."""
    distribution, colon, rest = name.rpartition(":")
    if colon and canonical(distribution) != canonical(offer.distribution):
        return False
    backend, slash, short = rest.rpartition("/")
    if short != offer.record.name:
        return False
    # A qualified name says the backend, where there is one; a short name leaves it to the request.
    return not (colon or slash) or backend == (offer.record.backend or "")


def _fits(offer: Offer[Component], backend: str) -> bool:
    return offer.record.backend in (None, backend)


def _overlap(first: Offer[Component], second: Offer[Component]) -> bool:
    backends = {first.record.backend, second.record.backend}
    return len(backends) == 1 or None in backends


def _ambiguous(kind: str, name: str, fitting: list[Offer[Component]]) -> str:
    qualified = [f"'{offer.qualified}'" for offer in fitting]
    if len(set(qualified)) == 1:
        plugins = " and ".join(f"'{offer.plugin}'" for offer in fitting)
        return (
            f"The plugins {plugins} of {fitting[0].distribution} both offer the {kind} {qualified[0]}; "
            f"leave one out, e.g. KIT_BLOCK={fitting[-1].plugin}."
        )
    meant = " or ".join(qualified)
    if any(_overlap(a, b) for i, a in enumerate(fitting) for b in fitting[:i]):
        return f"{len(fitting)} plugins offer the {kind} '{name}'. Say which is meant: {meant}."
    return f"The {kind} '{name}' is offered for several backends. Say which is meant: {meant}."
