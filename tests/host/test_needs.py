"""The record that says how a native optimizer is driven, and what the host makes of it."""

from __future__ import annotations

import pytest

from kit.errors import PluginError
from kit.needs import FACTS, Needs
from kit.records import OptimizerSpec


def test_the_plain_loop_needs_nothing() -> None:
    assert Needs().said() == ""
    assert Needs() == Needs(facts={})
    assert hash(Needs(facts={"num_iterations": "steps"})) == hash(Needs(facts={"num_iterations": "steps"}))


@pytest.mark.parametrize(
    ("needs", "fault"),
    [
        ({"closure": "twice"}, "closure is 'twice'"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"parameters": "groups"}, "parameters is 'groups'"),
        ({"matrices": "only"}, "a companion for the rest go together"),
        ({"companion": "torch.optim:AdamW"}, "a companion for the rest go together"),
        ({"matrices": "only", "companion": "AdamW"}, "must read 'package.module:attribute'"),
        ({"matrices": "flagged"}, "a flag go together"),
        ({"facts": {"horizon": "years"}}, "the fact 'years', but there are " + ", ".join(FACTS)),
    ],
)
def test_every_fault_is_said(needs: dict[str, object], fault: str) -> None:
    with pytest.raises(PluginError, match="The needs of an optimizer are not valid") as caught:
        Needs(**needs)  # type: ignore[arg-type]
    assert fault in str(caught.value)


def test_all_faults_come_in_one_message() -> None:
    with pytest.raises(PluginError, match=r"closure is 'x'.*evaluations is -1"):
        Needs(closure="x", evaluations=-1)  # type: ignore[arg-type]


def test_needs_in_words() -> None:
    needs = Needs(closure="after", second_order=True, parameters="named", rate="max_lr", facts={"n": "samples"})
    assert needs.said() == (
        "gradients, then a closure that takes them again, gradients that can be differentiated, named parameters, "
        "a learning rate called 'max_lr', samples as 'n'"
    )


def test_a_rule_has_no_needs() -> None:
    with pytest.raises(PluginError, match="needs are a native optimizer's"):
        OptimizerSpec(name="mine", rule="kit.rules.adam:Adam", needs=Needs(second_order=True))
    with pytest.raises(PluginError, match=r"must be a kit\.needs\.Needs"):
        OptimizerSpec(name="mine", backend="torch", native="torch.optim:Adam", needs={"closure": "only"})  # type: ignore[arg-type]
