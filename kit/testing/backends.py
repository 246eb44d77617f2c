"""Checks of backends (an engine that satisfies the protocol, array functions as NumPy's) and of executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import resolve
from kit.testing.checks import Violation, check

if TYPE_CHECKING:
    from kit.testing.subject import Subject


@check("backend")
def satisfies_the_protocol(subject: Subject) -> None:
    """Its engine has every method of `kit.engine.Engine`, and says its versions and devices in plain values.

    Mend: see `kit.engine`.
    """
    from kit.engine import DTYPES, Engine

    engine: Any = subject.engine
    wanted = [name for name in vars(Engine) if not name.startswith("_") and callable(getattr(Engine, name))]
    lacking = [name for name in wanted if not callable(getattr(engine, name, None))]
    if lacking:
        raise Violation(expected="every method of kit.engine.Engine", got=f"none named {', '.join(lacking)}")
    if not engine.versions():
        raise Violation(expected="the versions that decide the numbers", got="none")
    judge_reports(engine.devices(), DTYPES)


@check("backend")
def offers_the_array_functions(subject: Subject) -> None:
    """Its `xp` gives what NumPy gives, function by function, in float32 and float64.

    Mend: see `kit.rules.namespace` for what each function promises.
    """
    from kit.rules.conformance import namespace_faults

    arrays = subject.arrays
    faults = namespace_faults(arrays.xp, to_backend=arrays.from_numpy, to_numpy=arrays.to_numpy)
    if faults:
        raise Violation(expected="NumPy's results", got=f"{len(faults)} differences: {faults[0]}")


def judge_reports(reports: Any, dtypes: tuple[str, ...]) -> None:
    from kit.engine import DeviceReport

    for report in reports:
        if not isinstance(report, DeviceReport) or not report.name or not report.title:
            raise Violation(expected="kit.engine.DeviceReport with name and title", got=repr(report))
        strange = set(report.dtypes) - set(dtypes)
        if strange:
            raise Violation(expected=f"precisions among {', '.join(dtypes)}", got=f"{', '.join(sorted(strange))}")


@check("executor", places=("host",))
def can_be_made(subject: Subject) -> None:
    """It is made from a registry alone, and has a method `run(pending, listener, stopping)`.

    Mend: see `kit.executors.Executor`.
    """
    import inspect

    made = resolve(subject.record.build)(subject.registry)
    inspect.signature(made.run).bind([], None, lambda: False)
