"""The conformance checks: plain functions over records, the same for the built-ins and for everybody's plugin.

Three faces. On the command line, `kit check kit-lion2`. In a test file of the plugin:

    from kit.testing import conformance
    test_conformance = conformance("kit-lion2")

In a notebook, where the report shows itself as a table:

    from kit.testing import check
    check("kit-lion2")

Each result says whether the check passed, failed (the rule, expected and got, the likely mend, the line that runs it
again), failed as the record expects (with its reason), or did not apply (and why). A check of one's own is a function:
see `kit.testing.checks`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "CHECKS": "kit.testing.every",
    "NotApplicable": "kit.testing.checks",
    "Report": "kit.testing.report",
    "Result": "kit.testing.report",
    "Violation": "kit.testing.checks",
    "check": "kit.testing.conduct",
    "conformance": "kit.testing.parametrise",
}
__all__ = ["CHECKS", "NotApplicable", "Report", "Result", "Violation", "check", "conformance"]

if TYPE_CHECKING:
    from kit.testing.checks import NotApplicable, Violation
    from kit.testing.conduct import check
    from kit.testing.every import CHECKS
    from kit.testing.parametrise import conformance
    from kit.testing.report import Report, Result


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kit.testing' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
