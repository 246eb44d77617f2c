"""Checks of probes: they read, one number per trial, and never steer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import resolve
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import require_same
from kit.testing.training import Training, small_job

if TYPE_CHECKING:
    from kit.testing.subject import Subject


def snapshots() -> list[Any]:
    """Two readings of a stack of two, with gradients, as a run hands them to a probe; nothing can be written to."""
    import numpy as np

    from kit.probes import Snapshot

    source = np.random.default_rng(9)

    def arrays() -> dict[str, Any]:
        found = {"weight": source.normal(size=(2, 2, 3)), "bias": source.normal(size=(2, 2))}
        for array in found.values():
            array.flags.writeable = False
        return found

    first, second = arrays(), arrays()
    return [
        Snapshot(step=0, parameters=first, gradients=arrays(), previous=None),
        Snapshot(step=5, parameters=second, gradients=arrays(), previous=first),
    ]


@check("probe", places=("host",))
def gives_one_number_per_trial(subject: Subject) -> None:
    """Each reading is curves by name, each one number per trial; it works without gradients where it needs none.

    Mend: `read(snapshot)` returns {name: (N,)}; `needs = frozenset({"gradients"})` where it looks at them.
    """
    from dataclasses import replace

    probe = _made(subject)
    for snapshot in snapshots():
        if "gradients" not in probe.needs:
            snapshot = replace(snapshot, gradients=None)
        _require_curves(probe.read(snapshot))


def _require_curves(read: Any) -> None:
    import numpy as np

    for name, values in read.items():
        found = np.asarray(values)
        if not isinstance(name, str) or found.shape != (2,) or found.dtype.kind != "f":
            got = f"{name!r}: {found.dtype} of shape {found.shape}"
            raise Violation(expected="curve names with floats of shape (2,), one per trial", got=got)


def _made(subject: Subject) -> Any:
    probe = resolve(subject.record.build)(**subject.record.defaults())
    if "asking" in probe.needs:
        raise NotApplicable("it asks for gradients elsewhere, which only a program gives: see in a backend")
    return probe


@check("probe", places=("host",))
def leaves_what_it_reads(subject: Subject) -> None:
    """It changes none of the arrays that it reads.

    Mend: compute in new arrays.
    """
    probe = _made(subject)
    try:
        for snapshot in snapshots():
            probe.read(snapshot)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise Violation(expected="arrays left as they are", got=f"a write into one of them ({error})") from error


@check("probe", places=("backend",))
def leaves_training_as_it_is(subject: Subject) -> None:
    """A run that it reads has the numbers of one that it does not, to the last bit.

    Mend: a probe draws no random numbers from the process's own generators, and writes to nothing it is handed.
    """
    from kit.errors import KitError

    assert subject.engine is not None
    ends = []
    for probes in ((), (subject.offer.qualified,)):
        training = Training(small_job(subject.registry, str(subject.backend), probes=probes), subject.engine)
        losses = []
        for _ in range(3):
            try:
                _require_curves(training.loop.probe(training.program))
            except KitError as error:
                raise NotApplicable(f"it refuses the problem of this check: {error}") from error
            losses.append(training.advance(2))
        ends.append((losses, training.reported()))
    require_same(ends[1], ends[0], expected="the run with the probe as the run without")
