"""Experiments and studies as values: equality, JSON, faults said in a sentence."""

import json

import numpy as np
import pytest

import kit
from kit.choice import Choice
from kit.errors import InvalidValueError, UnknownNameError
from kit.records import BackendSpec
from kit.registry import Offer, Registry
from kit.resolve import Resolver


def resolved(experiment):
    return Resolver(Registry.load()).resolve(experiment)


def test_an_experiment_survives_json_and_hashes_by_content(base):
    one = base.replace(model=kit.model("linear"), schedule=kit.schedule("cosine", final=0.1), probes=("gradient_norm",))
    again = kit.Experiment.from_json(one.to_json())
    assert again == one
    assert hash(again) == hash(one)
    assert again != one.replace(seed=1)
    assert json.loads(one.to_json())["budget"] == {"steps": 40}


def test_a_list_from_json_equals_the_tuple_that_was_written():
    one = kit.Experiment(model=kit.model("mlp", hidden=(32, 16)))
    assert kit.Experiment.from_json(one.to_json()) == one


def test_a_study_survives_json(base):
    study = base.vary(
        optimizer=["sgd", kit.optimizer("adam", beta2=0.99)], learning_rate=[0.1, 0.01], replicate=range(2)
    )
    again = kit.Study.from_json(study.to_json())
    assert again == study
    assert len(again) == 8
    assert list(again.axes) == ["optimizer", "learning_rate", "replicate"]


def test_axes_multiply_in_the_order_given(base):
    study = base.vary(learning_rate=[0.1, 0.2], optimizer=["sgd", "adam"])
    rates = [e.optimizer.options["learning_rate"] for e in study.experiments]
    assert rates == [0.1, 0.1, 0.2, 0.2]
    assert [e.optimizer.name for e in study.experiments] == ["sgd", "adam"] * 2


def test_the_run_id_depends_on_content_alone(base):
    assert resolved(base).run_id == resolved(base.replace(optimizer=kit.optimizer("adam", beta1=0.9))).run_id
    ids = {
        resolved(base.replace(**change)).run_id for change in ({}, {"seed": 1}, {"replicate": 1}, {"dtype": "float32"})
    }
    assert len(ids) == 4


def test_batch_sizes_are_those_that_the_algorithms_mean(base):
    sizes = {
        name: resolved(base.replace(optimizer=name)).specification["batch_size"] for name in ("gd", "sgd", "minibatch")
    }
    assert sizes == {"gd": 120, "sgd": 1, "minibatch": 16}


def test_epochs_and_samples_become_steps(base):
    assert resolved(base.replace(budget={"epochs": 2})).specification["budget"] == {"steps": 15}
    assert resolved(base.replace(budget={"samples": 100})).specification["budget"] == {"steps": 7}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"optimizer": "adm"}, UnknownNameError, ["adm", "Did you mean 'adam'", "sgd"]),
        ({"dataset": "digit"}, UnknownNameError, ["Did you mean 'digits'"]),
        ({"backend": "numpi"}, UnknownNameError, ["numpi", "numpy"]),
        ({"optimizer": kit.optimizer("adam", beta1=1.5)}, InvalidValueError, ["beta1=1.5", "[0, 1)"]),
        ({"optimizer": kit.optimizer("adam", beta3=0.5)}, UnknownNameError, ["beta3", "beta1"]),
        ({"optimizer": kit.optimizer("adam", learning_rate=-1.0)}, InvalidValueError, ["learning_rate=-1.0"]),
        ({"loss": "mse"}, InvalidValueError, ["mse", "classification", "cross_entropy"]),
        ({"batch_size": 200}, InvalidValueError, ["200", "120"]),
        ({"dataset": "characters"}, InvalidValueError, ["linear", "language"]),
        ({"schedule": kit.schedule("cosine", finale=1)}, UnknownNameError, ["finale", "final"]),
    ],
)
def test_a_mistake_is_said_with_the_value_and_the_choices(base, change, error, words):
    with pytest.raises(error) as said:
        resolved(base.replace(**change))
    for word in words:
        assert word in str(said.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batchsize": 3}, ["batchsize", "Did you mean 'batch_size'"]),
        ({"batch_size": 0}, ["0", "at least 1"]),
        ({"batch_size": "many"}, ["batch_size", "many"]),
        ({"dtype": "float16"}, ["float16", "float32"]),
        ({"budget": {"steps": 0}}, ["steps=0"]),
        ({"budget": {"steps": 1, "seconds": 2}}, ["one of steps"]),
        ({"validation_fraction": 1.0}, ["1.0", "[0, 1)"]),
        ({"seed": -1}, ["-1"]),
    ],
)
def test_a_faulty_field_is_said_at_once(fields, words):
    with pytest.raises(InvalidValueError) as said:
        kit.Experiment(**fields)
    for word in words:
        assert word in str(said.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 99, "experiments": []}', '{"format":1,"experiments":[]}']
)
def test_a_damaged_study_file_is_refused_in_a_sentence(text):
    with pytest.raises(InvalidValueError):
        kit.Study.from_json(text)


def test_a_newer_experiment_is_refused_by_its_format(base):
    document = json.loads(base.to_json()) | {"format": 2}
    with pytest.raises(InvalidValueError, match="format 2"):
        kit.Experiment.from_json(json.dumps(document))


def test_own_arrays_are_named_by_their_content(base):
    x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    one, same = base.replace(dataset=(x, y)), base.replace(dataset=(x.copy(), y.copy()))
    assert one == same
    assert one != base.replace(dataset=(x + 1, y))
    with pytest.raises(InvalidValueError, match="not stored"):
        resolved(kit.Experiment.from_json(one.to_json()))


def test_log_grid_has_both_ends_and_even_ratios():
    grid = kit.log_grid(1e-4, 1, per_decade=4)
    assert grid[0] == 1e-4
    assert grid[-1] == 1.0
    assert len(grid) == 17
    np.testing.assert_allclose(np.diff(np.log10(grid)), 0.25, atol=2e-4)
    with pytest.raises(InvalidValueError, match="low"):
        kit.log_grid(0, 1)


def test_a_function_belongs_to_the_backend_whose_package_defines_it():
    """As `optax.adam` does; a function of the user's own says nothing."""
    requires = {"one": ("json",), "other": ("csv",)}
    offers = [
        Offer(
            record=BackendSpec(name=name, engine="nowhere:Engine", requires=packages),
            distribution="kit-some",
            version="1",
            plugin=name,
        )
        for name, packages in requires.items()
    ]
    resolver = Resolver(Registry(offers=tuple(offers)))
    assert resolver.backend_of(Choice.of(json.dumps)) == "one"
    assert resolver.backend_of(Choice.of(lambda: None)) is None
