"""Losses against NumPy, their form for stacks against the plain one, and what does not fit them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kit.errors import InvalidValueError
from kit_tensorflow import losses
from kit_tensorflow.environment import tf

pytestmark = pytest.mark.tensorflow

SOURCE = np.random.default_rng(3)
VALUES = SOURCE.normal(size=7)
TARGETS = SOURCE.normal(size=7)
TABLE, TABLE_TARGETS = SOURCE.normal(size=(7, 3)), SOURCE.normal(size=(7, 3))
LOGITS, CLASSES = 3 * SOURCE.normal(size=(7, 4)), SOURCE.integers(4, size=7)
TEXT, NEXT = SOURCE.normal(size=(7, 5, 4)), SOURCE.integers(4, size=(7, 5))
BITS = SOURCE.integers(2, size=7)


def log_softmax(z: Any) -> Any:
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def huber(e: Any) -> Any:
    return np.where(abs(e) <= 0.7, 0.5 * e * e, 0.7 * (abs(e) - 0.35))


def crammer_singer(z: Any, y: Any) -> Any:
    return np.array([max(0.0, 1 - row[c] + max(np.delete(row, c))) for row, c in zip(z, y, strict=True)])


# name, options, output, target, expected
CASES = [
    ("mse", {}, VALUES, TARGETS, (VALUES - TARGETS) ** 2),
    ("mse", {}, TABLE, TABLE_TARGETS, ((TABLE - TABLE_TARGETS) ** 2).mean(axis=1)),
    ("mae", {}, VALUES, TARGETS, abs(VALUES - TARGETS)),
    ("huber", {"delta": 0.7}, VALUES, TARGETS, huber(VALUES - TARGETS)),
    ("huber", {"delta": 0.7}, TABLE, TABLE_TARGETS, huber(TABLE - TABLE_TARGETS).mean(axis=1)),
    ("cross_entropy", {}, LOGITS, CLASSES, -log_softmax(LOGITS)[np.arange(7), CLASSES]),
    (
        "cross_entropy",
        {},
        TEXT,
        NEXT,
        -np.take_along_axis(log_softmax(TEXT), NEXT[..., None], 2)[..., 0].mean(axis=1),
    ),
    (
        "binary_cross_entropy",
        {},
        VALUES,
        BITS,
        np.log1p(np.exp(-np.where(BITS == 1, VALUES, -VALUES))),
    ),
    ("hinge", {}, LOGITS, CLASSES, crammer_singer(LOGITS, CLASSES)),
    ("hinge", {}, VALUES, BITS, np.maximum(0, 1 - (2 * BITS - 1) * VALUES)),
    ("output", {}, VALUES, TARGETS, VALUES),
]


@pytest.mark.parametrize(("name", "options", "output", "target", "expected"), CASES)
def test_a_loss_is_its_formula(name: str, options: Any, output: Any, target: Any, expected: Any) -> None:
    found = getattr(losses, name)(tf.constant(output), tf.constant(target), **options)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(("name", "options", "output", "target", "expected"), [c for c in CASES if c[2].ndim < 3])
def test_the_form_for_stacks_is_the_same(name: str, options: Any, output: Any, target: Any, expected: Any) -> None:
    """(replicates, members, [outputs,] samples) against targets (replicates, 1, [outputs,] samples)."""
    stacked = np.stack([output.T, 2 * output.T])[None]
    found = getattr(losses, name).columns(tf.constant(stacked), tf.constant(target.T[None, None]), **options)
    plain = getattr(losses, name)
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-13, atol=1e-15)
    twice = plain(tf.constant(2 * output), tf.constant(target), **options)
    np.testing.assert_allclose(found[0, 1], twice, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["cross_entropy", "hinge", "binary_cross_entropy"])
def test_logits_of_any_size_give_finite_losses(name: str) -> None:
    """Losses are on logits, so that nothing overflows in between."""
    output = np.array([[1e4, -1e4], [-1e4, 1e4]])
    target = np.array([0, 0])
    if name == "binary_cross_entropy":
        output, target = output[:, 0], np.array([1, 1])
    columns = getattr(losses, name).columns(tf.constant(output.T), tf.constant(target))
    for found in (getattr(losses, name)(tf.constant(output), tf.constant(target)), columns):
        assert found[0] == 0
        assert 1e4 <= found[1] <= 2e4 + 1


@pytest.mark.parametrize("name", ["mse", "mae", "binary_cross_entropy"])
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"'{name}'.*\(samples, 1\).*\(samples\)"):
        getattr(losses, name)(tf.zeros((5, 1)), tf.zeros((5,)))


def test_class_numbers_need_logits() -> None:
    with pytest.raises(InvalidValueError, match=r"one logit for each class.*\(samples\)"):
        losses.cross_entropy(tf.zeros((5,)), tf.zeros((5,), tf.int32))
