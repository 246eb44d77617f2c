"""In which precision Keras layers compute, whatever they were made for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from kit.engine import Dtype
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
def computing(model: Any, dtype: Dtype) -> Iterator[None]:
    """All layers of a model, whatever they were made with, compute in this precision while a call is traced."""
    policy = keras.dtype_policies.get(POLICIES[dtype])
    layers = [layer for layer in _layers(model) if layer.dtype_policy.name != policy.name]
    before = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.dtype_policy = own


def _layers(model: Any) -> list[Any]:
    """The model and every layer within it, each once."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting.extend(getattr(layer, "_layers", ()))
    return list(found.values())
