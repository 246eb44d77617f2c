"""The built-in models: parameters as the architectures list them, outputs by hand, gradients against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kit import architectures, rules
from kit.engine import InputSpec, State
from kit.objectives import OBJECTIVES
from kit_tensorflow import layout, models
from kit_tensorflow.environment import keras, tf

pytestmark = pytest.mark.tensorflow

FLAT = InputSpec(shape=(6,), outputs=3, task="classification")
IMAGES = InputSpec(shape=(5, 4, 2), outputs=3, task="classification")
TEXT = InputSpec(shape=(5,), outputs=7, task="language", tokens=7)
NUMBER = InputSpec(shape=(6,), outputs=1, task="regression")
FAMILIES: dict[str, tuple[str, InputSpec, dict[str, Any]]] = {
    "linear": ("linear", FLAT, {}),
    "linear, one number": ("linear", NUMBER, {}),
    "logistic": ("logistic", FLAT, {}),
    "mlp": ("mlp", FLAT, {"hidden": (5, 4), "activation": "tanh"}),
    "mlp, gelu": ("mlp", FLAT, {"hidden": (5,), "activation": "gelu"}),
    "mlp, silu, one number": ("mlp", NUMBER, {"hidden": (5,), "activation": "silu"}),
    "mlp of images": ("mlp", IMAGES, {"hidden": (5,), "activation": "sigmoid"}),
    "mlp without a hidden layer": ("mlp", FLAT, {"hidden": ()}),
    "cnn": ("cnn", IMAGES, {"channels": (3, 2, 2), "kernel": 3, "hidden": 4, "activation": "tanh"}),
    "transformer": ("transformer", TEXT, {"width": 6, "heads": 2, "blocks": 2, "mlp_ratio": 2}),
}


def erf(x: Any) -> Any:
    return np.vectorize(math.erf)(x)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def linear(p: dict[str, Any], x: Any, inputs: InputSpec) -> Any:
    return squeezed(x.reshape(len(x), -1) @ p["weight"].T + p["bias"], inputs)


def mlp(p: dict[str, Any], x: Any, inputs: InputSpec, hidden: Any = (32,), activation: str = "relu") -> Any:
    x = x.reshape(len(x), -1)
    for i in range(len(hidden)):
        x = ACTIVATIONS[activation](x @ p[f"layers.{i}.weight"].T + p[f"layers.{i}.bias"])
    return squeezed(x @ p[f"layers.{len(hidden)}.weight"].T + p[f"layers.{len(hidden)}.bias"], inputs)


def cnn(p: dict[str, Any], x: Any, inputs: InputSpec, channels: Any, kernel: int, hidden: int, activation: str) -> Any:
    for i, out in enumerate(channels):
        weight, around = p[f"conv.{i}.weight"], kernel // 2
        padded = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))
        y = np.empty((*x.shape[:3], out))
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                window = padded[:, row : row + kernel, column : column + kernel]  # (B, k, k, in)
                y[:, row, column] = np.einsum("bhwi,oihw->bo", window, weight) + p[f"conv.{i}.bias"]
        x = ACTIVATIONS[activation](y)
        height, width = x.shape[1] // 2, x.shape[2] // 2
        if height and width:
            x = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2, out).max(axis=(2, 4))
    x = ACTIVATIONS[activation](x.reshape(len(x), -1) @ p["dense.0.weight"].T + p["dense.0.bias"])
    return x @ p["dense.1.weight"].T + p["dense.1.bias"]


def transformer(p: dict[str, Any], x: Any, inputs: InputSpec, width: int, heads: int, blocks: int, **rest: Any) -> Any:
    def dense(name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Any) -> Any:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def attention(name: str, x: Any) -> Any:
        parts = [dense(f"{name}.{part}", x) for part in ("query", "key", "value")]
        size, mixed = width // heads, []
        for h in range(heads):
            q, k, v = (part[..., h * size : (h + 1) * size] for part in parts)
            scores = q @ np.swapaxes(k, 1, 2) / math.sqrt(size)
            scores = np.where(np.tril(np.ones(scores.shape[1:])) > 0, scores, -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            mixed.append(weights / weights.sum(-1, keepdims=True) @ v)
        return dense(f"{name}.out", np.concatenate(mixed, axis=-1))

    y = p["token_embedding.weight"][x] + p["position_embedding.weight"]
    for b in range(blocks):
        y = y + attention(f"blocks.{b}.attention", norm(f"blocks.{b}.norm1", y))
        hidden = ACTIVATIONS["gelu"](dense(f"blocks.{b}.mlp.0", norm(f"blocks.{b}.norm2", y)))
        y = y + dense(f"blocks.{b}.mlp.1", hidden)
    return dense("head", norm("norm", y))


BY_HAND = {"linear": linear, "logistic": linear, "mlp": mlp, "cnn": cnn, "transformer": transformer}


def squeezed(output: Any, inputs: InputSpec) -> Any:
    return output[:, 0] if inputs.outputs == 1 else output


def drawn(family: str, inputs: InputSpec, options: dict[str, Any]) -> dict[str, Any]:
    """Parameters without zeros, so that each is seen in the output."""
    source = np.random.default_rng(5)
    return {p.name: 0.5 * source.normal(size=p.shape) for p in getattr(architectures, family)(inputs, **options)}


@pytest.mark.parametrize("case", FAMILIES)
def test_a_model_computes_what_its_architecture_says(tf_cases: Any, case: str) -> None:
    family, inputs, options = FAMILIES[case]
    parameters = drawn(family, inputs, options)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    model = getattr(models, family)(inputs=inputs, **options)
    keras.config.set_dtype_policy(before)
    assert isinstance(model, keras.Model)
    found = {each.name: each for each in (layout.canonical(v, model.name) for v in model.trainable_variables)}
    assert {name: each.shape for name, each in found.items()} == {n: p.shape for n, p in parameters.items()}
    for variable in model.trainable_variables:
        each = layout.canonical(variable, model.name)
        variable.assign(parameters[each.name].transpose(np.argsort(each.axes)))
    x = tf_cases.blocks(inputs, 1).x[0]
    np.testing.assert_allclose(model(x), BY_HAND[family](parameters, x, inputs, **options), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("case", ["mlp, gelu", "cnn", "transformer", "linear, one number"])
def test_gradients_against_differences(tf_cases: Any, case: str) -> None:
    """Along a random direction of all parameters at once, and with it through every layout."""
    family, inputs, options = FAMILIES[case]
    loss = "mse" if inputs.task == "regression" else "cross_entropy"
    problem = tf_cases.problem(family, inputs=inputs, loss=loss, replicates=2, **options)
    case = tf_cases.Case(
        problem=problem, rule=rules.GradientDescent, options={"learning_rate": 0.1}, replicates=(1,), full_batch=True
    )
    parameters = drawn(family, inputs, options)
    source = np.random.default_rng(6)
    along = {name: source.normal(size=p.shape) for name, p in parameters.items()}

    program = case.compile("graph")

    def at(t: float) -> Any:
        program.load(State(parameters={n: (p + t * along[n])[None] for n, p in parameters.items()}))
        return program

    gradients = at(0.0).gradients(None)
    slope = sum(float(np.sum(gradients[name][0] * along[name])) for name in parameters)
    ends = [at(t).evaluate("train")["loss"][0] for t in (1e-5, -1e-5)]
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_its_function_at_its_start(name: str) -> None:
    inputs = InputSpec(shape=(1,), outputs=1, task="objective")
    options = architectures.settings(name, {})
    model = getattr(models, name)(inputs=inputs, **options)
    value = OBJECTIVES[name](*options["start"], **options)
    np.testing.assert_allclose(model(np.zeros((3, 1))), np.full(3, value), rtol=1e-5)


def test_a_model_on_its_own_starts_as_the_host_would_start_it() -> None:
    """The same distributions: bounds of the uniform weights, zero biases."""
    inputs = InputSpec(shape=(40,), outputs=3, task="classification")
    model = models.mlp(inputs=inputs, hidden=(50,), activation="relu")
    for variable, spec in zip(model.trainable_variables, architectures.mlp(inputs, hidden=(50,)), strict=True):
        value = variable.numpy()
        if spec.initial == "zeros":
            assert (value == 0).all()
        else:
            assert abs(value).max() <= spec.initial[1]
            assert value.std() == pytest.approx(spec.initial[1] / math.sqrt(3), rel=0.15)


def test_dropout_by_the_host_s_draws() -> None:
    inputs = InputSpec(shape=(6,), outputs=3, task="classification")
    model = models.mlp(inputs=inputs, hidden=(5,), activation="tanh", dropout=0.25)
    x, draws = np.ones((4, 6), "float32"), np.random.default_rng(0).random((4, 5)).astype("float32")
    hidden = np.tanh(model.dense[0](x)) * (draws >= 0.25) / 0.75
    found = model(x, noise={"dropout.0": draws}, training=True)
    np.testing.assert_allclose(found, model.dense[1](hidden.astype("float32")), rtol=1e-5)
    assert (model(x, training=False).numpy() != found.numpy()).any()
    assert (model(x, training=True).numpy() != model(x, training=True).numpy()).any()  # its own draws


def test_a_model_trains_in_keras_itself() -> None:
    """What a user gets from a record is an ordinary Keras model."""
    inputs = InputSpec(shape=(6,), outputs=2, task="classification")
    source = np.random.default_rng(0)
    x = source.normal(size=(64, 6)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    model = models.mlp(inputs=inputs, hidden=(8,))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.2), loss=loss)
    history = model.fit(x, y, epochs=8, batch_size=4, verbose=0)
    assert history.history["loss"][-1] < 0.3 * history.history["loss"][0]
    assert tf.is_tensor(model(x))
