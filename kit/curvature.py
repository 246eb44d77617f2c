"""The largest and the smallest curvature of the training loss: the extreme eigenvalues of its Hessian H.

Gradient descent is stable along an eigenvector of curvature λ while η < 2/λ, so the largest one sets the step, and the
condition number κ = λ_max / λ_min sets how many steps it takes. H is never formed: Lanczos' method asks for products

    H v ≈ (∇L(p + ε v) − ∇L(p − ε v)) / 2ε

only, two gradients each, for all trials of a stack at once. The error of the difference is O(ε²) from the third
derivative and u/ε from rounding (u the precision's unit), smallest for ε ∝ u^⅓ (Nocedal & Wright 2006, section 8.1).
Where a network has kinks (ReLU), what is read is the mean curvature over a stretch of length 2ε.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.probes import Snapshot

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]

SETTLED = 1e-4  # relative change of the largest eigenvalue from one iteration to the next at which it has settled
EXHAUSTED = 1e-6  # of the largest curvature: what is left of a direction is rounding; the space is spanned


def extremes(product: Callable[[Floats], Floats], size: int, trials: int, iterations: int) -> tuple[Floats, Floats]:
    """(smallest, largest) eigenvalue of a symmetric operator, for each trial: (N,), float64.

    product: (N, size) -> (N, size), one vector a trial. Lanczos 1950, with full reorthogonalisation, from one fixed
    random vector; the largest is found to within SETTLED if `iterations` suffice, both exactly after `size` of them.
    Until then the smallest is an upper bound.
    """
    start = np.random.default_rng(0).standard_normal(size)
    v = np.tile(start / np.linalg.norm(start), (trials, 1))  # (N, size)
    basis: list[Floats] = []
    diagonal: list[Floats] = []  # of the tridiagonal matrix: (N,) each
    beside: list[Floats] = []
    largest = smallest = np.full(trials, np.nan)
    for _ in range(min(iterations, size)):
        basis.append(v)
        w = product(v)
        diagonal.append(np.sum(v * w, axis=1))
        before, (smallest, largest) = largest, _of_tridiagonal(diagonal, beside)
        for _ in range(2):  # twice is enough (Parlett 1998, section 6.9)
            for u in basis:
                w = w - np.sum(u * w, axis=1, keepdims=True) * u
        length = np.linalg.norm(w, axis=1)
        scale = np.maximum(np.abs(largest), np.abs(smallest))
        with np.errstate(invalid="ignore"):
            settled = np.abs(largest - before) <= SETTLED * scale
            spanned = length <= EXHAUSTED * scale
        if np.all(spanned | ~np.isfinite(length)) or (size > iterations and np.all(settled)):
            break
        live = np.isfinite(length) & ~spanned
        v = np.where(live[:, None], w, 0.0) / np.where(live, length, 1.0)[:, None]
        beside.append(np.where(live, length, 0.0))
    return smallest, largest


def _of_tridiagonal(diagonal: list[Floats], beside: list[Floats]) -> tuple[Floats, Floats]:
    """Each trial's extreme eigenvalues; NaN where an entry is not finite. A trial whose space is spanned (a zero
    beside the diagonal) keeps those it has."""
    size, trials = len(diagonal), len(diagonal[0])
    low, high = np.full(trials, np.nan), np.full(trials, np.nan)
    for n in range(trials):
        off = np.array([each[n] for each in beside])
        cut = next((i + 1 for i, value in enumerate(off) if value == 0.0), size)
        matrix = np.diag([each[n] for each in diagonal[:cut]])
        matrix += np.diag(off[: cut - 1], 1) + np.diag(off[: cut - 1], -1)
        if np.isfinite(matrix).all():
            values = np.linalg.eigvalsh(matrix)
            low[n], high[n] = values[0], values[-1]
    return low, high


class Curvature:
    """λ_max as `largest_curvature` and λ_min as `smallest_curvature`, at the parameters where the run stands.

    iterations: of Lanczos' method, at most; two gradients over all training samples each. With as many as the model
    has parameters, both are exact but for rounding; with fewer, the smallest is an upper bound.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"asking"})

    def __init__(self, iterations: int = 30) -> None:
        self.iterations = iterations

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        asking = snapshot.asking
        assert asking is not None
        parameters = {name: np.asarray(value) for name, value in snapshot.parameters.items()}
        flat = flattened(parameters)  # (N, size)
        unit = max(np.finfo(value.dtype).eps for value in parameters.values())
        # ‖p‖ is the scale on which a network's loss changes; a model at the origin has the scale 1.
        step = np.cbrt(unit) * np.maximum(1.0, np.linalg.norm(flat, axis=1, keepdims=True) / 2)

        def product(v: Floats) -> Floats:
            ahead, behind = (
                flattened(asking.gradient(at=shaped(flat + sign * step * v, parameters))) for sign in (1, -1)
            )
            with np.errstate(invalid="ignore", over="ignore"):  # a trial that diverges reads inf or nan
                found: Floats = (ahead - behind) / (2 * step)
                return found

        smallest, largest = extremes(product, flat.shape[1], len(flat), self.iterations)
        return {"largest_curvature": largest, "smallest_curvature": smallest}


def flattened(arrays: Mapping[str, Any]) -> Floats:
    """name -> (N, *shape) as one array (N, size), float64."""
    parts = [np.asarray(value, dtype=np.float64).reshape(len(value), -1) for value in arrays.values()]
    return np.concatenate(parts, axis=1)


def shaped(flat: Floats, like: Mapping[str, Any]) -> dict[str, Any]:
    """(N, size) as name -> (N, *shape), in the shapes and precisions of `like`."""
    found, begin = {}, 0
    for name, value in like.items():
        size = int(np.prod(value.shape[1:]))
        found[name] = flat[:, begin : begin + size].reshape(value.shape).astype(value.dtype)
        begin += size
    return found
