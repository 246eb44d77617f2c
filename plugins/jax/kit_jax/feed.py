"""The samples of a program on the device, and the batch of each step.

A call of the compiled loop is given the resident samples and, for `room` steps, rows, gathered samples and draws; how
many of those steps are meant it is told. So there is one compiled loop, and no number depends on how a run is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.engine import Block, Problem
from kit_jax.environment import jax
from kit_jax.layout import Layout

Array = jax.Array
Host = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Any]
MOST_STEPS = 256  # of one call of a loop: calling costs about 0.1 ms
MOST_BYTES = 2**20  # that are padded for such a call


def on_device(array: Any, precision: Any, device: Any) -> Array:
    """Floats in the precision of the run, whole numbers as int32."""
    array = np.asarray(array)
    kind = precision if array.dtype.kind == "f" else np.int32
    return jax.device_put(np.ascontiguousarray(array, dtype=kind), device)


def resident(block: Block, replicates: Host, precision: Any, device: Any) -> dict[str, Array]:
    """A split as the compiled functions take it: x, y (blocks, rows, …) and the block of each set, (sets,)."""
    blocks = np.zeros(len(replicates), np.int32) if len(block.x) == 1 else replicates
    given = {"x": block.x, "y": block.y, "blocks": blocks}
    return {name: on_device(array, precision, device) for name, array in given.items()}


class Feed:
    """What a stack trains on. `replicates`: whose samples each set sees, (sets,)."""

    def __init__(self, problem: Problem, layout: Layout, precision: Any, device: Any) -> None:
        self.precision, train = precision, problem.train
        alike = problem.full_batch and train is not None and len(train.x) == 1 and not problem.noise
        self.replicates = layout.sets(shared=alike)
        self.data = {} if train is None else resident(train, self.replicates, precision, device)

    def room(self, scalars: Host, indices: Any, samples: Any, noise: Any) -> int:
        """How many steps a call has room for."""
        given = [scalars, *(samples or ()), *(noise or {}).values(), *(() if indices is None else (indices,))]
        per_step = sum(array[0].nbytes for array in given)
        return int(np.clip(MOST_BYTES // max(1, per_step), 1, MOST_STEPS))

    def stretch(self, part: slice, room: int, indices: Any, samples: Any, noise: Any) -> dict[str, Host]:
        """What a call takes for some of the steps, (room, sets, …). indices: (K, R, B); samples: (K, R, B, …)."""
        given: dict[str, Host] = {f"noise.{name}": values for name, values in (noise or {}).items()}
        if indices is not None:
            given["rows"] = indices
        if samples is not None:
            given["x"], given["y"] = samples
        found = {}
        for name, values in given.items():
            kind = self.precision if values.dtype.kind == "f" else np.int32
            found[name] = padded(values[part][:, self.replicates], room, kind)
        return found


def padded(values: Host, room: int, kind: Any) -> Host:
    """values (K, …) with zeros up to (room, …)."""
    if len(values) == room:
        return np.ascontiguousarray(values, dtype=kind)
    found = np.zeros((room, *values.shape[1:]), kind)
    found[: len(values)] = values
    return found


def whole(data: Arrays) -> tuple[Array, Array]:
    """All rows of each set: x, y (sets, rows, …)."""
    return data["x"][data["blocks"]], data["y"][data["blocks"]]


def picked(data: Arrays, rows: Array) -> tuple[Array, Array]:
    """Some rows of each set, (sets, B): x, y (sets, B, …)."""
    blocks = data["blocks"][:, None]
    x, y = (data[name].at[blocks, rows].get(mode="promise_in_bounds") for name in ("x", "y"))  # the host drew them
    return x, y
