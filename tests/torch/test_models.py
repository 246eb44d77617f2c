"""The built-in models: names and shapes of `kit.architectures`, outputs, gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.func import functional_call  # noqa: E402

from kit import architectures  # noqa: E402
from kit.engine import InputSpec  # noqa: E402
from kit.families import FAMILIES  # noqa: E402
from kit.seeds import initial  # noqa: E402
from kit_torch import models  # noqa: E402

pytestmark = pytest.mark.torch

FLAT = InputSpec(shape=(6,), outputs=3, task="classification")
BINARY = InputSpec(shape=(6,), outputs=1, task="binary")
VALUE = InputSpec(shape=(6,), outputs=1, task="regression")
VALUES = InputSpec(shape=(6,), outputs=2, task="regression")
IMAGE = InputSpec(shape=(5, 4, 2), outputs=3, task="classification")
FLAT_IMAGE = InputSpec(shape=(64,), outputs=10, task="classification", image_shape=(8, 8, 1))
TEXT = InputSpec(shape=(5,), outputs=7, task="language", tokens=7)
POINT = InputSpec(shape=(1,), outputs=1, task="objective")

CASES: list[tuple[str, InputSpec, dict[str, Any], tuple[int, ...]]] = [
    ("linear", FLAT, {}, (2, 3)),
    ("linear", VALUE, {}, (2,)),
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
        return torch.as_tensor(source.integers(inputs.tokens, size=(2, *inputs.shape)))
    return torch.as_tensor(source.normal(size=(2, *inputs.shape)))


def started(name: str, inputs: InputSpec, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The module, and its start as the host draws it."""
    module = getattr(models, name)(inputs=inputs, **options).double()
    drawn = initial(getattr(architectures, name)(inputs, **options), 0, 0)
    return module, {key: torch.tensor(value) for key, value in drawn.items()}


def test_every_family_is_tested() -> None:
    assert {name for name, *_ in CASES} == set(FAMILIES)


@pytest.mark.parametrize(("name", "inputs", "options", "shape"), CASES, ids=IDENTIFIERS)
def test_names_and_shapes(name: str, inputs: InputSpec, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    module, start = started(name, inputs, options)
    found = {key: tuple(value.shape) for key, value in module.named_parameters()}
    assert found == {key: tuple(value.shape) for key, value in start.items()}
    assert not module.state_dict().keys() - found.keys()  # no state beside the parameters
    assert functional_call(module, start, (samples(inputs),)).shape == shape


@pytest.mark.parametrize(("name", "inputs", "options", "shape"), CASES, ids=IDENTIFIERS)
def test_gradients(name: str, inputs: InputSpec, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    module, start = started(name, inputs, options)
    source, x = torch.Generator().manual_seed(2), samples(inputs)
    # Away from zero biases, so that no unit sits on a kink.
    leaves = [v + 0.3 * torch.randn(v.shape, dtype=v.dtype, generator=source) for v in start.values()]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(
        lambda *values: functional_call(module, dict(zip(start, values, strict=True)), (x,)), leaves
    )


def test_a_cnn_by_hand() -> None:
    """Pixel by pixel: symmetric zeros, pooling rounded down, flattened as (height, width, channels)."""
    module, p = started("cnn", IMAGE, {"channels": (3,), "hidden": 4})
    x = samples(IMAGE)
    padded = np.pad(x.numpy(), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel, bias = p["conv.0.weight"].numpy(), p["conv.0.bias"].numpy()
    convolved = np.zeros((2, 5, 4, 3))
    for i in range(5):
        for j in range(4):
            window = padded[:, i : i + 3, j : j + 3]  # (2, 3, 3, channels)
            convolved[:, i, j] = np.einsum("bhwc,ochw->bo", window, kernel) + bias
    active = np.maximum(convolved, 0)
    pooled = np.array(
        [[active[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2)) for j in range(2)] for i in range(2)]
    )
    flat = pooled.transpose(2, 0, 1, 3).reshape(2, -1)
    hidden = np.maximum(flat @ p["dense.0.weight"].numpy().T + p["dense.0.bias"].numpy(), 0)
    expected = hidden @ p["dense.1.weight"].numpy().T + p["dense.1.bias"].numpy()
    np.testing.assert_allclose(functional_call(module, p, (x,)).numpy(), expected, rtol=1e-12)


def test_a_transformer_does_not_look_ahead() -> None:
    module, p = started("transformer", TEXT, {"width": 4, "blocks": 2})
    x = samples(TEXT)
    other = x.clone()
    other[:, 3:] = (other[:, 3:] + 1) % 7
    one, two = (functional_call(module, p, (tokens,)).numpy() for tokens in (x, other))
    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    assert (one[:, 3:] != two[:, 3:]).any()


def test_dropout_keeps_where_the_draw_is_at_least_p_and_scales() -> None:
    module, p = started("mlp", FLAT, {"hidden": (4,), "dropout": 0.25})
    x = samples(FLAT)
    draws = torch.tensor([[0.1, 0.25, 0.9, 0.0], [0.5, 0.24, 1.0, 0.3]])
    hidden = torch.relu(x @ p["layers.0.weight"].T + p["layers.0.bias"])
    kept = torch.tensor([[0.0, 1, 1, 0], [1, 0, 1, 1]], dtype=torch.float64) / 0.75
    expected = (hidden * kept) @ p["layers.1.weight"].T + p["layers.1.bias"]
    found = functional_call(module, p, (x, {"dropout.0": draws}))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    plain = hidden @ p["layers.1.weight"].T + p["layers.1.bias"]
    np.testing.assert_allclose(functional_call(module.eval(), p, (x,)).numpy(), plain.numpy(), rtol=1e-12)
