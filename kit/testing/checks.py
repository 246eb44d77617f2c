"""What a check is: a plain function over a record, whose docstring is its rule. Two instances:

    @check("optimizer", places=("host", "backend"))
    def stays_finite(subject: Subject) -> None:
        \"""At its defaults, losses and parameters stay finite.

        Mend: a smaller default learning rate, or an ε where something is divided.
        \"""
        ...
        if not np.isfinite(losses).all():
            raise Violation(expected="finite losses", got=f"{losses[-1]} at step {len(losses)}")

    @check("dataset")
    def is_repeatable(subject: Subject) -> None: ...

A check returns where the rule holds, raises `Violation` where it does not and `NotApplicable` where there is nothing to
look at; anything else that it raises counts as a violation, in the component's name. It never compares names: what a
component is known to fail stands on its record, with the reason (`expected_failures`).
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kit.records import Component

# host: a process without a framework. backend: a worker of each backend that the component works with. across: what
# the backends gave, side by side.
Place = Literal["host", "backend", "across"]
Function = Callable[[Any], Any]


class Violation(Exception):
    """A rule that does not hold: what was expected, what was found, and the mend where it is not the usual one."""

    def __init__(self, *, expected: str, got: str, mend: str = "") -> None:
        super().__init__(f"expected {expected}; got {got}")
        self.expected, self.got, self.mend = expected, got, mend


class NotApplicable(Exception):
    """There is nothing for the check to look at; the reason, as a phrase."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule. `about` is the kind of record, "plugin" or "component" (every record)."""

    name: str  # "optimizer.stays_finite"
    about: str
    function: Function
    places: tuple[Place, ...]
    # Why it does not apply to such a record, seen from the record alone; "" where it does.
    unless: Callable[[Component], str]

    @property
    def rule(self) -> str:
        """The rule in a sentence: the first paragraph of the docstring."""
        return _paragraphs(self.function)[0]

    @property
    def mend(self) -> str:
        """What likely mends a violation: the docstring's paragraph that begins with `Mend:`."""
        found = [p for p in _paragraphs(self.function) if p.startswith("Mend: ")]
        return found[0].removeprefix("Mend: ") if found else ""

    @property
    def reference(self) -> str:
        return f"{self.function.__module__}:{self.function.__qualname__}"


def _paragraphs(function: Function) -> list[str]:
    text = inspect.cleandoc(function.__doc__ or "")
    return [" ".join(textwrap.dedent(part).split()) for part in text.split("\n\n")]


CHECKS: dict[str, Check] = {}  # filled by the modules of `kit.testing.every`


def applies(record: Component) -> str:
    """The usual `unless`: to every record."""
    return ""


def check(
    about: str, *, places: tuple[Place, ...] = ("backend", "host"), unless: Callable[[Component], str] = applies
) -> Callable[[Function], Function]:
    """Register a function as a check of a kind of record, under `about.name_of_the_function`."""

    def register(function: Function) -> Function:
        name = f"{about}.{function.__name__}"
        assert name not in CHECKS, name
        CHECKS[name] = Check(name=name, about=about, function=function, places=places, unless=unless)
        return function

    return register
