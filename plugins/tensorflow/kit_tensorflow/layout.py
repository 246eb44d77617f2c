"""Between Keras's parameters and the canonical ones: names and axes.

A dense kernel is (in, out) in Keras and (out, in) canonically, a convolution's (height, width, in, out) and
(out, in, height, width); everything else has one form. Two instances:

    layers.0/kernel, (64, 32)              layers.0.weight, (32, 64)
    blocks.1.norm1/gamma, (32,)            blocks.1.norm1.weight, (32,)

The parameters of a user's own model keep their Keras paths and axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

PARTS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
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


def own(variables: list[Any]) -> list[Layout]:
    """The layouts of a user's own model: its paths, made unique where two are the same."""
    found: list[Layout] = []
    taken: dict[str, int] = {}
    for variable in variables:
        count = taken.get(variable.path, 0)
        taken[variable.path] = count + 1
        name = variable.path if count == 0 else f"{variable.path}#{count}"
        shape = tuple(variable.shape)
        found.append(Layout(name, shape, tuple(range(len(shape)))))
    return found
