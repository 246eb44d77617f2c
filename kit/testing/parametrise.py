"""The checks as pytest tests, in an author's own test file. Nothing here is loaded unless it is asked for.

from kit.testing import conformance
test_conformance = conformance("kit-lion2")
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Any

from kit.pool import Pool
from kit.registry import Registry
from kit.testing.cases import Case, cases_of, plugins_of
from kit.testing.conduct import results_of
from kit.testing.report import Result

# Of all parametrised tests of a process: they share its workers, which know what was installed when they started.
POOL = Pool()
atexit.register(POOL.close)


def conformance(
    distribution: str, *, backend: str | None = None, component: str | None = None, skips: bool = True
) -> Callable[[Case], None]:
    """A parametrised test: one for each check of each component in each place, run in workers that all of them share.

    A check that does not apply is skipped with its reason, one that the record expects to fail is an `xfail`, strict.
    backend, component: only these. skips: False leaves out what is known beforehand not to apply.
    Raises `UnknownNameError` where the distribution is not installed.
    """
    import pytest

    registry = Registry.load()
    cases = cases_of(registry, plugins_of(distribution), backend=backend, component=component)
    known: dict[str, Result] = {}

    @pytest.mark.parametrize("case", [case for case in cases if skips or not case.skip], ids=lambda case: case.id)
    def test(case: Case) -> None:
        if case.id not in known:
            known[case.id] = results_of([case], registry, pool=POOL)[0]
        result = known[case.id]
        if result.status == "not applicable":
            pytest.skip(result.reason)
        if result.status == "expected failure":
            pytest.xfail(result.reason)
        if result.status == "failed":
            pytest.fail(result.said(), pytrace=False)

    doc: Any = f"The conformance checks of {distribution}."
    test.__doc__ = doc
    return test
