"""What a run is called: its resolved specification laid flat.

    {"optimizer": {"name": "adam", "options": {"learning_rate": 0.001, …}}, "model": {"name": "mlp", "options": …}, …}
    → optimizer="adam", learning_rate=0.001, model="mlp", model__hidden=(32,), …

The names are those that `Experiment.vary` takes: a field, `component__option`, or a hyperparameter of the optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

COMPONENTS = ("dataset", "model", "loss", "optimizer", "schedule")
# Every frame has these columns, in this order; then whatever else varies.
ALWAYS = (
    "dataset", "model", "loss", "optimizer", "learning_rate", "schedule",
    "batch_size", "backend", "device", "dtype", "seed", "replicate",
)  # fmt: skip
PAIRED = ("seed", "replicate")  # what the random draws depend on: runs alike in these share them, and are paired
_UNLABELLED = ("format", "task", "probes")
_PLAIN = (int, float, bool, type(None))  # what nearly every label is: asked first, of ten thousand runs
_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}  # as strict JSON writes them


def labels_of(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Every choice of a run by name; values are hashable."""
    found: dict[str, Any] = dict.fromkeys(ALWAYS)
    for field, value in specification.items():
        if field in _UNLABELLED:
            continue
        if field in COMPONENTS and isinstance(value, Mapping):
            found[field] = value.get("name")
            for option, setting in value.get("options", {}).items():
                bare = field == "optimizer" and option not in specification
                found[option if bare else f"{field}__{option}"] = _hashable(setting)
        elif field == "budget" and isinstance(value, Mapping):
            found[field] = ", ".join(f"{amount:g} {unit}" for unit, amount in value.items())
        else:
            found[field] = _hashable(value)
    return found


def _hashable(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return _NUMBERS.get(value, value)
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, Mapping):
        return tuple((str(key), _hashable(item)) for key, item in sorted(value.items()))
    return value if isinstance(value, Hashable) else str(value)


def owner(label: str, labels: Mapping[str, Any]) -> str:
    """The component whose option a label is: adam's `beta_1` says nothing of gradient descent."""
    component = label.partition("__")[0]
    if component in COMPONENTS:
        return "" if label == component else f"{component} {labels.get(component)}"
    return "" if label in ALWAYS and label != "learning_rate" else f"optimizer {labels.get('optimizer')}"


def columns_of(all_labels: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels to show: those that always stand there, and whatever else differs between runs that both have it."""
    extra: dict[str, dict[str, set[Any]]] = {}
    for labels in all_labels:
        for name, value in labels.items():
            if name not in ALWAYS:
                extra.setdefault(name, {}).setdefault(owner(name, labels), set()).add(value)
    return [*ALWAYS, *(name for name, groups in extra.items() if any(len(values) > 1 for values in groups.values()))]


def is_of_method(label: str) -> bool:
    """Whether a label belongs to the method (how one optimizes) rather than to what it is tried on."""
    component, _, option = label.partition("__")
    if component in ("optimizer", "schedule"):
        return True
    context = (*_CONTEXT, *PAIRED)
    return label not in context and not (option and component in COMPONENTS)


_CONTEXT = (
    "dataset", "model", "loss", "backend", "device", "dtype", "budget", "validation_fraction", "standardise",
    "evaluate_every", "strategy", "initial",
)  # fmt: skip
