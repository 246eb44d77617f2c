"""Checks of every record: what it names exists and takes its options; it says what it is; a widget can show it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kit.records import Component, Hyperparameter, OptimizerSpec, resolve
from kit.testing.checks import CHECKS, NotApplicable, Violation, check

if TYPE_CHECKING:
    from kit.testing.subject import Subject

# The reference of each kind that takes the hyperparameters, and what it is called with beside them.
CALLED: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "backend": ("engine", (), {"threads": 1}),
    "model": ("build", (), {"inputs": None}),
    "loss": ("build", (None, None), {}),
    "device": ("find", (), {}),
    "dataset": ("load", (None,), {}),
    "schedule": ("build", (None,), {"steps": 1}),
    "probe": ("build", (), {}),
    "executor": ("build", (None,), {}),
}


def references(record: Component) -> dict[str, str]:
    """The references that a record holds: field -> "module:attribute"."""
    named = {each.name: getattr(record, each.name) for each in fields(record) if "Reference" in str(each.type)}
    return {name: value for name, value in named.items() if value}


@check("component")
def references_resolve(subject: Subject) -> None:
    """Everything that its record names as "module:attribute" can be imported.

    Mend: spell the module and the attribute as they are; see that the module is in the wheel.
    """
    _require_packages(subject)
    for name, reference in references(subject.record).items():
        try:
            resolve(reference)
        except Exception as error:
            raise Violation(expected=f"{name} = '{reference}' to be importable", got=str(error)) from error


def _require_packages(subject: Subject) -> None:
    if subject.missing():
        raise NotApplicable(f"it needs {' and '.join(subject.missing())}, not installed here")


@check("component")
def options_match_the_signature(subject: Subject) -> None:
    """What its record names takes every hyperparameter, by name, and needs nothing else; defaults agree.

    Mend: one hyperparameter for each argument, of the same name and default.
    """
    _require_packages(subject)
    record = subject.record
    if isinstance(record, OptimizerSpec):
        _match_rule(record) if record.rule else _match_native(record)
        return
    field, positional, named = CALLED[record.kind]
    function = resolve(getattr(record, field))
    _bind(function, positional, {**named, **record.defaults()})
    _same_defaults(function, record.hyperparameters)


def _bind(function: Callable[..., Any], positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    signature = inspect.signature(function, follow_wrapped=False)
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        given = ", ".join([*("…" for _ in positional), *(f"{key}=…" for key in named)])
        raise Violation(expected=f"{name}({given}) to be possible", got=f"{name}{signature}: {error}") from error


def _same_defaults(function: Callable[..., Any], hyperparameters: tuple[Hyperparameter, ...]) -> None:
    parameters = inspect.signature(function).parameters
    for h in hyperparameters:
        default = parameters[h.name].default if h.name in parameters else inspect.Parameter.empty
        if default is not inspect.Parameter.empty and default != h.default:
            expected = f"{h.name}={h.default!r}, as the record says"
            raise Violation(expected=expected, got=f"{h.name}={default!r} in the signature")


def _match_rule(record: OptimizerSpec) -> None:
    rule = resolve(str(record.rule))
    said, own = ({h.name: h.default for h in listed} for listed in (record.hyperparameters, rule.all_hyperparameters()))
    if said != own:
        raise Violation(expected=f"the rule's hyperparameters {own}", got=f"{said} on the record", mend="rule.record()")


def _match_native(record: OptimizerSpec) -> None:
    kind = resolve(str(record.native))
    parameters = inspect.signature(kind).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    known = {"learning_rate" if name in ("lr", record.needs.rate) else name for name in parameters}
    strange = [h.name for h in record.hyperparameters if h.name not in known]
    if strange:
        raise Violation(expected=f"arguments of {kind.__name__}: {', '.join(sorted(known))}", got=", ".join(strange))


@check("component")
def defaults_are_in_range(subject: Subject) -> None:
    """Every hyperparameter's default is a value that it accepts.

    Mend: widen the range, or choose another default.
    """
    for h in subject.record.hyperparameters:
        h.check(h.default, subject.record.name)
        if h.log and h.low is not None and h.low < 0:
            raise Violation(expected=f"{h.name}, on a log scale, of at least 0", got=f"low={h.low:g}")


@check("component")
def is_documented(subject: Subject) -> None:
    """Its record says in a sentence what it is, and what each hyperparameter does.

    Mend: `help="…"`, ending in a full stop.
    """
    silent = [h.name for h in subject.record.hyperparameters if not _is_sentence(h.help)]
    if not _is_sentence(subject.record.help):
        raise Violation(expected="help that is a sentence", got=repr(subject.record.help))
    if silent:
        raise Violation(
            expected="help for every hyperparameter", got=f"none that is a sentence for {', '.join(silent)}"
        )


def _is_sentence(text: str) -> bool:
    return len(text.strip()) > 3 and text.strip()[-1] in ".!?…"


@check("component", places=("host",))
def shows_as_a_widget(subject: Subject) -> None:
    """Every hyperparameter has a control in the lab, which shows its default and reads it back.

    Mend: a default of a plain type (number, text, truth value, tuple of numbers), or `choices` that print apart.
    """
    import json

    from kit.laboratory.controls import Control

    for h in subject.record.hyperparameters:
        control = Control.of(h, subject.record.name, h.default, optional=h.default is None)
        json.dumps(control.document(), allow_nan=False)
        if control.fault() or control.value() != h.default:
            got = control.fault() or f"{control.value()!r} from the text '{control.text}'"
            raise Violation(expected=f"{h.name}={h.default!r} from its own control", got=got)


@check("component", places=("host",))
def expects_failures_that_there_are(subject: Subject) -> None:
    """Every check that its record expects to fail is one that there is, for such a record.

    Mend: `kit check` names them, as in "optimizer.stays_finite", or "optimizer.stays_finite@torch" in one backend.
    """
    about = ("component", subject.record.kind)
    known = {name for name, each in CHECKS.items() if each.about in about}
    for name in subject.record.expected_failures:
        if name.partition("@")[0] not in known:
            raise Violation(expected=f"one of {', '.join(sorted(known))}", got=f"'{name}'")
