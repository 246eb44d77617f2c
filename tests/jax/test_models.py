"""The built-in models: outputs, gradients against finite differences, and by hand what frameworks do differently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from kit import architectures  # noqa: E402
from kit.engine import InputSpec  # noqa: E402
from kit.families import FAMILIES  # noqa: E402
from kit.seeds import initial  # noqa: E402
from kit_jax import models  # noqa: E402
from kit_jax.environment import jnp  # noqa: E402

pytestmark = pytest.mark.jax

FLAT = InputSpec(shape=(6,), outputs=3, task="classification")
BINARY = InputSpec(shape=(6,), outputs=1, task="binary")
VALUES = InputSpec(shape=(6,), outputs=2, task="regression")
IMAGE = InputSpec(shape=(5, 4, 2), outputs=3, task="classification")
FLAT_IMAGE = InputSpec(shape=(64,), outputs=10, task="classification", image_shape=(8, 8, 1))
TEXT = InputSpec(shape=(5,), outputs=7, task="language", tokens=7)
POINT = InputSpec(shape=(1,), outputs=1, task="objective")

CASES: list[tuple[str, InputSpec, dict[str, Any], tuple[int, ...]]] = [
    ("linear", VALUES, {}, (2, 2)),
    ("logistic", BINARY, {}, (2,)),
    ("mlp", FLAT, {"hidden": (4, 3), "activation": "tanh"}, (2, 3)),
    ("mlp", BINARY, {"activation": "gelu"}, (2,)),
    ("mlp", VALUES, {"hidden": (), "activation": "silu"}, (2, 2)),
    ("mlp", IMAGE, {"hidden": (3,), "activation": "sigmoid"}, (2, 3)),
    ("cnn", IMAGE, {"channels": (2, 3, 2), "hidden": 4, "activation": "tanh"}, (2, 3)),
    ("cnn", FLAT_IMAGE, {"channels": (2,), "kernel": 5, "hidden": 3, "activation": "silu"}, (2, 10)),
    ("transformer", TEXT, {"width": 4, "heads": 2, "blocks": 2, "mlp_ratio": 2}, (2, 5, 7)),
    ("quadratic", POINT, {"condition": 5.0}, (2,)),
    ("rosenbrock", POINT, {}, (2,)),
    ("beale", POINT, {}, (2,)),
    ("himmelblau", POINT, {}, (2,)),
    ("saddle", POINT, {}, (2,)),
]
IDENTIFIERS = [f"{name}-{inputs.task}-{i}" for i, (name, inputs, *_) in enumerate(CASES)]


def samples(inputs: InputSpec) -> Any:
    source = np.random.default_rng(1)
    if inputs.tokens:
        return source.integers(inputs.tokens, size=(2, *inputs.shape))
    return source.normal(size=(2, *inputs.shape))


def started(name: str, inputs: InputSpec, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The compiled function, and its start as the host draws it."""
    apply = jax.jit(getattr(models, name)(inputs=inputs, **options))
    return apply, initial(getattr(architectures, name)(inputs, **options), 0, 0)


def test_every_family_is_tested() -> None:
    assert {name for name, *_ in CASES} == set(FAMILIES)


@pytest.mark.parametrize(("name", "inputs", "options", "shape"), CASES, ids=IDENTIFIERS)
def test_outputs_and_gradients(name: str, inputs: InputSpec, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    apply, start = started(name, inputs, options)
    source, x = np.random.default_rng(2), samples(inputs)
    # Away from zero biases, so that no unit sits on a kink.
    start = {key: value + 0.3 * source.normal(size=value.shape) for key, value in start.items()}
    weights = source.normal(size=shape)
    assert apply(start, x).shape == shape
    gradient = jax.jit(jax.grad(lambda p: (apply(p, x) * weights).sum()))(start)
    for key, value in start.items():
        direction = source.normal(size=value.shape)
        ends = [(apply({**start, key: value + step * direction}, x) * weights).sum() for step in (1e-6, -1e-6)]
        slope = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose((gradient[key] * direction).sum(), slope, rtol=1e-5, atol=1e-7)


def test_a_cnn_by_hand() -> None:
    """Pixel by pixel: symmetric zeros, pooling rounded down, flattened as (height, width, channels)."""
    apply, p = started("cnn", IMAGE, {"channels": (3,), "hidden": 4})
    x = samples(IMAGE)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    convolved = np.zeros((2, 5, 4, 3))
    for i in range(5):
        for j in range(4):
            window = padded[:, i : i + 3, j : j + 3]  # (2, 3, 3, channels)
            convolved[:, i, j] = np.einsum("bhwc,ochw->bo", window, p["conv.0.weight"]) + p["conv.0.bias"]
    active = np.maximum(convolved, 0)
    pooled = np.array(
        [[active[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2)) for j in range(2)] for i in range(2)]
    )
    flat = pooled.transpose(2, 0, 1, 3).reshape(2, -1)
    hidden = np.maximum(flat @ p["dense.0.weight"].T + p["dense.0.bias"], 0)
    expected = hidden @ p["dense.1.weight"].T + p["dense.1.bias"]
    np.testing.assert_allclose(apply(p, x), expected, rtol=1e-12)


def test_the_first_of_equal_pixels_has_the_gradient_and_a_nan_wins() -> None:
    from kit_jax.layers import max_pool

    x = np.zeros((1, 3, 5, 1))
    x[0, 0, 2:4, 0] = 7.0  # two largest in the second window
    slope = jax.grad(lambda x: max_pool(x).sum())(x)[0, :, :, 0]
    np.testing.assert_array_equal(slope, [[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    x[0, 1, 1, 0] = np.nan
    assert np.isnan(max_pool(jnp.asarray(x))[0, 0, 0, 0])


def test_a_transformer_does_not_look_ahead() -> None:
    apply, p = started("transformer", TEXT, {"width": 4, "blocks": 2})
    x = samples(TEXT)
    other = x.copy()
    other[:, 3:] = (other[:, 3:] + 1) % 7
    one, two = np.asarray(apply(p, x)), np.asarray(apply(p, other))
    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    assert (one[:, 3:] != two[:, 3:]).any()


def test_dropout_keeps_where_the_draw_is_at_least_p_and_scales() -> None:
    apply, p = started("mlp", FLAT, {"hidden": (4,), "dropout": 0.25})
    x = samples(FLAT)
    draws = np.array([[0.1, 0.25, 0.9, 0.0], [0.5, 0.24, 1.0, 0.3]])
    kept = np.array([[0.0, 1, 1, 0], [1, 0, 1, 1]]) / 0.75
    hidden = np.maximum(x @ p["layers.0.weight"].T + p["layers.0.bias"], 0)
    for scale, given in ((kept, ({"dropout.0": draws},)), (1.0, ())):
        expected = (hidden * scale) @ p["layers.1.weight"].T + p["layers.1.bias"]
        np.testing.assert_allclose(apply(p, x, *given), expected, rtol=1e-12)
