"""A component as it is chosen in the lab: by name with its options as controls, or an object of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kit.choice import Choice
from kit.errors import KitError, unknown
from kit.laboratory.arguments import RATE, arguments
from kit.laboratory.controls import Control

if TYPE_CHECKING:
    from kit.registry import Registry

OWN = "(your own)"  # how an object of the user's is named in a menu
OBJECTIVE = ("objective",)  # the tasks of a model that is a function to be minimised; it needs no data
SUITABLE = ""  # a loss or schedule that is left to the resolver


@dataclass(frozen=True, kw_only=True)
class Part:
    """`name`: as the registry knows it, `OWN`, or `SUITABLE`. `controls`: the options of its record, in order."""

    kind: str  # "dataset", "model", "loss", "schedule", "optimizer"
    name: str
    controls: Mapping[str, Control] = field(default_factory=dict)
    own: Choice | None = None  # what the user passed, kept while something else is chosen
    options: Mapping[str, Any] = field(default_factory=dict)  # of a native class, beyond what its record lists

    @classmethod
    def of(cls, kind: str, choice: Choice | None, registry: Registry, backend: str | None) -> Part:
        """From what a user passes to `kit.lab`. Raises `KitError` for a name or an option that there is not."""
        if choice is None:
            return cls(kind=kind, name=SUITABLE)
        if choice.own:
            return cls(kind=kind, name=OWN, own=choice, controls=own_controls(choice) if kind == "optimizer" else {})
        record = find(registry, kind, choice.name, backend)
        known = {h.name: h for h in (*record.hyperparameters, *getattr(record, "arguments", ()))}
        given = spoken(choice.options) if kind == "optimizer" else dict(choice.options)
        extra = {name: value for name, value in given.items() if name not in known}
        if extra and not getattr(record, "native", None):
            raise unknown(f"hyperparameter of {kind} '{choice.name}'", next(iter(extra)), known)
        label = f"{kind} '{choice.name}'"
        values = {**{h.name: h.default for h in known.values()}, **{k: v for k, v in given.items() if k in known}}
        controls = {h.name: Control.of(h, label, values[h.name]) for h in known.values()}
        return cls(kind=kind, name=choice.name, controls=controls, options=extra)

    def named(self, name: str, registry: Registry, backend: str | None) -> Part:
        """Another component of this kind, with its own defaults."""
        if name == OWN and self.own is not None:
            return Part.of(self.kind, self.own, registry, backend)
        if name in (OWN, SUITABLE):
            return Part(kind=self.kind, name=name, own=self.own)
        try:
            fresh = Part.of(self.kind, Choice(name=name), registry, backend)
        except KitError:  # the fault is said where the part stands; the other options are not lost
            return replace(self, name=name, controls={})
        return replace(fresh, own=self.own)

    def with_text(self, option: str, text: str) -> Part:
        """Raises `UnknownNameError` for an option that it has not."""
        if option not in self.controls:
            raise unknown(f"hyperparameter of {self.kind} '{self.name}'", option, self.controls)
        return replace(self, controls={**self.controls, option: self.controls[option].with_text(text)})

    def choice(self) -> Choice | None:
        """As an experiment names it, with the options that differ from their defaults; None where it is left open.

        Raises `InvalidValueError` for a control that holds no value.
        """
        if self.name == SUITABLE:
            return None
        values = {name: control.value() for name, control in self.controls.items()}
        said = {name: value for name, value in values.items() if value != self.controls[name].record.default}
        if self.name == OWN:
            return self.own and replaced(self.own, {name: said.get(name) for name in self.controls})
        return Choice(name=self.name, options={**said, **self.options})

    def faults(self) -> list[str]:
        return [fault for control in self.controls.values() if (fault := control.fault())]

    @property
    def title(self) -> str:
        return self.own.name if self.name == OWN and self.own is not None else self.name

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "title": self.title,
            "controls": [control.document() for control in self.controls.values()],
        }


def own_controls(choice: Choice) -> dict[str, Control]:
    """Controls for the arguments of a user's optimizer class, with what the user gave; none for what is no class or
    function, which cannot be trained with anyhow."""
    if not callable(choice.thing):
        return {}
    label, given = f"optimizer '{choice.name}'", spoken(choice.options)
    records = {record.name: record for record in arguments(choice.thing)}
    fitting = {n: r for n, r in records.items() if n not in given or not Control.of(r, label, given[n]).fault()}
    return {name: Control.of(record, label, given.get(name, record.default)) for name, record in fitting.items()}


def spoken(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by the kit's own word for the learning rate."""
    return {(RATE[0] if name in RATE else name): value for name, value in options.items()}


def replaced(choice: Choice, changes: Mapping[str, Any]) -> Choice:
    """A user's object with other options; None takes one out, so that its class's own default holds."""
    options = {**spoken(choice.options), **changes}
    kept = {name: value for name, value in options.items() if name not in changes or value is not None}
    return choice.model_copy(update={"options": kept})


def known(registry: Registry, kind: str, name: str) -> Any:
    """The record of a name, of whatever backend; None where nothing installed has it."""
    return next((o.record for o in registry.kind(kind) if name in (o.record.name, o.qualified)), None)


def find(registry: Registry, kind: str, name: str, backend: str | None) -> Any:
    """The record; one of another backend where this one has none, so that its controls can be shown all the same."""
    try:
        return registry.find(kind, name, backend)
    except KitError:
        record = known(registry, kind, name)
        if record is None:
            raise
        return record
