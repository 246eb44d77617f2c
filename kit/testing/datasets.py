"""Checks of datasets: what they load is what their record says, the same twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import DatasetSpec, resolve
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import require_finite, require_same

if TYPE_CHECKING:
    from kit.testing.subject import Subject


@check("dataset", places=("host",))
def loads(subject: Subject) -> None:
    """It gives a `kit.data.Data` of the task that its record names, with a training and a validation split.

    Mend: `load(generator, **options)` returns `Data(x=…, y=…, task=…)`, rows first.
    """
    from kit.data import Data, prepare

    data = _load(subject)
    if not isinstance(data, Data):
        raise Violation(expected="a kit.data.Data", got=f"a {type(data).__name__}")
    if data.task != subject.record.task:
        raise Violation(expected=f"data for {subject.record.task}, as the record says", got=f"data for {data.task}")
    if data.streamed:
        return
    prepared = prepare(data, seed=0, replicates=[0])
    for split, block in prepared.evaluation.items():
        require_finite((block.x, block.y), f"numbers in the {split} split")


@check("dataset", places=("host",))
def loads_the_same_twice(subject: Subject) -> None:
    """One seed gives one dataset, to the last bit, and the process's own random state is left alone.

    Mend: draw from the `generator` that is handed in, never from `numpy.random` or `random` themselves.
    """
    import random

    import numpy as np

    def position() -> tuple[Any, ...]:
        legacy: Any = np.random.get_state(legacy=False)["state"]
        return random.getstate(), legacy["key"].tobytes(), legacy["pos"]

    before = position()
    one, two = _load(subject), _load(subject)
    if before != position():
        raise Violation(expected="random numbers from the generator handed in", got="a change of the process's own")
    for name in ("x", "y", "x_validation", "y_validation"):
        if getattr(one, name) is not None:
            found, expected = (np.asarray(getattr(data, name)) for data in (one, two))
            require_same({name: found}, {name: expected}, expected="two loads of one seed")


def _load(subject: Subject) -> Any:
    from kit.packages import missing
    from kit.seeds import generator

    record: DatasetSpec = subject.record
    if missing(record):
        raise NotApplicable(f"it needs {' and '.join(missing(record))}, not installed here: {record.install}")
    return resolve(record.load)(generator(0, "split"), **record.defaults())
