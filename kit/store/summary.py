"""What is said of a run without reading its curves: the row of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.errors import unknown
from kit.outcome import Cost
from kit.store.encoding import finite
from kit.store.history import History
from kit.store.layout import Signature

_COMPONENTS = ("dataset", "model", "loss", "optimizer", "schedule")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run, without its curves. `final`, `lowest` and `highest` hold a value of each metric."""

    run_id: str
    specification: dict[str, Any]
    status: str | None = None  # kit.outcome.STATUSES, "running", or None: not begun
    reason: str = ""
    cost: Cost = field(default_factory=Cost)
    final: dict[str, float] = field(default_factory=dict)
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    started: float = 0.0  # seconds since 1970; 0: unknown
    record: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    signature: Signature = field(default_factory=list)

    @classmethod
    def of(cls, run_id: str, specification: dict[str, Any], history: History | None) -> RunSummary:
        if history is None:
            return cls(run_id=run_id, specification=specification)
        return cls(
            run_id=run_id,
            specification=specification,
            status=history.status,
            reason=history.reason,
            cost=history.cost,
            final=history.final,
            lowest=history.extremes("fmin"),
            highest=history.extremes("fmax"),
            attempts=history.attempts,
            started=history.started,
            record=history.record,
            ended=history.ended and not history.damaged,
            signature=history.signature,
        )

    def document(self) -> dict[str, Any]:
        """As strict JSON data."""
        document: dict[str, Any] = finite({**vars(self), "cost": vars(self.cost)})
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RunSummary:
        """Raises `TypeError`, `KeyError` or `ValueError` for what is not a summary."""
        facts = dict(document)
        facts["cost"] = Cost(**facts["cost"])
        for part in ("final", "lowest", "highest"):
            facts[part] = {name: float(value) for name, value in facts.get(part, {}).items()}
        return cls(**facts)

    def matches(self, filters: Mapping[str, Any]) -> bool:
        """Whether every filter holds. A filter's value may be a list or a set: any of them.

        Names: `status`, `run_id`, `attempts`; a field of the specification (`backend="torch"`; a component by its name:
        `optimizer="adam"`); a component's option (`model__hidden=[32]`); an option of the optimizer
        (`learning_rate=0.1`).
        """
        for name, wanted in filters.items():
            value = self._value(name)
            allowed = wanted if isinstance(wanted, set | frozenset | tuple | list | range) else (wanted,)
            if value != wanted and not any(value == item for item in allowed):
                return False
        return True

    def _value(self, name: str) -> Any:
        specification = self.specification
        if name in ("status", "run_id", "attempts"):
            return getattr(self, name)
        if name in specification:
            value = specification[name]
            return value.get("name") if name in _COMPONENTS and isinstance(value, dict) else value
        component, _, option = name.partition("__")
        if option and component in _COMPONENTS:
            return specification.get(component, {}).get("options", {}).get(option)
        options = specification.get("optimizer", {}).get("options", {})
        if name in options:
            return options[name]
        return None


def check_filters(filters: Mapping[str, Any], summaries: list[RunSummary]) -> None:
    """Raises `UnknownNameError` for a filter that no run knows."""
    known = {"status", "run_id", "attempts"}
    for summary in summaries:
        known |= set(summary.specification) | set(summary.specification.get("optimizer", {}).get("options", {}))
    for name in filters:
        if name not in known and name.partition("__")[0] not in _COMPONENTS and summaries:
            raise unknown("filter of runs", name, known)
