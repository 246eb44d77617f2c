"""Losses against their formulas in NumPy, at the extremes too, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from kit.records import TASKS  # noqa: E402
from kit_jax import losses, plugin  # noqa: E402
from kit_jax.environment import jnp  # noqa: E402

pytestmark = pytest.mark.jax

SOURCE = np.random.default_rng(3)
VALUES, TARGETS = SOURCE.normal(size=(8, 3)), SOURCE.normal(size=(8, 3))
LOGITS, NUMBERS = 3 * SOURCE.normal(size=(8, 4)), SOURCE.integers(4, size=8)
TEXT, TOKENS = SOURCE.normal(size=(2, 5, 4)), SOURCE.integers(4, size=(2, 5))
LOGIT, SIGN = 3 * SOURCE.normal(size=8), SOURCE.integers(2, size=8).astype(float)
ERROR = VALUES - TARGETS


def nll(z: Any, y: Any) -> Any:
    """−log softmax(z)_y, by the definition, shifted by the largest."""
    z = z - z.max(-1, keepdims=True)
    return np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, y[..., None], -1)[..., 0]


def rival(z: Any, y: Any) -> Any:
    return np.array([max(z[i, j] for j in range(z.shape[1]) if j != y[i]) for i in range(len(z))])


def huber(e: Any, delta: float) -> Any:
    return np.where(abs(e) <= delta, e**2 / 2, delta * (abs(e) - delta / 2))


SIGMOID = 1 / (1 + np.exp(-LOGIT))
CASES: list[tuple[str, Any, Any, dict[str, float], Any]] = [
    ("mse", VALUES, TARGETS, {}, (ERROR**2).mean(1)),
    ("mse", VALUES[:, 0], TARGETS[:, 0], {}, ERROR[:, 0] ** 2),
    ("mae", VALUES, TARGETS, {}, abs(ERROR).mean(1)),
    ("huber", VALUES, TARGETS, {"delta": 0.7}, huber(ERROR, 0.7).mean(1)),
    ("cross_entropy", LOGITS, NUMBERS, {}, nll(LOGITS, NUMBERS)),
    ("cross_entropy", TEXT, TOKENS, {}, nll(TEXT, TOKENS).mean(1)),
    ("binary_cross_entropy", LOGIT, SIGN, {}, -SIGN * np.log(SIGMOID) - (1 - SIGN) * np.log(1 - SIGMOID)),
    ("hinge", LOGITS, NUMBERS, {}, np.maximum(0, 1 - LOGITS[np.arange(8), NUMBERS] + rival(LOGITS, NUMBERS))),
    ("hinge", LOGIT, SIGN, {}, np.maximum(0, 1 - np.where(SIGN == 1, 1, -1) * LOGIT)),
    ("output", LOGIT, SIGN, {}, LOGIT),
]
IDENTIFIERS = [f"{name}-{output.ndim}d" for name, output, *_ in CASES]


@pytest.mark.parametrize(("name", "output", "target", "options", "expected"), CASES, ids=IDENTIFIERS)
def test_the_formula_and_its_gradient(name: str, output: Any, target: Any, options: Any, expected: Any) -> None:
    def loss(z: Any) -> Any:
        return getattr(losses, name)(z, jnp.asarray(target), **options)

    found, back = jax.vjp(loss, jnp.asarray(output))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
    assert found.shape == (len(output),)
    (gradient,) = back(np.ones(len(output)))
    direction = np.random.default_rng(0).normal(size=output.shape)
    ends = [np.asarray(loss(jnp.asarray(output + step * direction))).sum() for step in (1e-6, -1e-6)]
    np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-7, atol=1e-8)


def test_every_loss_is_tested_and_every_task_has_one() -> None:
    assert {record.name for record in plugin.kit_losses()} == {name for name, *_ in CASES}
    assert {task for record in plugin.kit_losses() for task in record.tasks} == set(TASKS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_give_finite_losses_and_gradients(size: float, dtype: str) -> None:
    """A logit of ±10⁴ costs 10⁴ on the wrong side, nothing on the right one."""
    for name, logits, target, expected in [
        ("cross_entropy", [[size, 0.0, 0.0]], [0], max(0.0, -size)),
        ("cross_entropy", [[size, 0.0, 0.0]], [1], max(0.0, size)),
        ("binary_cross_entropy", [size], [1.0], max(0.0, -size)),
        ("binary_cross_entropy", [size], [0.0], max(0.0, size)),
        ("hinge", [[size, 0.0, 0.0]], [0], max(0.0, 1 - size)),
        ("hinge", [size], [1.0], max(0.0, 1 - size)),
        ("huber", [size], [0.0], abs(size) - 0.5),
    ]:
        y = np.array(target) if isinstance(target[0], int) else np.array(target, dtype)
        options = {"delta": 1.0} if name == "huber" else {}

        def total(z: Any, name: str = name, y: Any = y, options: Any = options) -> Any:
            return getattr(losses, name)(z, jnp.asarray(y), **options).sum()

        value, gradient = jax.value_and_grad(total)(jnp.asarray(logits, dtype))
        # From −10⁴ for one class: two classes share the rest, log 2.
        assert float(value) == pytest.approx(expected, abs=0.7)
        assert value.dtype == dtype
        assert np.isfinite(gradient).all()


def test_a_loss_that_is_nearly_zero_keeps_its_digits() -> None:
    """log(1 + e^−20) in float32: a difference of two large numbers would give 0."""
    found = losses.binary_cross_entropy(jnp.asarray([20.0, -20.0], "float32"), jnp.asarray([1.0, 0.0], "float32"))
    np.testing.assert_allclose(found, np.log1p(np.exp(-20.0)), rtol=1e-5)


def test_binary_cross_entropy_at_zero_has_the_gradient_of_the_sigmoid() -> None:
    """max(z, 0) and |z| have a kink at 0 each; together they have none."""
    for y in (0.0, 1.0):
        slope = jax.grad(lambda z, y=y: losses.binary_cross_entropy(z, jnp.asarray([y])).sum())(jnp.zeros(1))
        assert float(slope[0]) == pytest.approx(0.5 - y)
