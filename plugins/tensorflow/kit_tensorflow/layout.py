"""Between Keras's parameters and the canonical ones: names and axes.

A dense kernel is (in, out) in Keras and (out, in) canonically, a convolution's (height, width, in, out) and
(out, in, height, width); everything else has one form. Two instances:

    layers.0/kernel, (64, 32)              layers.0.weight, (32, 64)
    blocks.1.norm1/gamma, (32,)            blocks.1.norm1.weight, (32,)

The parameters of a user's own model keep their Keras paths and axes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit_tensorflow.precision import layers

PARTS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
SEED_STATE = "seed_generator_state"  # how Keras ends the path of the state that a layer's random numbers come from
# For a kernel of this rank: which Keras axis each canonical axis is.
AXES = {2: (1, 0), 4: (3, 2, 0, 1)}


@dataclass(frozen=True)
class Layout:
    """One parameter: its name, its Keras shape, and for each canonical axis the Keras axis that it is."""

    name: str
    native_shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Canonical."""
        return tuple(self.native_shape[axis] for axis in self.axes)

    @property
    def same(self) -> bool:
        """Whether both forms are one."""
        return self.axes == tuple(range(len(self.axes)))

    @property
    def to_canonical(self) -> tuple[int, ...]:
        """The permutation of an array with the members in front, native to canonical."""
        return (0, *(axis + 1 for axis in self.axes))

    @property
    def to_native(self) -> tuple[int, ...]:
        """The same, canonical to native."""
        return tuple(int(axis) for axis in np.argsort(self.to_canonical))


def canonical(variable: Any, model_name: str) -> Layout:
    """The layout of a built-in model's variable."""
    *layers, part = variable.path.split("/")
    if layers and layers[0] == model_name:
        layers = layers[1:]
    shape = tuple(variable.shape)
    axes = AXES[len(shape)] if part == "kernel" else tuple(range(len(shape)))
    return Layout(".".join([*layers, PARTS.get(part, part)]), shape, axes)


def own(variables: list[Any], model: Any) -> list[Layout]:
    """The layouts of a user's own model: paths within the model, the same in every process that makes it.

    Keras numbers the layers that have no name of their own through a process's whole life; here they are numbered
    through the model. Where two paths are the same, the second gets "#1".
    """
    automatic = {_snake_case(type(layer).__name__) for layer in layers(model)}
    seen: dict[str, list[str]] = {}
    taken: dict[str, int] = {}
    found: list[Layout] = []

    def renumbered(part: str) -> str:
        base = re.sub(r"_\d+$", "", part)
        if base not in automatic:
            return part
        known = seen.setdefault(base, [])
        if part not in known:
            known.append(part)
        number = known.index(part)
        return f"{base}_{number}" if number else base

    for variable in variables:
        path = variable.path.removeprefix(f"{model.name}/")
        path = SEED_STATE if path.endswith(SEED_STATE) else "/".join(map(renumbered, path.split("/")))
        count = taken.get(path, 0)
        taken[path] = count + 1
        shape = tuple(variable.shape)
        found.append(Layout(f"{path}#{count}" if count else path, shape, tuple(range(len(shape)))))
    return found


def _snake_case(name: str) -> str:
    """As Keras makes a layer's name of its class's."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
