"""In which precision Keras layers compute."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from kit.engine import Dtype
from kit.errors import InvalidValueError
from kit_tensorflow.environment import keras

# bfloat16: computed in it, on parameters that stay float32 ("autocast").
POLICIES: dict[Dtype, str] = {"float32": "float32", "float64": "float64", "bfloat16": "mixed_bfloat16"}


def parameter_type(dtype: Dtype) -> np.dtype[Any]:
    """The NumPy type of the parameters of a run."""
    return np.dtype("float64" if dtype == "float64" else "float32")


@contextlib.contextmanager
def building(dtype: Dtype) -> Iterator[None]:
    """Layers that are made inside get this precision unless they ask for another."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[dtype])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def floatx(dtype: str) -> Iterator[None]:
    """Optimizers that are made inside keep their variables in this type."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def layers(model: Any) -> list[Any]:
    """The model and every layer within it, each once."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting.extend(getattr(layer, "_layers", ()))
    return list(found.values())


def converted(model: Any, dtype: Dtype) -> Any:
    """A built model whose layers compute in this precision: itself if they do, else another of the same structure.

    Raises `InvalidValueError` for a model that cannot be made anew from its configuration.
    """
    policy = POLICIES[dtype]
    if all(layer.dtype_policy.name == policy for layer in layers(model)):
        return model

    try:
        with building(dtype):
            return _anew(model, policy)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidValueError(
            f"model '{model.name}' computes in {model.dtype_policy.name}, the run in {dtype}, and it cannot be made "
            f"anew in that precision from its configuration. Pass its class, or a function that makes it: {error}"
        ) from error


def _anew(layer: Any, policy: str) -> Any:
    """A layer or model from its configuration, with this policy."""
    if not isinstance(layer, keras.Sequential | _functional_type()):
        return type(layer).from_config({**layer.get_config(), "dtype": policy})
    real = keras.dtype_policies.get(policy).compute_dtype
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=real if "float" in str(x.dtype) else x.dtype, name=x.name),
        layer.inputs[0] if isinstance(layer, keras.Sequential) else layer.input,
    )
    return keras.models.clone_model(layer, inputs, clone_function=lambda inner: _anew(inner, policy))


@functools.cache
def _functional_type() -> Any:
    x = keras.Input((1,))
    return type(keras.Model(x, x))
