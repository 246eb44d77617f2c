"""Options that make a larger model fit: they stand in a document only where they are used, and misfits are said."""

import json
import re

import pytest

import kit
from kit.errors import InvalidValueError, KitError
from kit.levers import LEVERS, parts, segments
from kit.parallel import share, used
from kit.records import BackendSpec
from kit.registry import Registry
from kit.resolve import Resolver

TORCH = {"backend": "torch", "dataset": "iris", "model": "mlp"}


@pytest.fixture
def resolve(monkeypatch):
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy,torch")
    resolver = Resolver(Registry.load())
    return lambda **fields: resolver.resolve(kit.Experiment(**{**TORCH, **fields}))


def test_a_run_without_them_is_named_as_before_there_were_any(resolve):
    plain = kit.Experiment(**TORCH)
    assert not set(LEVERS) & set(plain.document())
    assert resolve().run_id == resolve(gradient_accumulation=1, activation_checkpointing=False).run_id
    assert not set(LEVERS) & set(resolve().specification)


def test_used_they_are_part_of_what_a_run_is(resolve):
    used = {"gradient_accumulation": 4, "activation_checkpointing": True}
    one = kit.Experiment(**TORCH, **used)
    assert kit.Experiment.from_json(one.to_json()) == one
    assert json.loads(one.to_json())["gradient_accumulation"] == 4
    found = resolve(**used)
    assert {name: found.specification[name] for name in used} == used
    assert found.specification["batch_size"] == 64
    assert len({found.run_id, resolve().run_id, resolve(gradient_accumulation=4).run_id}) == 3


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"gradient_accumulation": 0}, "gradient_accumulation=0 is not valid; it must be at least 1"),
        ({"gradient_accumulation": 65}, "gradient_accumulation=65 is not valid: a step uses a batch of 64"),
        ({"gradient_accumulation": 2, "optimizer": "sgd"}, "a step uses a batch of 1, which has at most 1 parts"),
        (
            {"backend": "numpy", "model": "linear", "gradient_accumulation": 2},
            "backend 'numpy' has no gradient_accumulation; it has no such option",
        ),
    ],
)
def test_what_does_not_fit_is_said(resolve, fields, said):
    with pytest.raises(InvalidValueError, match=said):
        resolve(**fields)


def test_parts_are_equal_but_for_a_smaller_last_one():
    assert parts(12, 3) == [(0, 4), (4, 8), (8, 12)]
    assert parts(10, 4) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert parts(5, 5) == [(i, i + 1) for i in range(5)]
    for batch in range(1, 40):
        for count in range(1, batch + 1):
            found = parts(batch, count)
            assert len(found) <= count
            assert [i for start, stop in found for i in range(start, stop)] == list(range(batch))


def test_blocks_stand_alone_and_simple_stages_go_by_root_n():
    assert segments([True, True, True]) == [(0, 1), (1, 2), (2, 3)]
    assert segments([False] * 9) == [(0, 3), (3, 6), (6, 9)]
    assert segments([False, True, True, False]) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert segments([]) == []


def test_the_command_line_has_them():
    from kit.cli.compare import study_of

    given = {"gradient_accumulation": 4, "activation_checkpointing": True, "devices": 2, "parallel": "ddp"}
    study = study_of({**given, "backend": "torch"})
    assert all({name: getattr(e, name) for name in given} == given for e in study.experiments)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"devices": 0}, "devices=0 is not valid; it must be at least 1"),
        ({"parallel": "ddp"}, "parallel='ddp' divides a run among several devices; give devices=2 or more"),
        ({"devices": 2, "parallel": "dpp"}, "Did you mean 'ddp'?"),
        ({"devices": 2, "optimizer": "sgd"}, "a step uses a batch of 1, which cannot be divided"),
        ({"devices": 2, "strategy": "views"}, "strategy='views' is for a run on one device; on 2 it is 'ddp'"),
    ],
)
def test_devices_that_do_not_fit_are_said(resolve, fields, said):
    with pytest.raises(KitError, match=re.escape(said)):
        resolve(**fields)


def test_several_devices_are_part_of_what_a_run_is(resolve):
    found = resolve(devices=2)
    assert (found.specification["devices"], found.specification["parallel"]) == (2, "ddp")
    assert found.run_id == resolve(devices=2, parallel="ddp").run_id != resolve().run_id
    assert not {"devices", "parallel"} & set(resolve().specification)


def test_shares_are_the_whole_batch_in_order():
    for batch in range(1, 30):
        for devices in range(1, batch + 1):
            cut = [share(batch, part, devices) for part in range(devices)]
            assert [i for start, stop in cut for i in range(start, stop)] == list(range(batch))
            assert max(b - a for a, b in cut) - min(b - a for a, b in cut) <= 1


def test_a_backend_that_trains_on_one_device_says_so():
    plain = BackendSpec(name="plain", engine="nowhere:Engine")
    with pytest.raises(InvalidValueError, match="backend 'plain' trains on one device; leave out devices=2"):
        used(kit.Experiment(devices=2), plain, 64)
