"""A hyperparameter as a control: what its record says, and the text that stands in the field.

    control = Control.of(record.hyperparameters[0], "optimizer 'adam'", 0.001)      # learning_rate, "0.001"
    control.with_text("0.01").value()                                        # 0.01
    control.with_text("").fault()      # "optimizer 'adam': learning_rate is empty; it must be in [0, inf)."

A control keeps whatever was typed, so that a fault can be shown beside it and mended there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from kit.errors import InvalidValueError
from kit.records import Hyperparameter

Kind = Literal["choice", "switch", "number", "whole", "list", "text"]
DECADES = 3  # a logarithmic slider without limits of its own reaches so far to both sides of the default
_WORDS = {bool: "yes or no", int: "a whole number", float: "a number", tuple: "numbers, separated by commas"}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def text_of(value: Any) -> str:
    """A value as one types it: `0.001`, `1e-8`, `32, 16`, `inf`; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return whole.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    if isinstance(value, tuple | list):
        return ", ".join(text_of(item) for item in value) or "()"
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Control:
    """One setting of a component. `optional`: an empty field means None."""

    record: Hyperparameter
    component: str  # whose it is, for messages: "optimizer 'adam'"
    text: str
    optional: bool = False

    @classmethod
    def of(cls, record: Hyperparameter, component: str, value: Any, optional: bool = False) -> Control:
        """A control that holds a value."""
        return cls(record=record, component=component, text=text_of(value), optional=optional)

    def with_text(self, text: str) -> Control:
        return replace(self, text=text)

    @property
    def kind(self) -> Kind:
        if self.record.choices:
            return "choice"
        kinds: dict[type, Kind] = {bool: "switch", float: "number", int: "whole", tuple: "list"}
        return kinds.get(type(self.record.default), "text")

    def value(self) -> Any:
        """What the text means. Raises `InvalidValueError` for an empty field, and for what is no value or out of
        range, in one sentence that names the component, the value and the range."""
        text = self.text.strip()
        if not text and self.optional:
            return None
        if not text and self.kind != "text":
            wanted = self.limits or _WORDS[type(self.record.default)]
            raise InvalidValueError(f"{self.component}: {self.record.name} is empty; it must be {wanted}.")
        return self.record.check(self._parsed(text), self.component)

    def _parsed(self, text: str) -> Any:
        if self.record.choices:
            return next((choice for choice in self.record.choices if str(choice) == text), text)
        kind = type(self.record.default)
        try:
            if kind is bool:
                return _TRUTH[text.lower()]
            if kind is float:
                return float(text)
            if kind is int:
                return _whole(text)
            if kind is tuple:
                numbers = text.strip("()[] ").replace(";", ",").replace(" ", ",").split(",")
                kinds = {type(item) for item in self.record.default}
                return tuple((float if float in kinds else _whole)(number) for number in numbers if number)
        except (ValueError, KeyError, OverflowError):
            raise InvalidValueError(
                f"{self.component}: {self.record.name}={text!r} is not valid; it must be "
                f"{', '.join(filter(None, [_WORDS[kind], self.limits]))}."
            ) from None
        return text

    @property
    def limits(self) -> str:
        """The range in words; empty where there is none but the kind itself."""
        return "" if self.record.range.startswith("any ") else self.record.range

    def fault(self) -> str:
        """Why there is no value, in a sentence; empty where there is one."""
        try:
            self.value()
        except InvalidValueError as error:
            return str(error)
        return ""

    def changed(self) -> bool:
        """Whether it says something else than the default."""
        return bool(self.fault()) or self.value() != (None if self.optional else self.record.default)

    def document(self) -> dict[str, Any]:
        """What the browser draws."""
        record = self.record
        label = record.name.replace("_", " ")
        return {
            "name": record.name,
            "label": label[:1].upper() + label[1:],
            "kind": self.kind,
            "text": self.text,
            "help": record.help,
            "unit": record.unit,
            "range": self.limits,
            "optional": self.optional,
            "default": "" if self.optional else text_of(record.default),
            "choices": [text_of(choice) for choice in record.choices],
            "slider": slider_of(record) if self.kind == "number" else None,
            "fault": self.fault(),
        }


def slider_of(record: Hyperparameter) -> dict[str, Any] | None:
    """The ends of a slider, {"low", "high", "log"}; None where the record gives nothing to draw one from."""
    default, low, high = record.default, record.low, record.high
    if record.log:
        if not (math.isfinite(default) and default > 0):
            return None
        low = max(low or 0.0, default / 10**DECADES)
        high = min(high or math.inf, default * 10**DECADES)
        return {"low": low, "high": high, "log": True}
    if low is None or high is None:
        return None
    return {"low": low, "high": high, "log": False}


def _whole(text: str) -> int:
    number = float(text)
    if not number.is_integer():
        raise ValueError(text)
    return int(number)
