"""Gradients and steps parameter by parameter: which layers learn, and which stand still.

    gradient_norm.layers.0.weight    ‖g‖ of this parameter, of the coming batch's mean loss
    update_ratio.layers.0.weight     ‖p − p_before‖ / ‖p‖ since the last reading, from the second reading on

Where gradients shrink from layer to layer the first ones learn last (Glorot & Bengio 2010, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from kit.errors import InvalidValueError
from kit.probes import Snapshot, norm

LAYERS_PARAMETERS = 256  # arrays of a model, two curves each: beyond, nobody reads them one by one


class Layers:
    """`gradient_norm.NAME` and `update_ratio.NAME` for every parameter of the model."""

    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        assert snapshot.gradients is not None
        if len(snapshot.parameters) > LAYERS_PARAMETERS:
            raise InvalidValueError(
                f"probe 'layers' is for models of at most {LAYERS_PARAMETERS} parameters (arrays); this one has "
                f"{len(snapshot.parameters)}. 'gradient_norm' and 'update_ratio' read them all together."
            )
        found = {f"gradient_norm.{name}": norm({name: value}) for name, value in snapshot.gradients.items()}
        if snapshot.previous is not None:
            found |= {
                f"update_ratio.{name}": _ratio(name, snapshot.parameters, snapshot.previous)
                for name in snapshot.parameters
            }
        return found


def _ratio(name: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> Any:
    """(N,)."""
    with np.errstate(over="ignore", invalid="ignore"):  # a trial that diverges reads inf or nan
        change = norm({name: now[name] - before[name]})
        return change / np.maximum(norm({name: now[name]}), np.finfo(float).tiny)
