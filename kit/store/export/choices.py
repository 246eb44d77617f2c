"""What was chosen in a run, as flat names and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kit.outcome import Outcome

_COMPONENTS = ("dataset", "model", "loss", "optimizer", "schedule")
_PLAIN = ("batch_size", "backend", "device", "dtype", "seed", "replicate")


def columns(outcome: Outcome) -> dict[str, Any]:
    """What a table shows beside each row of a run."""
    specification = outcome.specification
    found: dict[str, Any] = {"run_id": outcome.run_id, "status": outcome.status}
    for name in _COMPONENTS:
        component = specification.get(name)
        found[name] = component.get("name") if isinstance(component, dict) else component
    found["learning_rate"] = specification.get("optimizer", {}).get("options", {}).get("learning_rate")
    return found | {name: specification.get(name) for name in _PLAIN}


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """A specification's leaves by dotted name: `optimizer.options.learning_rate`. A list is a leaf."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
