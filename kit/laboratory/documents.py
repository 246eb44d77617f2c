"""The lab's state as JSON data, for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.laboratory.form import PARTS, Form
from kit.laboratory.lanes import MOST
from kit.laboratory.part import OWN, Part

if TYPE_CHECKING:
    from kit.laboratory.lab import Lab
    from kit.laboratory.session import Session

LABELS = {"dataset": "Dataset", "model": "Model", "loss": "Loss", "schedule": "Schedule"}


def form_document(form: Form) -> dict[str, Any]:
    """Every control with what stands in it and what is wrong with it."""
    return {
        "parts": [{**_part(form.parts[kind], form.misfits(kind)), "label": LABELS[kind]} for kind in PARTS],
        "objective": form.objective,
        "backend": form.backend,
        "device": form.device,
        "device_fault": form.device_fault(),
        "settings": [control.document() for control in form.settings.values()],
        "lanes": [_lane(form, number) for number in range(len(form.lanes))],
        "most": MOST,
    }


def _part(part: Part, misfits: list[str]) -> dict[str, Any]:
    return {**part.document(), "misfit": " ".join(misfits)}


def _lane(form: Form, number: int) -> dict[str, Any]:
    lane = form.lanes[number]
    own = {"name": OWN, "title": f"your own: {lane.part.own.name}"} if lane.part.own is not None else None
    return {
        **_part(lane.part, form.lane_misfits(number)),
        "title": form.lane_names()[number],
        "look": lane.look,
        "backend": lane.backend,
        "menu": f"optimizer/{form.backend_of(lane)}",
        "own": own,
    }


def runs_document(session: Session, over: dict[str, Any]) -> dict[str, Any]:
    """Run number -> lane, look, name, batch size, status: of the session, and of what is laid over."""
    if session.form is None:
        return dict(over)
    names = session.form.lane_names()
    looks = [lane.look for lane in session.form.lanes]
    present = {
        str(number): {
            "lane": run.lane,
            "look": looks[run.lane],
            "name": names[run.lane],
            "batch": run.batch,
            "status": run.status,
        }
        for number, run in enumerate(session.watch.tally.runs)
    }
    return present | over


def kept_document(lab: Lab) -> list[dict[str, Any]]:
    return [{"name": name, "on": name in lab.laid_over} for name in lab.kept.names()]
