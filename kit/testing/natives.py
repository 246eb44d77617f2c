"""Checks of native classes alone: that what their record says they need is what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import OptimizerSpec
from kit.testing.bench import BackendBench
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import require_same
from kit.testing.optimizers import STEPS

if TYPE_CHECKING:
    from kit.testing.subject import Subject


def natives_only(record: Any) -> str:
    return "" if isinstance(record, OptimizerSpec) and record.native else "a rule is handed its gradients"


@check("optimizer", places=("backend",), unless=natives_only)
def ignores_stale_gradients(subject: Subject) -> None:
    """Garbage that an earlier step left as gradients changes nothing: every step uses gradients of its own.

    Mend: `needs=Needs(closure="after", evaluations=2)` for a class that takes a step before it calls its closure; or
    call the closure before reading `.grad`.
    """
    clean = subject.bench.session()
    expected = clean.advance(2 * STEPS), clean.reported()
    spoilt = subject.bench.session(fresh=True)
    losses: list[Any] = []
    for _ in range(2):
        if not spoilt.spoil():
            raise NotApplicable(f"{subject.backend} keeps no gradients from step to step")
        losses += [*spoilt.advance(STEPS)]
    require_same((losses, spoilt.reported()), ([*expected[0]], expected[1]), expected="the run as without garbage")


@check("optimizer", places=("backend",), unless=natives_only)
def needs_are_sufficient(subject: Subject) -> None:
    """Driven as its record's `needs` say, it moves every parameter that has a gradient: biases, matrices and kernels.

    Mend: see `kit.needs.Needs`: a companion for what is no matrix, named parameters, a closure.
    """
    import numpy as np

    assert isinstance(subject.bench, BackendBench)
    for rank in (2, 4):
        try:
            session = subject.bench.session(rank=rank)
        except NotApplicable:
            if rank == 2:
                raise
            continue
        gradients, before = session.gradients(), session.state().parameters
        session.advance(STEPS)
        after = session.state().parameters
        still = [name for name, g in gradients.items() if np.any(g) and np.array_equal(before[name], after[name])]
        if still:
            raise Violation(expected="every parameter with a gradient moving", got=f"{', '.join(still)} where it began")


@check("optimizer", places=("backend",), unless=natives_only)
def counts_its_gradients(subject: Subject) -> None:
    """The gradients that a step takes, as they are counted, are as many as its record says (`needs.evaluations`).

    Mend: `needs=Needs(evaluations=…)`: how many it takes in one step, None for as many as it likes.
    """
    import numpy as np

    assert isinstance(subject.bench, BackendBench)
    session = subject.bench.session()
    session.advance(STEPS)
    counted, said = session.evaluations(), subject.record.needs.evaluations
    taken = np.ones((STEPS, 1), dtype=int) if counted is None else np.asarray(counted)
    if taken.shape != (STEPS, 1) or (taken < 1).any():
        raise Violation(expected="at least one gradient in each step", got=str(taken.ravel().tolist()))
    if said is not None and (taken != said).any():
        raise Violation(expected=f"{said} in each step, as its record says", got=str(taken.ravel().tolist()))
