"""Taking up runs that a store holds and that did not come to their end, without the study that began them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.conduct import conduct_resolved, executor_named, store_at
from kit.data import is_table
from kit.errors import InvalidValueError
from kit.registry import Registry
from kit.resolve import Resolved
from kit.stacks import CONTINUED

if TYPE_CHECKING:
    from kit.results import Results

PARTS = ("dataset", "model", "loss", "optimizer")


def resume(
    runs: Sequence[str] = (),
    *,
    store: str | Path | None = None,
    executor: str = "processes",
    progress: bool | Any = True,
    registry: Registry | None = None,
) -> Results | None:
    """Continue runs from their checkpoints, bit for bit where the machine and its threads are the same.

    runs: names, or their first letters; none: every run that was stopped or lost. A failed run is taken up when named.
    Returns None where there is nothing to do. Raises `InvalidValueError` for a named run that is done, or that was
    made of
    objects of a session that is gone.
    """
    place = store_at(store)
    if runs:
        chosen = [place.find(name) for name in runs]
        done = [run for run in chosen if place.status(run) == "done"]
        if done:
            raise InvalidValueError(f"Run {done[0]} is done; there is nothing to continue.")
    else:
        chosen = [summary.run_id for summary in place.runs() if summary.status in CONTINUED]
    resolved, gone = [], []
    for run in chosen:
        specification = place.specification(run)
        missing = needs_objects(specification)
        if missing:
            gone.append(f"Run {run} needs the {missing} of the session that made it; run its experiment again there.")
        else:
            resolved.append(Resolved(run_id=run, specification=specification))
    if gone and (runs or not resolved):
        raise InvalidValueError(" ".join(gone))
    if not resolved:
        return None
    registry = registry or Registry.load()
    return conduct_resolved(
        resolved,
        place,
        registry=registry,
        runner=executor_named(executor, registry),
        progress=progress,
        notes=gone,
        retry_failed=bool(runs),
    )


def needs_objects(specification: dict[str, Any]) -> str:
    """What a stored run was made of that no store holds: "model", "dataset and loss", or nothing."""
    parts = [
        part
        for part in PARTS
        # A class of the user's has an import path; a store's paths are not followed, for they are code.
        if (specification[part].get("digest") or specification[part].get("reference"))
        and not (part == "dataset" and is_table(specification[part]["name"]))
    ]
    if specification.get("initial"):
        parts.append("initial parameters")
    return " and ".join(parts)
