"""Everything random, from one root seed: independent streams by role, drawn by the host in NumPy.

Within a study, replicate r of every method has the same split, the same initial weights and the same order (common random
numbers), because each stream depends on (seed, role, replicate) alone:

    generator(seed=0, role="split", replicate=2)        # which samples are held out
    generator(0, "order", 2, epoch)                     # in which order the rest are seen in one epoch
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from kit.engine import ParameterSpec

Role = Literal["split", "init", "order", "noise"]
ROLES: dict[Role, int] = {"split": 1, "init": 2, "order": 3, "noise": 4}


def generator(seed: int, role: Role, replicate: int = 0, *more: int) -> np.random.Generator:
    """The stream of a role. `more`: what else it depends on (an epoch, a step). Equal arguments give equal streams."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, ROLES[role], replicate, *more])))


def initial(parameters: Sequence[ParameterSpec], seed: int, replicate: int) -> dict[str, Any]:
    """The start of a model: name -> float64 array of the canonical shape.

    Each parameter has a stream of its own, by its name: adding a layer does not change the start of the others.
    """
    return {p.name: _draw(p, generator(seed, "init", replicate, zlib.crc32(p.name.encode()))) for p in parameters}


def _draw(parameter: ParameterSpec, source: np.random.Generator) -> Any:
    kind, value = parameter.initial if isinstance(parameter.initial, tuple) else (parameter.initial, None)
    if kind == "zeros":
        return np.zeros(parameter.shape)
    if kind == "ones":
        return np.ones(parameter.shape)
    if kind == "normal":
        return source.normal(0.0, value, parameter.shape)
    if kind == "uniform":
        return source.uniform(-value, value, parameter.shape)
    if kind == "constant":
        return np.broadcast_to(np.asarray(value, dtype=np.float64), parameter.shape).copy()
    raise ValueError(
        f"initial distribution {kind!r} of '{parameter.name}' is not zeros, ones, normal, uniform or constant"
    )
