"""What a check looks at: a record, whose it is, and the process that it is looked at in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kit.records import Component, resolve
from kit.testing.checks import NotApplicable

if TYPE_CHECKING:
    from kit.engine import Arrays, Engine
    from kit.registry import Offer, Registry
    from kit.testing.bench import Bench


@dataclass(frozen=True, eq=False)
class Subject:
    """A component in one process. `backend` and `engine` are None in a process without a framework.

    partners: the backends of the comparison where the record is compared across them, its own included.
    """

    registry: Registry
    offer: Offer[Component]
    backend: str | None
    engine: Engine | None
    partners: tuple[str, ...] = ()
    kept: dict[str, Any] = field(default_factory=dict)  # what one check made and the next may use

    @property
    def record(self) -> Any:
        """The record: a `ModelSpec` for the checks of models, and so on."""
        return self.offer.record

    @cached_property
    def bench(self) -> Bench:
        """Where an optimizer is tried: a stack that trains, in NumPy or in the backend."""
        from kit.testing.bench import bench_for

        return bench_for(self)

    @cached_property
    def arrays(self) -> Arrays:
        """The backend's arrays. Raises `NotApplicable` where its record names none."""
        reference = self.registry.find("backend", str(self.backend)).arrays
        if not reference:
            raise NotApplicable(f"the record of the backend '{self.backend}' names no `arrays`")
        module, _, attribute = str(reference).partition(":")
        found: Arrays = resolve(f"{module}:{attribute}") if attribute else _module(module)
        return found

    def missing(self) -> tuple[str, ...]:
        """The packages that the record requires and that are not installed."""
        from kit.packages import missing

        return missing(self.record)


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(name)
