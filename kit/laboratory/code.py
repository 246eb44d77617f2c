"""The Python that does what the controls say, ready to paste."""

from __future__ import annotations

import json
import math
from typing import Any

from kit.choice import Choice
from kit.experiment import Budget
from kit.laboratory.form import Form
from kit.laboratory.part import OWN

WIDTH = 100
DEFAULTS: dict[str, Any] = {
    "loss": None,
    "schedule": None,
    "device": "cpu",
    "dtype": "float32",
    "evaluate_every": None,
    "validation_fraction": 0.2,
    "standardise": True,
    "strategy": "auto",
}


def code_of(form: Form, store: str) -> str:
    """A program that trains the same runs. Raises `InvalidValueError` where a control holds no value."""
    fields = form.fields()
    replicates = form.value("replicates")
    backends = [form.backend_of(lane) for lane in form.lanes]
    lines = ["import kit", "", *_own_objects(form)]
    said = [f"{name}={said_value(value, name)}" for name, value in fields.items() if _differs(name, value, backends)]
    lines += _call("base = kit.Experiment", said)
    choices = [_choice_words(lane.part.choice(), "optimizer", "optimizer") for lane in form.lanes]
    lines += _call("lanes = ", choices, brackets="[]") if len(set(backends)) == 1 else []
    if len(set(backends)) == 1:
        lines.append(f"study = base.vary(optimizer=lanes, replicate=range({replicates}))")
    else:
        pairs = [f"({choice}, {_literal(backend)})" for choice, backend in zip(choices, backends, strict=True)]
        lines += _call("lanes = ", pairs, brackets="[]")
        lines += [
            "study = kit.Study(",
            "    base.replace(optimizer=optimizer, backend=backend, replicate=replicate)",
            "    for optimizer, backend in lanes",
            f"    for replicate in range({replicates})",
            ")",
        ]
    lines += [f"results = study.run(store={_literal(store)})", "", "print(results.table())", "results.plot_curves()"]
    return "\n".join(lines) + "\n"


def said_value(value: Any, name: str) -> str:
    """A field of the experiment as Python."""
    if isinstance(value, Choice):
        return _choice_words(value, name, name)
    if isinstance(value, Budget):
        return f"kit.Budget({value.unit}={getattr(value, value.unit)})"
    if name == "probes":
        items = [_choice_words(Choice.of(probe), "probe", "probe") for probe in value]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return _literal(value)


def _differs(name: str, value: Any, backends: list[str]) -> bool:
    if name == "backend":
        return len(set(backends)) == 1
    return not (name in DEFAULTS and DEFAULTS[name] == value)


def _choice_words(choice: Choice | None, kind: str, stands_for: str) -> str:
    if choice is None:
        return "None"
    if choice.own and choice.reference is None:
        return f"my_{stands_for}"
    thing = choice.reference.replace(":", ".") if choice.reference else _literal(choice.name)
    if not choice.options:
        return thing
    options = ", ".join(f"{name}={_literal(value)}" for name, value in choice.options.items())
    return f"kit.{kind}({thing}, {options})"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _own_objects(form: Form) -> list[str]:
    """What has to stand before: imports of the user's classes, and a line for each object that has no import path."""
    parts = [*form.parts.values(), *(lane.part for lane in form.lanes)]
    own = [part for part in parts if part.name == OWN and part.own is not None]
    modules = {part.own.reference.partition(":")[0] for part in own if part.own is not None and part.own.reference}
    lines = [f"import {module}" for module in sorted(modules)]
    kinds = dict.fromkeys(part.kind for part in own if part.own is not None and not part.own.reference)
    lines += [f"# my_{kind}: the {kind} that you passed to kit.lab" for kind in kinds]
    return [*lines, ""] if lines else []


def _call(head: str, arguments: list[str], brackets: str = "()") -> list[str]:
    """On one line where it fits, else an argument a line."""
    left, right = brackets[0], brackets[1]
    line = f"{head}{left}{', '.join(arguments)}{right}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{head}{left}", *(f"    {argument}," for argument in arguments), right]
