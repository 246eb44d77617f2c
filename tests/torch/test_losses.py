"""Losses against their formulas in NumPy, at the extremes too, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kit.records import Task  # noqa: E402
from kit_torch import losses, plugin  # noqa: E402

pytestmark = pytest.mark.torch

SOURCE = np.random.default_rng(3)
VALUES, TARGETS = SOURCE.normal(size=(8, 3)), SOURCE.normal(size=(8, 3))
LOGITS, NUMBERS = 3 * SOURCE.normal(size=(8, 4)), SOURCE.integers(4, size=8)
TEXT, TOKENS = SOURCE.normal(size=(2, 5, 4)), SOURCE.integers(4, size=(2, 5))
LOGIT, SIGN = 3 * SOURCE.normal(size=8), SOURCE.integers(2, size=8).astype(float)


def nll(z: Any, y: Any) -> Any:
    """−log softmax(z)_y, by the definition, shifted by the largest."""
    z = z - z.max(-1, keepdims=True)
    return np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, y[..., None], -1)[..., 0]


def rival(z: Any, y: Any) -> Any:
    return np.array([max(z[i, j] for j in range(z.shape[1]) if j != y[i]) for i in range(len(z))])


def huber(e: Any, delta: float) -> Any:
    return np.where(abs(e) <= delta, e**2 / 2, delta * (abs(e) - delta / 2))


ERROR = VALUES - TARGETS
CASES: list[tuple[str, Any, Any, dict[str, float], Any]] = [
    ("mse", VALUES, TARGETS, {}, (ERROR**2).mean(1)),
    ("mse", VALUES[:, 0], TARGETS[:, 0], {}, ERROR[:, 0] ** 2),
    ("mae", VALUES, TARGETS, {}, abs(ERROR).mean(1)),
    ("huber", VALUES, TARGETS, {"delta": 0.7}, huber(ERROR, 0.7).mean(1)),
    ("huber", VALUES[:, 0], TARGETS[:, 0], {"delta": 1.0}, huber(ERROR[:, 0], 1.0)),
    ("cross_entropy", LOGITS, NUMBERS, {}, nll(LOGITS, NUMBERS)),
    ("cross_entropy", TEXT, TOKENS, {}, nll(TEXT, TOKENS).mean(1)),
    (
        "binary_cross_entropy", LOGIT, SIGN, {},
        -SIGN * np.log(1 / (1 + np.exp(-LOGIT))) - (1 - SIGN) * np.log(1 - 1 / (1 + np.exp(-LOGIT))),
    ),
    (
        "hinge", LOGITS, NUMBERS, {},
        np.maximum(0, 1 - LOGITS[np.arange(8), NUMBERS] + rival(LOGITS, NUMBERS)),
    ),
    ("hinge", LOGIT, SIGN, {}, np.maximum(0, 1 - np.where(SIGN == 1, 1, -1) * LOGIT)),
    ("output", LOGIT, SIGN, {}, LOGIT),
]  # fmt: skip
IDENTIFIERS = [f"{name}-{output.ndim}d" for name, output, *_ in CASES]


@pytest.mark.parametrize(("name", "output", "target", "options", "expected"), CASES, ids=IDENTIFIERS)
def test_the_formula(name: str, output: Any, target: Any, options: Any, expected: Any) -> None:
    found = getattr(losses, name)(torch.as_tensor(output), torch.as_tensor(target), **options).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
    assert found.shape == (len(output),)


@pytest.mark.parametrize(("name", "output", "target", "options", "expected"), CASES, ids=IDENTIFIERS)
def test_the_gradient(name: str, output: Any, target: Any, options: Any, expected: Any) -> None:
    leaf = torch.tensor(output, requires_grad=True)
    loss = getattr(losses, name)
    assert torch.autograd.gradcheck(lambda z: loss(z, torch.as_tensor(target), **options), (leaf,))


def test_every_loss_is_tested() -> None:
    assert {record.name for record in plugin.kit_losses()} == {name for name, *_ in CASES}


def test_every_task_has_a_loss() -> None:
    tasks = {task for record in plugin.kit_losses() for task in record.tasks}
    assert tasks == set(Task.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_give_finite_losses_and_gradients(size: float, dtype: Any) -> None:
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
        leaf = torch.tensor(logits, dtype=dtype, requires_grad=True)
        y = torch.tensor(target) if isinstance(target[0], int) else torch.tensor(target, dtype=dtype)
        options = {"delta": 1.0} if name == "huber" else {}
        value = getattr(losses, name)(leaf, y, **options)
        # From −10⁴ for one class: two classes share the rest, log 2.
        assert value.item() == pytest.approx(expected, abs=0.7)
        value.sum().backward()
        assert torch.isfinite(leaf.grad).all()


def test_binary_cross_entropy_at_zero_has_the_gradient_of_the_sigmoid() -> None:
    """max(z, 0) and |z| have a kink at 0 each; together they have none."""
    for y in (0.0, 1.0):
        leaf = torch.zeros(1, requires_grad=True)
        losses.binary_cross_entropy(leaf, torch.tensor([y])).sum().backward()
        assert leaf.grad.item() == pytest.approx(0.5 - y)
