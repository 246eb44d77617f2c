"""What can be chosen, and why some of it cannot be: every menu of the lab, made from the registry.

A choice that cannot work beside the others stays in its menu with the reason, so that one sees that it exists and what
would have to change.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kit.errors import nearest
from kit.laboratory.part import OBJECTIVE, OWN, SUITABLE, known
from kit.records import Component, DatasetSpec, LossSpec, ModelSpec, ScheduleSpec

if TYPE_CHECKING:
    from kit.laboratory.form import Form
    from kit.registry import Offer, Registry

Item = dict[str, str]  # name, title, help, reason ("" where it can be chosen)


def item(name: str, title: str = "", help: str = "", reason: str = "") -> Item:
    return {"name": name, "title": title or name, "help": help, "reason": reason}


def menus(form: Form) -> dict[str, list[Item]]:
    """Menu -> items. `optimizer/<backend>` is that of the lanes which train there."""
    registry, backend = form.registry, form.backend
    found = {
        "dataset": [*_own(form, "dataset"), *_items(registry, "dataset", None, form)],
        "model": [*_own(form, "model"), *_items(registry, "model", backend, form)],
        "loss": [item(SUITABLE, "suits the data"), *_own(form, "loss"), *_items(registry, "loss", backend, form)],
        "schedule": [item(SUITABLE, "none: constant"), *_items(registry, "schedule", None, form)],
        "backend": [item(offer.record.name, help=offer.record.help) for offer in registry.backends],
        "device": _items(registry, "device", backend, form),
    }
    for name in sorted({form.backend_of(lane) for lane in form.lanes}):
        found[f"optimizer/{name}"] = _items(registry, "optimizer", name, form)
    return found


def _own(form: Form, kind: str) -> list[Item]:
    part = form.parts[kind]
    return [item(OWN, f"your own: {part.own.name}", "What you passed to kit.lab.")] if part.own is not None else []


def _items(registry: Registry, kind: str, backend: str | None, form: Form) -> list[Item]:
    """Every offer of a kind, those of other backends last and with their reason."""
    offers = registry.kind(kind)
    fitting = [o for o in offers if backend is None or o.record.backend in (None, backend)]
    others = [o for o in offers if o not in fitting and o.record.name not in {f.record.name for f in fitting}]
    counts = Counter(offer.record.name for offer in fitting)
    found = []
    for offer in (*fitting, *others):
        name = offer.record.name if counts[offer.record.name] <= 1 else offer.qualified
        reason = why_not(offer, backend, form)
        found.append(item(name, help=offer.record.help, reason=reason))
    return found


def why_not(offer: Offer[Component], backend: str | None, form: Form) -> str:
    """Why this cannot be chosen, as the rest of a sentence; empty where nothing is known against it."""
    record: Any = offer.record
    if backend is not None and record.backend not in (None, backend):
        return f"is offered for {record.backend}, not for {backend}"
    missing = [package for package in record.requires if find_spec(package.partition(".")[0]) is None]
    if missing:
        return f"needs {', '.join(missing)}: {record.install or 'pip install ' + ' '.join(missing)}"
    if isinstance(record, DatasetSpec):
        return "is for models that are a function to be minimised" if record.task == "objective" else ""
    data, task = form.data_task, form.task
    if isinstance(record, ModelSpec) and record.tasks != OBJECTIVE and data and data not in record.tasks:
        return f"is for {' or '.join(record.tasks)}; the data are {data}"
    if isinstance(record, LossSpec) and task and not _loss_fits(record, task):
        return f"is for {' or '.join(record.tasks)}; the data are {task}"
    if isinstance(record, ScheduleSpec) and record.needs_steps and form.unit == "seconds":
        return "needs a budget in steps, epochs or samples"
    return ""


def elsewhere(registry: Registry, kind: str, name: str, backend: str | None) -> str:
    """That a component is offered for another backend only, in a sentence; empty for one that nobody offers. The menu
    beside it lists the others, so only the nearest is named."""
    record = known(registry, kind, name)
    if record is None or backend is None or record.backend in (None, backend):
        return ""
    choices = [offer.record.name for offer in registry.kind(kind) if offer.record.backend in (None, backend)]
    near = f"; the nearest there is '{nearest(name, choices)[0]}'" if choices else ""
    return f"{kind} '{name}' is offered for {record.backend}, not for {backend}{near}."


def _loss_fits(record: LossSpec, task: str) -> bool:
    """Two classes may also be told apart by one output; how many there are is seen when the data are loaded."""
    return task in record.tasks or (task == "classification" and "binary" in record.tasks)
