"""The part of a check that runs in a worker: find the component, call the function, say what came of it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from kit.ledger import said
from kit.testing.cases import plugins_of
from kit.testing.checks import NotApplicable, Violation
from kit.testing.every import CHECKS
from kit.testing.plugins import PluginSubject
from kit.testing.subject import Subject

if TYPE_CHECKING:
    from kit.engine import Engine
    from kit.registry import Registry

# The component of the last call: its checks come one after the other, and may use what the ones before made.
_LAST: dict[tuple[Any, ...], Any] = {}


def carry_out(
    engine: Engine | None,
    registry: Registry,
    check: str,
    kind: str,
    distribution: str,
    target: str,
    backend: str | None,
    partners: tuple[str, ...],
) -> dict[str, Any]:
    """{"status": "passed" | "failed" | "not applicable", …}, all plain. Called by `kit.pool.Worker.call`."""
    try:
        subject = _subject(engine, registry, kind, distribution, target, backend, partners)
        value = CHECKS[check].function(subject)
    except NotApplicable as reason:
        return {"status": "not applicable", "reason": f"{reason}"}
    except Violation as violation:
        return {
            "status": "failed",
            "expected": violation.expected,
            "got": violation.got,
            "mend": violation.mend,
        }
    except (Exception, SystemExit) as error:  # whatever a plugin raises is its own failure
        return {"status": "failed", "expected": "no error", "got": _where(error)}
    return {"status": "passed", "value": value}


def _subject(
    engine: Engine | None,
    registry: Registry,
    kind: str,
    distribution: str,
    target: str,
    backend: str | None,
    partners: tuple[str, ...],
) -> Any:
    key = (kind, distribution, target, backend, partners)
    if key not in _LAST:
        _LAST.clear()
        if kind == "plugin":
            point = next(point for point in plugins_of(distribution) if point.name == target)
            _LAST[key] = PluginSubject(registry, point)
        else:
            offer = next(offer for offer in registry.kind(kind) if offer.qualified == target)
            _LAST[key] = Subject(registry, offer, backend, engine, partners)
    return _LAST[key]


def _where(error: BaseException) -> str:
    """The error in words, with the last place of the traceback, which is usually the plugin's."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    place = f" ({last.filename.rpartition('/')[2]}, line {last.lineno})" if last else ""
    return f"{said(error)[:600]}{place}"
