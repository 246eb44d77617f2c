"""How many rows are evaluated at once, so that memory stays bounded however large a split is."""

from __future__ import annotations

import math
from typing import Any

from kit_jax.criterion import Criterion
from kit_jax.environment import jax

MOST_BYTES = 2**26  # of all that a forward pass computes, at once


def rows_at_once(criterion: Criterion, parameters: Any, x: Any, members: int) -> int:
    """parameters: the shapes of one member's; x: (blocks, rows, *sample). At least 1."""
    one = jax.ShapeDtypeStruct((1, *x.shape[2:]), x.dtype)
    traced = jax.make_jaxpr(criterion.output)(parameters, one)
    return max(1, MOST_BYTES // max(1, members * _bytes(traced.jaxpr)))


def _bytes(jaxpr: Any) -> int:
    """What the operations of a traced function give, in bytes."""
    total = 0
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr")
        if inner is not None:
            total += _bytes(getattr(inner, "jaxpr", inner))
        else:
            total += sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in equation.outvars)
    return total
