"""A hyperparameter as a control: what is typed, what it means, and what is said where it means nothing."""

import math

import pytest

import kit
from kit.errors import InvalidValueError
from kit.laboratory.controls import Control, slider_of, text_of
from kit.records import Hyperparameter

RATE = Hyperparameter(name="rate", default=0.01, low=0.0, log=True)
SHARE = Hyperparameter(name="share", default=0.9, low=0.0, high=1.0, bounds="[)")
WIDTHS = Hyperparameter(name="widths", default=(32,), low=1)
COUNT = Hyperparameter(name="count", default=3, low=1)
SIDE = Hyperparameter(name="side", default=3, choices=(1, 3, 5))
FLAG = Hyperparameter(name="flag", default=False)


def control(record, text):
    return Control.of(record, "optimizer 'x'", record.default).with_text(text)


@pytest.mark.parametrize(
    ("record", "text", "value"),
    [
        (RATE, "1e-3", 0.001),
        (RATE, " 2 ", 2.0),
        (RATE, "inf", math.inf),
        (WIDTHS, "64, 32", (64, 32)),
        (WIDTHS, "64 32", (64, 32)),
        (WIDTHS, "()", ()),
        (COUNT, "12", 12),
        (COUNT, "1e3", 1000),
        (SIDE, "5", 5),
        (FLAG, "true", True),
        (FLAG, "no", False),
    ],
)
def test_what_is_typed_has_a_value(record, text, value):
    found = control(record, text).value()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("record", "text", "said"),
    [
        (RATE, "", "optimizer 'x': rate is empty; it must be in [0, inf)."),
        (RATE, "fast", "rate='fast' is not valid; it must be a number, in [0, inf)."),
        (RATE, "-1", "rate=-1.0 is not valid; it must be in [0, inf)."),
        (RATE, "nan", "rate=nan is not valid"),
        (SHARE, "1", "share=1.0 is not valid; it must be in [0, 1)."),
        (COUNT, "2.5", "count='2.5' is not valid; it must be a whole number"),
        (COUNT, "inf", "count='inf' is not valid"),
        (SIDE, "4", "it must be one of 1, 3, 5."),
        (WIDTHS, "64, wide", "it must be numbers, separated by commas"),
        (WIDTHS, "0", "widths=(0,) is not valid"),
        (FLAG, "perhaps", "it must be yes or no"),
    ],
)
def test_what_has_no_value_is_said_in_one_sentence(record, text, said):
    faulty = control(record, text)
    assert said in faulty.fault()
    assert "\n" not in faulty.fault()
    with pytest.raises(InvalidValueError):
        faulty.value()
    assert faulty.document()["text"] == text  # what was typed stays where it can be mended


def test_every_default_of_every_plugin_survives_its_own_field(monkeypatch):
    monkeypatch.delenv("KIT_PLUGINS")
    registry = kit.Registry.load()
    records = [h for offer in registry.offers for h in offer.record.hyperparameters]
    assert len(records) > 100
    for record in records:
        fresh = Control.of(record, "x", record.default)
        assert fresh.value() == record.default, record
        assert not fresh.changed()
        assert fresh.kind == "choice" or fresh.kind in ("switch", "number", "whole", "list", "text")


def test_an_optional_field_may_be_empty():
    empty = Control.of(COUNT, "the lab", None, optional=True)
    assert empty.value() is None
    assert not empty.fault()
    assert empty.with_text("0").fault()


def test_sliders_follow_the_record():
    assert slider_of(RATE) == {"low": 1e-5, "high": 10.0, "log": True}
    assert slider_of(SHARE) == {"low": 0.0, "high": 1.0, "log": False}
    assert slider_of(Hyperparameter(name="clip", default=math.inf, low=0.0, bounds="(]", log=True)) is None
    assert slider_of(Hyperparameter(name="free", default=1.0)) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-8, "1e-8"),
        (0.001, "0.001"),
        (1e6, "1e6"),
        (0.1 + 0.2, "0.30000000000000004"),
        ((64, 32), "64, 32"),
        (500.0, "500"),
    ],
)
def test_values_are_written_as_one_types_them(value, text):
    assert text_of(value) == text
