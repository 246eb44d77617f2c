"""Checks of devices: plain reports, and a step trained in each precision that they report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import resolve
from kit.testing.backends import judge_reports
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.training import Training, small_job

if TYPE_CHECKING:
    from kit.testing.subject import Subject


@check("device")
def reports_plainly(subject: Subject) -> None:
    """It lists the devices of its kind that are there, each with a name, a title and the precisions that it computes.

    Mend: `find()` returns a list of `kit.engine.DeviceReport`; an empty one where there is none.
    """
    judge_reports(_found(subject), subject.record.dtypes)


@check("device")
def trains_in_each_precision(subject: Subject) -> None:
    """On each device that is there a step can be trained, in each precision that it reports.

    Mend: leave out of a report's `dtypes` what the device cannot compute.
    """
    import numpy as np

    for report in _found(subject):
        for dtype in report.dtypes:
            job = small_job(subject.registry, str(subject.backend), dtype=dtype)
            job.device = report.name
            training = Training(job, subject.engine)  # type: ignore[arg-type]
            losses = training.advance(2)
            if not np.isfinite(losses).all():
                raise Violation(expected=f"finite losses on {report.name} in {dtype}", got=str(losses.ravel().tolist()))


def _found(subject: Subject) -> list[Any]:
    """The reports of this kind of device. Raises `NotApplicable` where none is here."""
    reports = resolve(subject.record.find)()
    kind = subject.record.name
    mine = [r for r in reports if getattr(r, "name", kind).partition(":")[0] == kind]
    if not mine:
        raise NotApplicable(f"no {kind} is here")
    return mine
