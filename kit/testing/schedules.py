"""Checks of learning-rate schedules: one factor per step, a function of the step and the budget alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import ScheduleSpec, resolve
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import require_finite, require_same

if TYPE_CHECKING:
    from kit.testing.subject import Subject

PLANNED = 40  # steps of the budget that a schedule is laid over


@check("schedule", places=("host",))
def gives_one_factor_per_step(subject: Subject) -> None:
    """It gives a finite factor of at least 0 for each step, float64, in the shape of the steps.

    Mend: array arithmetic on `step` (int64, from 0); no Python `if` on it.
    """
    import numpy as np

    steps = np.arange(PLANNED)
    factors = _factors(subject.record, steps, PLANNED)
    if factors.shape != steps.shape or factors.dtype != np.float64:
        raise Violation(expected=f"float64 of shape {steps.shape}", got=f"{factors.dtype} of shape {factors.shape}")
    require_finite(factors, "factors")
    if factors.min() < 0 or factors.max() == 0:
        raise Violation(expected="factors of at least 0, not all 0", got=f"{factors.min()} to {factors.max()}")


@check("schedule", places=("host",))
def cuts_into_any_chunks(subject: Subject) -> None:
    """A step's factor depends on the step and the budget alone, not on which steps are asked for with it.

    Mend: keep nothing between calls.
    """
    import numpy as np

    steps = np.arange(PLANNED)
    whole = _factors(subject.record, steps, PLANNED)
    pieces = [_factors(subject.record, steps[i : i + 7], PLANNED) for i in range(0, PLANNED, 7)]
    require_same(np.concatenate(pieces), whole, expected="the factors of all steps at once")


@check("schedule", places=("host",))
def says_whether_it_needs_the_budget(subject: Subject) -> None:
    """Where its record says that it does not need the number of steps, its factors do not depend on it.

    Mend: `needs_steps=True`.
    """
    import numpy as np

    if subject.record.needs_steps:
        raise NotApplicable("its record says that it needs the budget")
    steps = np.arange(PLANNED)
    found = _factors(subject.record, steps, 1000 * PLANNED)
    require_same(found, _factors(subject.record, steps, PLANNED), expected="the same factors under another budget")


def _factors(record: ScheduleSpec, steps: Any, budget: int) -> Any:
    import numpy as np

    return np.asarray(resolve(record.build)(steps, steps=budget, **record.defaults()))
