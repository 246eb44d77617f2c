"""Probes read a run while it trains, at the steps where its curves are read; they never steer it.

A probe is a class with `needs` and `read`; each value becomes a curve of the run under the name that it gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from kit.errors import InvalidValueError

if TYPE_CHECKING:
    from kit.asking import Asking

TRAJECTORY_PARAMETERS = 16  # a trajectory of more numbers is a checkpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A stack at one step. Arrays have the trials in front: name -> (N, *shape)."""

    step: int
    parameters: Mapping[str, Any]
    gradients: Mapping[str, Any] | None  # of the coming batch's mean loss; None unless a probe needs them
    previous: Mapping[str, Any] | None  # the parameters at the last reading; None at the first
    asking: Asking | None = None  # gradients elsewhere; None unless a probe needs it


class Probe(Protocol):
    """What `ProbeSpec.build` names."""

    needs: ClassVar[frozenset[str]]  # of "gradients" and "asking"; parameters are always there

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        """Curve name -> (N,), float64."""


def norm(arrays: Mapping[str, Any]) -> Any:
    """The Euclidean norm over all arrays of each trial: (N,), float64."""
    with np.errstate(over="ignore", invalid="ignore"):  # a trial that diverges reads inf or nan
        squares = [np.sum(np.asarray(v, dtype=np.float64).reshape(len(v), -1) ** 2, axis=1) for v in arrays.values()]
        return np.sqrt(np.sum(squares, axis=0))


class GradientNorm:
    """‖g‖."""

    needs = frozenset({"gradients"})

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        assert snapshot.gradients is not None
        return {"gradient_norm": norm(snapshot.gradients)}


class UpdateRatio:
    """‖p − p_before‖ / ‖p‖, from the second reading on."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        if snapshot.previous is None:
            return {}
        with np.errstate(over="ignore", invalid="ignore"):
            change = {name: value - snapshot.previous[name] for name, value in snapshot.parameters.items()}
            return {"update_ratio": norm(change) / np.maximum(norm(snapshot.parameters), np.finfo(float).tiny)}


class ParameterNorm:
    """‖p‖."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        return {"parameter_norm": norm(snapshot.parameters)}


class Trajectory:
    """Every parameter as a curve of its own: `position.0`, `position.1`, …"""

    needs: ClassVar[frozenset[str]] = frozenset()

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, values in snapshot.parameters.items():
            flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
            found |= {f"{name}.{i}": flat[:, i] for i in range(flat.shape[1])}
        if len(found) > TRAJECTORY_PARAMETERS:
            raise InvalidValueError(
                f"probe 'trajectory' is for models of at most {TRAJECTORY_PARAMETERS} parameters; this one has "
                f"{len(found)}."
            )
        return found
