"""Which runs train together, and from where each of them starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kit.registry import Registry
from kit.resolve import Resolved
from kit.store import Store, read_checkpoint
from kit.task import stack_key

STACK_LIMIT = 128  # trials in one program
CONTINUED = ("lost", "stopped")  # what is taken up again from its checkpoint; a failed run starts anew


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: at step 0, or at a checkpoint of an earlier one."""

    folder: str | None = None
    step: int = 0
    strategy: str = ""  # that an earlier attempt chose: another would change the last bits
    anew: str = ""  # why not from where it was, in a sentence


Group = list[tuple[Resolved, Start]]


def stacks(items: Iterable[Resolved], registry: Registry, place: Store, company: Mapping[str, str]) -> list[Group]:
    """Groups that can train as one program. A budget in seconds is each run's own, so such a run trains alone,
    and so does one that is divided among devices.

    company: run_id -> a word, for runs that may train only with those of the same word, because something in them may
    fail or kill whoever trains with them.
    """
    groups: dict[str, Group] = {}
    for item in items:
        start = start_of(item, place)
        key = stack_key(item.specification, varying(item.specification, registry))
        key += f"|{start.step}|{start.strategy}|{company.get(item.run_id, '')}"
        if "seconds" in item.specification["budget"] or "parallel" in item.specification:
            key += item.run_id
        groups.setdefault(key, []).append((item, start))
    return [group[i : i + STACK_LIMIT] for group in groups.values() for i in range(0, len(group), STACK_LIMIT)]


def varying(specification: Mapping[str, Any], registry: Registry) -> set[str]:
    """The optimizer's options that members of a stack may have each their own."""
    optimizer = specification["optimizer"]
    if optimizer["kind"] == "native":
        return {name for name, value in optimizer["options"].items() if isinstance(value, float)}
    record = registry.find("optimizer", optimizer["name"], specification["backend"])
    return {h.name for h in record.hyperparameters if not h.structural}


def start_of(item: Resolved, place: Store) -> Start:
    """From the furthest checkpoint of a run that was interrupted; anew for every other."""
    summary = place.summary(item.run_id)
    if summary.status not in CONTINUED:
        return Start()
    chosen = str(summary.record.get("strategy") or "")
    if unsaved := summary.record.get("unsaved"):
        return Start(strategy=chosen, anew=str(unsaved))
    folder = place.latest_attempt(item.run_id)
    checkpoint = None if folder is None else read_checkpoint(folder)
    if checkpoint is None:
        return Start(strategy=chosen)
    return Start(str(folder), checkpoint.step, str(checkpoint.extra.get("strategy", "")))
