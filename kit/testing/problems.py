"""The small problems that checks train: data of every kind, and the smallest model that fits them in a backend.

Nothing here knows a model by its name: among those that are installed, the one with the fewest parameters that has an
array of the rank wanted is taken, in a family that every backend of the comparison offers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.records import resolve
from kit.resolve import DEFAULT_LOSS
from kit.testing.checks import NotApplicable

if TYPE_CHECKING:
    from kit.data import Data
    from kit.engine import InputSpec, ParameterSpec
    from kit.records import LossSpec, ModelSpec
    from kit.registry import Offer, Registry

ROWS, FEATURES, OUTPUTS, SIDE, CONTEXT, TOKENS = 24, 6, 3, 6, 5, 7


@cache
def data_for(task: str, form: str = "flat", *, still: bool = False) -> Data:
    """Random data of a task. form: "flat" (6 features), "image" (6×6, one channel) or "text" (5 of 7 tokens).

    still: all inputs are zero, so that the gradient of whatever multiplies them is exactly zero.
    """
    import numpy as np

    from kit.data import Data

    source = np.random.default_rng(7)
    if task == "objective":
        return Data(x=np.zeros((1, 1)), y=np.zeros(1), task="objective")
    if task == "language":
        x = source.integers(TOKENS, size=(ROWS, CONTEXT))
        return Data(x=x, y=np.roll(x, -1, axis=1), task="language", tokens=TOKENS)
    values: Any = source.normal(size=(ROWS, SIDE, SIDE, 1) if form == "image" else (ROWS, FEATURES))
    if still:
        values = 0 * values
    if task == "regression":
        return Data(x=values, y=source.normal(size=(ROWS, OUTPUTS)), task="regression")
    classes = 2 if task == "binary" else OUTPUTS
    y = np.arange(ROWS) % classes
    return Data(x=values, y=y, task="classification", classes=tuple(map(str, range(classes))))


def forms(task: str) -> tuple[str, ...]:
    return ("flat", "image") if task in ("classification", "regression", "binary") else ("flat",)


def inputs_of(data: Data) -> InputSpec:
    from kit.engine import InputSpec

    return InputSpec(shape=tuple(data.x.shape[1:]), outputs=data.outputs, task=data.task, tokens=data.tokens)


def canonical_parameters(record: ModelSpec, data: Data) -> tuple[ParameterSpec, ...] | None:
    """A model's canonical parameters on some data, at its defaults; None where it does not take them or names none."""
    if not record.parameters:
        return None
    try:
        found: tuple[ParameterSpec, ...] = resolve(record.parameters)(inputs_of(data), **record.defaults())
    except KitError:
        return None
    return found


@dataclass(frozen=True, eq=False)
class Setting:
    """A problem that every backend of a comparison can train: the names that mean it in each, and its data."""

    models: dict[str, Offer[Any]]  # backend -> its offer of the family
    losses: dict[str, Offer[Any]]
    task: str
    form: str

    def data(self, *, still: bool = False) -> Data:
        return data_for(self.task, self.form, still=still)


def smallest(registry: Registry, backends: Sequence[str], *, rank: int) -> Setting:
    """The smallest problem, regression before classification, whose model has a parameter of this rank.

    Raises `NotApplicable` where no family of models is offered by all of the backends.
    """
    candidates = [
        (size, Setting(models, _losses(registry, backends, task), task, form))
        for task in ("regression", "classification")
        for size, models, form in _families(registry, backends, task, rank)
        if _losses(registry, backends, task)
    ]
    if not candidates:
        raise NotApplicable(
            f"{' and '.join(backends)} offer no model with canonical parameters of which one has {rank} axes"
        )
    return min(candidates, key=lambda pair: pair[0])[1]


def _families(
    registry: Registry, backends: Sequence[str], task: str, rank: int
) -> Iterator[tuple[tuple[int, str], dict[str, Offer[Any]], str]]:
    for family in sorted({offer.record.family for offer in registry.models}):
        models = {b: _first(registry.models, family, b, task) for b in backends}
        if not all(models.values()):
            continue
        for form in forms(task):
            listed = [canonical_parameters(offer.record, data_for(task, form)) for offer in models.values() if offer]
            first = listed[0]
            if all(parameters is not None for parameters in listed) and first:
                if any(len(p.shape) == rank for p in first):
                    size = sum(math.prod(p.shape) for p in first)
                    yield (size, family), {b: offer for b, offer in models.items() if offer}, form
                break


def _losses(registry: Registry, backends: Sequence[str], task: str) -> dict[str, Offer[Any]]:
    """The default loss of a task in every backend, or else the first that all of them offer; {} where there is none."""
    families = sorted({offer.record.family for offer in registry.losses})
    for family in (DEFAULT_LOSS[task], *families):
        found = {b: _first(registry.losses, family, b, task) for b in backends}
        if all(found.values()):
            return {b: offer for b, offer in found.items() if offer}
    return {}


def _first(
    offers: Sequence[Offer[ModelSpec]] | Sequence[Offer[LossSpec]], family: str, backend: str, task: str
) -> Offer[Any] | None:
    fitting = (o for o in offers if o.record.family == family and o.record.backend == backend)
    return next((o for o in fitting if task in o.record.tasks), None)


def usual_data(record: ModelSpec) -> Data:
    """The first data that a model takes. Raises `NotApplicable` where it takes none of those that there are."""
    for task in record.tasks:
        for form in forms(task):
            data = data_for(task, form)
            if record.parameters is None or canonical_parameters(record, data) is not None:
                return data
    raise NotApplicable(f"it takes none of the data that the checks have for {', '.join(record.tasks)}")
