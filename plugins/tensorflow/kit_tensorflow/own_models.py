"""A user's own Keras model, given as an instance, a class or a function without arguments: made, and its start."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from kit.engine import Dtype, InputSpec
from kit.errors import InvalidValueError
from kit_tensorflow import layout
from kit_tensorflow.environment import keras, tf
from kit_tensorflow.precision import building, converted


def make(thing: Any, inputs: InputSpec, dtype: Dtype) -> Any:
    """The built model, in a precision. An instance that is built in it is returned as it is, and nothing changes it.

    Raises `InvalidValueError` for what is not a model, and for one that cannot take the samples.
    """
    name = getattr(thing, "__name__", type(thing).__name__)
    with building(dtype):
        model = thing if isinstance(thing, keras.Layer) else _called(thing, name)
        if not model.built:
            _build(model, inputs, name)
        if model is thing:
            model = converted(model, dtype)
            if not model.built:
                _build(model, inputs, name)
    if not model.trainable_variables:
        raise InvalidValueError(f"model '{name}' has no trainable variables, so there is nothing to optimize.")
    return model


def _called(thing: Any, name: str) -> Any:
    try:
        model = thing()
    except TypeError as error:
        raise InvalidValueError(
            f"model '{name}' must be a keras.Model, or a class or function that makes one without arguments: {error}"
        ) from error
    if not isinstance(model, keras.Layer):
        raise InvalidValueError(f"model '{name}' gave {type(model).__name__}; it must give a keras.Model.")
    return model


def _build(model: Any, inputs: InputSpec, name: str) -> None:
    try:
        model(tf.zeros((1, *inputs.shape), tf.int32 if inputs.tokens else tf.float32))
    except Exception as error:
        raise InvalidValueError(f"model '{name}' cannot take samples of shape {inputs.shape}: {error}") from error


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Keras's random seed, with Python's and NumPy's own put back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def start(
    thing: Any, inputs: InputSpec, names: tuple[list[str], list[str]], seeds: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers by name, each (N, …). names: of both, in the model's own order.

    An instance starts every member at its own weights, and each member's dropout at its own seed; a class or function
    makes a model for each seed.
    """
    made: dict[int, tuple[list[Any], list[Any]]] = {}
    for seed in map(int, seeds):
        if seed not in made:
            if isinstance(thing, keras.Layer):
                model = thing  # built by now: the names are those of its variables
                buffers = [_own_seed(v, seed) for v in model.non_trainable_variables]
            else:
                with _seeded(seed):
                    model = make(thing, inputs, "float32")
                buffers = [v.numpy() for v in model.non_trainable_variables]
            made[seed] = ([v.numpy() for v in model.trainable_variables], buffers)
    members = [made[int(seed)] for seed in seeds]
    parameters, buffers = (
        {name: np.stack([member[part][i] for member in members]) for i, name in enumerate(names[part])}
        for part in (0, 1)
    )
    return parameters, buffers


def _own_seed(variable: Any, seed: int) -> Any:
    value = variable.numpy()
    if variable.path.endswith(layout.SEED_STATE):
        value = value.copy()
        value[0] = (int(value[0]) + seed) % 2**32
    return value
