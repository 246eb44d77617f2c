"""What an engine gets: split, standardised on the training split alone, cast, bounded."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from kit.data import Data, prepare
from kit.data import split as splitting
from kit.data import view as viewing
from kit.data.split import split
from kit.errors import DataError, InvalidValueError

RNG = np.random.default_rng(0)
X = RNG.normal(5.0, 3.0, (90, 4))
LABELS = np.arange(90) % 3
CLASSES = ("a", "b", "c")


def classification(**more):
    return Data(x=X, y=LABELS, task="classification", classes=CLASSES, **more)


def regression(y=None, **more):
    return Data(x=X, y=X @ [1.0, 2.0, 3.0, 4.0] if y is None else y, task="regression", **more)


def test_statistics_come_from_the_training_split_alone():
    data = classification()
    ready = prepare(data, seed=0, replicates=[0, 1], dtype="float64")
    for r in range(2):
        train, held = split(data, 0, r, 0.2)
        oracle = StandardScaler().fit(X[train[:]])
        np.testing.assert_allclose(ready.train.x[r], oracle.transform(X[train[:]]), atol=1e-12)
        np.testing.assert_allclose(ready.evaluation["validation"].x[r], oracle.transform(X[held[:]]), atol=1e-12)
        assert np.array_equal(ready.train.y[r], LABELS[train[:]])
        assert np.array_equal(ready.evaluation["validation"].y[r], LABELS[held[:]])


def test_statistics_do_not_see_the_validation_rows():
    """Moving a held-out row far away changes no training sample."""
    data = classification()
    held = split(data, 0, 0, 0.2)[1][:]
    moved = X.copy()
    moved[held[0]] = 1e9
    other = Data(x=moved, y=LABELS, task="classification", classes=CLASSES)
    ours, theirs = (prepare(d, seed=0, replicates=[0], dtype="float64") for d in (data, other))
    assert np.array_equal(ours.train.x, theirs.train.x)


def test_shapes_and_types():
    ready = prepare(classification(image_shape=(2, 2, 1)), seed=0, replicates=[3, 5], dtype="float32")
    assert ready.train.x.shape == (2, 72, 4)
    assert ready.train.x.dtype == np.float32
    assert ready.train.y.dtype == np.int64
    assert ready.rows == 72
    assert ready.inputs.outputs == 3
    assert ready.inputs.shape == (4,)
    assert ready.inputs.image_shape == (2, 2, 1)
    assert ready.evaluation["train"] is ready.train
    assert not ready.streamed


def test_bfloat16_runs_get_float32():
    assert prepare(classification(), seed=0, replicates=[0], dtype="bfloat16").train.x.dtype == np.float32


def test_double_precision_rounds_once():
    double = prepare(regression(), seed=0, replicates=[0], dtype="float64")
    single = prepare(regression(), seed=0, replicates=[0], dtype="float32")
    assert np.array_equal(double.train.x.astype(np.float32), single.train.x)
    assert np.array_equal(double.train.y.astype(np.float32), single.train.y)


def test_a_replicate_is_the_same_in_any_company():
    alone = prepare(classification(), seed=0, replicates=[5])
    beside = prepare(classification(), seed=0, replicates=[3, 5])
    assert np.array_equal(alone.train.x[0], beside.train.x[1])
    assert np.array_equal(alone.evaluation["validation"].x[0], beside.evaluation["validation"].x[1])


def test_regression_targets_are_standardised_and_can_be_read_back():
    ready = prepare(regression(), seed=0, replicates=[0], dtype="float64")
    assert ready.train.y.mean() == pytest.approx(0, abs=1e-12)
    assert ready.train.y.std() == pytest.approx(1)
    x_scale, y_scale = ready.scales[0]
    np.testing.assert_allclose(x_scale.undo(ready.train.x[0]) @ [1, 2, 3, 4], y_scale.undo(ready.train.y[0]))


def test_several_targets_each_have_their_scale():
    y = np.stack([X[:, 0], 100 * X[:, 1]], axis=1)
    ready = prepare(regression(y), seed=0, replicates=[0], dtype="float64")
    assert ready.inputs.outputs == 2
    assert ready.train.y.shape == (1, 72, 2)
    np.testing.assert_allclose(ready.train.y[0].std(axis=0), 1.0)


def test_unstandardised_data_are_left_as_they_are():
    ready = prepare(regression(), seed=0, replicates=[0], standardise=False, dtype="float64", validation_fraction=0)
    assert np.array_equal(ready.train.x[0], X)
    assert np.array_equal(ready.train.y[0], X @ [1.0, 2.0, 3.0, 4.0])


def test_without_validation_all_replicates_share_one_block():
    ready = prepare(classification(), seed=0, replicates=[0, 1, 2], validation_fraction=0)
    assert ready.train.x.shape == (1, 90, 4)
    assert list(ready.evaluation) == ["train"]


def test_given_validation_data_are_shared_and_scaled_by_the_training_data():
    held = RNG.normal(50, 1, (8, 4))
    data = classification(x_validation=held, y_validation=np.arange(8) % 3)
    ready = prepare(data, seed=0, replicates=[0, 1], dtype="float64")
    assert ready.rows == data.training_rows(0.2) == 90
    assert ready.train.x.shape == (1, 90, 4)
    np.testing.assert_allclose(ready.evaluation["validation"].x[0], StandardScaler().fit(X).transform(held))


def test_token_numbers_stay_whole():
    tokens = RNG.integers(0, 7, (50, 8)).astype(np.uint8)
    data = Data(x=tokens, y=np.roll(tokens, -1, axis=1), task="language", tokens=7)
    ready = prepare(data, task="language", seed=0, replicates=[0])
    assert ready.train.x.dtype == ready.train.y.dtype == np.int64
    assert ready.train.y.shape == (1, 40, 8)
    assert ready.inputs.outputs == ready.inputs.tokens == 7
    assert ready.scales == ((None, None),)


def test_two_classes_as_one_output():
    data = Data(x=X, y=(LABELS > 0).astype(int), task="classification", classes=("no", "yes"))
    ready = prepare(data, task="binary", seed=0, replicates=[0])
    assert ready.inputs.outputs == 1
    assert ready.inputs.task == "binary"
    assert ready.train.y.dtype == np.float32
    assert set(np.unique(ready.train.y)) == {0.0, 1.0}
    plain = prepare(data, task="classification", seed=0, replicates=[0])
    assert plain.inputs.outputs == 2
    assert np.array_equal(plain.train.y, ready.train.y)  # the same rows: the split does not hang on the loss


def test_three_classes_are_not_binary():
    with pytest.raises(DataError, match="two classes; these data are for classification, with 3 classes"):
        prepare(classification(), task="binary", seed=0, replicates=[0])
    with pytest.raises(InvalidValueError, match="does not fit"):
        prepare(classification(), task="regression", seed=0, replicates=[0])


def test_evaluation_is_bounded_fixed_and_without_repeats():
    y = np.arange(3000, dtype=float)
    data = Data(x=y[:, None], y=y, task="regression")
    kind = {"seed": 0, "standardise": False, "dtype": "float64", "evaluated_rows": 500}
    ready = prepare(data, replicates=[0, 1], **kind)
    train, validation = ready.evaluation["train"], ready.evaluation["validation"]
    assert train.x.shape == (2, 500, 1)
    assert validation.x.shape == (2, 500, 1)
    for r in range(2):
        assert len(np.unique(train.y[r])) == 500
        assert set(train.y[r]) <= set(ready.train.y[r])
        assert not set(validation.y[r]) & set(ready.train.y[r])
    assert np.array_equal(train.x, prepare(data, replicates=[0, 1], **kind).evaluation["train"].x)


def test_few_large_samples_are_evaluated(monkeypatch):
    monkeypatch.setattr(viewing, "EVALUATED_VALUES", 40)
    assert prepare(classification(), seed=0, replicates=[0]).evaluation["train"].x.shape == (1, 10, 4)


def test_statistics_of_large_data_are_those_of_a_sample(monkeypatch):
    for module, name, value in [
        (splitting, "BLOCK", 8),
        (splitting, "POOL", 256),
        (viewing, "POOL", 256),
        (viewing, "BLOCK", 8),
    ]:
        monkeypatch.setattr(module, name, value)
    x = np.random.default_rng(0).normal(3, 2, (5000, 2))
    data = Data(x=x, y=x[:, 0], task="regression")
    ready = prepare(data, seed=0, replicates=[0, 1], dtype="float64")
    assert ready.train.x.shape[0] == 1
    scale = ready.scales[0][0]
    assert not np.array_equal(scale.mean, x.mean(axis=0))
    # The standard error of a mean of 256 is 2/16.
    np.testing.assert_allclose(scale.mean, 3, atol=5 * 2 / 16)
    np.testing.assert_allclose(scale.deviation, 2, rtol=0.25)


def test_values_that_single_precision_cannot_hold_are_said():
    big = X.copy()
    big[3, 1] = 1e39
    data = Data(x=big, y=LABELS, task="classification", classes=CLASSES)
    with pytest.raises(DataError, match="x is 1e\\+39 at row 3, too large for the precision float32"):
        prepare(data, seed=0, replicates=[0], standardise=False, validation_fraction=0)


def test_an_objective_has_one_row_and_no_validation():
    data = Data(x=np.zeros((1, 1)), y=np.zeros(1), task="objective")
    ready = prepare(data, task="objective", seed=0, replicates=[0, 1])
    assert ready.rows == data.training_rows(0.2) == 1
    assert list(ready.evaluation) == ["train"]
