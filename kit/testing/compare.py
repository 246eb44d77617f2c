"""Arrays side by side: the first difference, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from kit.testing.checks import Violation


def leaves(tree: Any, name: str = "") -> dict[str, Any]:
    """Every array and number of a nested structure of mappings, sequences and dataclasses, by its path."""
    if is_dataclass(tree) and not isinstance(tree, type):
        tree = vars(tree)
    if isinstance(tree, Mapping):
        items: Any = tree.items()
    elif isinstance(tree, list | tuple):
        items = enumerate(tree)
    else:
        return {name: tree}
    return {path: leaf for key, value in items for path, leaf in leaves(value, f"{name}/{key}".strip("/")).items()}


def difference(one: Any, other: Any, tolerance: float = 0.0) -> str:
    """The largest difference of two structures, in words; "" where none exceeds the tolerance.

    tolerance: relative to 1 + the largest number of the array; 0: to the last bit, NaN equal to NaN.
    """
    import numpy as np

    a, b = leaves(one), leaves(other)
    if a.keys() != b.keys():
        return f"{', '.join(sorted(a.keys() ^ b.keys()))} in one of them only"
    worst, said = 0.0, ""
    for name in a:
        x, y = np.asarray(a[name]), np.asarray(b[name])
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"'{name}' is {x.dtype} {x.shape} in one and {y.dtype} {y.shape} in the other"
        if x.dtype.kind not in "fc":
            if not np.array_equal(x, y):
                return f"'{name}' differs"
            continue
        if x.tobytes() == y.tobytes() or not x.size:
            continue
        with np.errstate(invalid="ignore"):
            apart = np.abs(x.astype(np.float64) - y.astype(np.float64))
        apart = np.where(np.isnan(x) & np.isnan(y), 0.0, np.where(np.isnan(apart), np.inf, apart))
        size = 1.0 + float(np.max(np.abs(y[np.isfinite(y)]), initial=0.0)) if tolerance else 1.0
        largest = float(np.max(apart)) / size
        if largest > max(tolerance, worst) or (not tolerance and not said):
            worst, said = largest, f"'{name}' differs by {largest:.2g}"
    return said


def require_same(one: Any, other: Any, *, expected: str, tolerance: float = 0.0, mend: str = "") -> None:
    """Raise `Violation` where two structures differ by more than the tolerance."""
    said = difference(one, other, tolerance)
    if said:
        bound = "to the last bit" if not tolerance else f"to {tolerance:g}"
        raise Violation(expected=f"{expected}, {bound}", got=said, mend=mend)


def require_finite(values: Any, what: str) -> None:
    """Raise `Violation` for the first array that holds what is not finite."""
    import numpy as np

    for name, value in leaves(values).items():
        array = np.asarray(value)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where = f" '{name}'" if name else ""
            raise Violation(expected=f"finite {what}", got=f"{what}{where} with {_worst(array)}")


def _worst(array: Any) -> str:
    import numpy as np

    bad = array[~np.isfinite(array)]
    return f"{bad.ravel()[0]} ({bad.size} of {array.size} numbers)"
