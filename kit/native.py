"""In the worker: a framework's own optimizer, with its arguments, its needs, and what it is told of the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kit.choice import frozen
from kit.engine import Native
from kit.errors import InvalidValueError
from kit.needs import PLAIN, Needs
from kit.records import resolve

if TYPE_CHECKING:
    from kit.data import Prepared
    from kit.registry import Registry
    from kit.task import StackTask


def made(build: Any, needs: Needs, task: StackTask, data: Prepared) -> Native:
    """The optimizer of a stack. build: the class, or a function that makes one.

    Raises `InvalidValueError` where it must know beforehand what a budget in seconds does not say.
    """
    specs = [trial.specification for trial in task.trials]
    facts = facts_of(task, data)
    for fact in sorted(set(needs.facts.values()) - {"model"} - set(facts)):
        raise InvalidValueError(
            f"optimizer '{specs[0]['optimizer']['name']}' must know the {fact.replace('_', ' ')} beforehand; "
            f"it cannot be planned over a budget of {specs[0]['budget']['seconds']} seconds: give steps or epochs."
        )
    options = [spec["optimizer"]["options"] for spec in specs]
    return Native(
        build=build,
        options=tuple({k: frozen(v) for k, v in given.items() if k != "learning_rate"} for given in options),
        rates=tuple(float(given["learning_rate"]) for given in options),
        needs=needs,
        facts=facts,
    )


def needs_of(build: Any, registry: Registry, backend: str) -> Needs:
    """The needs of a class of the user's: what it says itself, or what a plugin says of it under a name."""
    said = getattr(build, "kit_needs", None)
    if isinstance(said, Needs):
        return said
    package = str(getattr(build, "__module__", "")).partition(".")[0]
    for offer in registry.optimizers:
        reference = offer.record.native or ""
        if offer.record.backend == backend and reference.partition(".")[0] == package and resolve(reference) is build:
            return offer.record.needs
    return PLAIN


def facts_of(task: StackTask, data: Prepared) -> dict[str, int | float]:
    """What an optimizer may ask to be told of a run (`kit.needs.FACTS`)."""
    samples, batch = data.rows, int(task.trials[0].specification["batch_size"])
    each = max(1, math.ceil(samples / batch))
    facts: dict[str, int | float] = {"samples": samples, "batch_size": batch, "steps_per_epoch": each}
    if task.steps is not None:
        facts |= {"steps": task.steps, "epochs": max(1, math.ceil(task.steps / each))}
    return facts
