"""One root seed, independent streams by role: what is drawn for one purpose never moves what is drawn for another.

    generator(seed, "init", replicate)          # depends on the seed, the role and the replicate, on nothing else
    generator(seed, "noise", replicate, step)   # a fresh stream per step: a resumed run draws what the first would have

Streams come from NumPy's `SeedSequence`, whose spawn keys give independent streams (NumPy documentation, "Parallel
random number generation"). Replicate r of every method shares its split, start and order: common random numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kit.errors import InvalidValueError

if TYPE_CHECKING:
    from kit.engine import ParameterSpec

    Floats = np.ndarray[Any, np.dtype[np.float64]]

Role = Literal["split", "init", "order", "noise"]
ROLES: dict[str, int] = {"split": 0, "init": 1, "order": 2, "noise": 3}


def generator(seed: int, role: Role, replicate: int = 0, *more: int | str) -> np.random.Generator:
    """The random stream of a role. `more`: what else it depends on, e.g. a step, an epoch, a parameter's name.

    Raises `InvalidValueError` for a negative seed, replicate or number.
    """
    if role not in ROLES:
        raise InvalidValueError(f"There is no random stream '{role}'; roles: {', '.join(ROLES)}.")
    key = (ROLES[role], replicate, *(_number(part) for part in more))
    if seed < 0 or min(key) < 0:
        raise InvalidValueError(f"seed={seed}, replicate={replicate} is not valid; they must be 0 or more.")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _number(part: int | str) -> int:
    """A name as a number, the same in every process (unlike `hash`)."""
    if isinstance(part, str):
        return int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "little")
    return int(part)


def initial(parameters: Iterable[ParameterSpec], seed: int, replicate: int) -> dict[str, Floats]:
    """The start: name -> float64 array, in canonical shape.

    Every parameter has a stream of its own, by name, so that adding one, or listing them in another order, changes no
    other. Raises `InvalidValueError` for a distribution that is not known.
    """
    return {p.name: _draw(p, generator(seed, "init", replicate, p.name)) for p in parameters}


def _draw(parameter: ParameterSpec, source: np.random.Generator) -> Floats:
    match parameter.initial:
        case "zeros":
            return np.zeros(parameter.shape)
        case "ones":
            return np.ones(parameter.shape)
        case ("normal", float() | int() as deviation) if _spread(deviation):
            return source.normal(0.0, deviation, parameter.shape)
        case ("uniform", float() | int() as bound) if _spread(bound):
            return source.uniform(-bound, bound, parameter.shape)
        case ("constant", values) if np.shape(values) in ((), parameter.shape):
            return np.broadcast_to(np.asarray(values, dtype=np.float64), parameter.shape).copy()
    raise InvalidValueError(
        f"parameter '{parameter.name}' {parameter.shape}: initial={parameter.initial!r} is not valid; it must be "
        "'zeros', 'ones', ('normal', deviation), ('uniform', bound) or ('constant', values of its shape)."
    )


def _spread(value: float) -> bool:
    return math.isfinite(value) and value >= 0
