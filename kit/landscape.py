"""Slices through a loss, along directions that are fair to every network.

The loss of a ReLU network does not change when one layer's weights grow and the next layer's shrink by as much, but a
step of a given length then does something else: slices along plain random directions cannot be compared. So a
direction's part for each filter (the weights into one unit) is given the length of that filter (Li, Xu, Taylor, Studer
& Goldstein, "Visualizing the Loss Landscape of Neural Nets", 2018, arXiv:1712.09913, section 4):

    direction = filter_normalised(run.parameters(), np.random.default_rng(0))
    losses = [loss(moved(run.parameters(), [(t, direction)])) for t in np.linspace(-1, 1, 41)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import InvalidValueError

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]


def filter_normalised(parameters: Mapping[str, Any], source: np.random.Generator) -> dict[str, Floats]:
    """A random direction, name -> array in the parameters' shapes, float64.

    parameters: canonical, so that a weight's first axis counts the units that it leads into: d_ij ← d_ij ‖w_i‖ / ‖d_i‖.
    Biases and gains (one axis or none) are left where they are, as in the paper's own code.
    """
    found: dict[str, Floats] = {}
    for name, value in parameters.items():
        weight = np.asarray(value, dtype=np.float64)
        drawn = source.standard_normal(weight.shape)
        if weight.ndim < 2:
            found[name] = np.zeros_like(weight)
            continue
        axes = tuple(range(1, weight.ndim))
        lengths = np.sqrt(np.sum(weight**2, axis=axes, keepdims=True) / np.sum(drawn**2, axis=axes, keepdims=True))
        found[name] = drawn * lengths
    return found


def moved(parameters: Mapping[str, Any], steps: Sequence[tuple[float, Mapping[str, Any]]]) -> dict[str, Floats]:
    """The parameters after steps of some length along some directions: p + Σ t d, float64.

    Raises `InvalidValueError` for a direction that does not fit.
    """
    found = {name: np.array(value, dtype=np.float64) for name, value in parameters.items()}
    for length, direction in steps:
        for name, value in found.items():
            if name not in direction or np.shape(direction[name]) != value.shape:
                raise InvalidValueError(
                    f"The direction does not fit parameter '{name}' of shape {value.shape}: it must have an array of "
                    "that name and shape."
                )
            value += length * np.asarray(direction[name], dtype=np.float64)
    return found
