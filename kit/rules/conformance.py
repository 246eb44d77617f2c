"""Checks a backend's array functions against the NumPy reference, one small case after the other.

>>> import numpy as np
>>> from kit.rules import numpy_namespace
>>> namespace_faults(numpy_namespace, to_backend=np.asarray, to_numpy=np.asarray)
[]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kit.rules import numpy_namespace as reference
from kit.rules.namespace import Array, Namespace

Check = tuple[str, Callable[[Any, Callable[..., Array]], Array]]


def _elementwise() -> Iterator[Check]:
    special = [[-2.0, -0.0, 0.0], [1.0, 4.0, np.nan]]
    yield "sqrt(x)", lambda xp, a: xp.sqrt(a([[0.0, 4.0], [-1.0, np.nan]]))
    yield "abs(x)", lambda xp, a: xp.abs(a(special))
    yield "sign(x)", lambda xp, a: xp.sign(a([[-2.0, 0.0, 3.0]]))
    yield "power(x, y)", lambda xp, a: xp.power(a([[1.0, 2.0, 9.0]]), a([[3.0, -1.0, 0.5]]))
    yield "power(x, 0.5)", lambda xp, a: xp.power(a([[0.0, 2.0, 9.0]]), 0.5)
    yield "maximum(x, y)", lambda xp, a: xp.maximum(a(special), a([[0.5], [2.0]]))
    yield "maximum(y, x)", lambda xp, a: xp.maximum(a([[0.5], [2.0]]), a(special))
    yield "maximum(x, 1.0)", lambda xp, a: xp.maximum(a(special), 1.0)
    yield "minimum(x, y)", lambda xp, a: xp.minimum(a(special), a([[0.5], [2.0]]))
    yield "minimum(y, x)", lambda xp, a: xp.minimum(a([[0.5], [2.0]]), a(special))
    yield "minimum(x, 1.0)", lambda xp, a: xp.minimum(a(special), 1.0)
    yield "where(x > 0, x, y)", lambda xp, a: xp.where(a(special) > 0, a(special), a([[7.0], [8.0]]))
    yield "zeros_like(x)", lambda xp, a: xp.zeros_like(a(special))
    yield "ones_like(x)", lambda xp, a: xp.ones_like(a(special))
    yield "full_like(x, 2.5)", lambda xp, a: xp.full_like(a(special), 2.5)
    yield "tiny(x)", lambda xp, a: xp.full_like(a([1.0]), xp.tiny(a([1.0])))
    yield "epsilon(x)", lambda xp, a: xp.full_like(a([1.0]), xp.epsilon(a([1.0])))


def _reductions() -> Iterator[Check]:
    x = np.arange(24.0).reshape(2, 3, 4) - 7

    def reduction(name: str, axes: tuple[int, ...], keepdims: bool) -> Check:
        label = f"{name}(x, {axes}, keepdims={keepdims})"
        return label, lambda xp, a: getattr(xp, name)(a(x), axes, keepdims=keepdims)

    for name in ("sum", "mean"):
        for axes in ((1, 2), (-1,), (-2, -1), (0,), ()):
            for keepdims in (False, True):
                yield reduction(name, axes, keepdims)
    # A parameter that is a scalar has one number per trial, and no axis to reduce.
    yield "sum(one per trial, ())", lambda xp, a: xp.sum(a([1.0, 2.0, 3.0]), ())
    yield "mean(one per trial, ())", lambda xp, a: xp.mean(a([1.0, 2.0, 3.0]), ())


def _matrices() -> Iterator[Check]:
    x = np.arange(24.0).reshape(2, 3, 4) / 7
    y = 1 / (1 + np.arange(40.0).reshape(2, 4, 5))
    yield "matmul(x, y)", lambda xp, a: xp.matmul(a(x), a(y))
    yield "transpose(x)", lambda xp, a: xp.transpose(a(x))
    yield "matmul(x, transpose(x))", lambda xp, a: xp.matmul(a(x), xp.transpose(a(x)))
    yield "reshape(x, (2, 12))", lambda xp, a: xp.reshape(a(x), (2, 12))
    yield "reshape(x, (-1, 3, 2, 2))", lambda xp, a: xp.reshape(a(x), (-1, 3, 2, 2))
    yield "reshape(transpose(x), (-1,))", lambda xp, a: xp.reshape(xp.transpose(a(x)), (-1,))


def _difference(found: Any, expected: Any) -> str:
    """What is wrong with a result, as a phrase; empty when nothing is."""
    if found.shape != expected.shape:
        return f"has shape {found.shape}; it must have {expected.shape}"
    if found.dtype != expected.dtype:
        return f"is {found.dtype}; it must be {expected.dtype}"
    if not np.allclose(found, expected, rtol=4 * np.finfo(expected.dtype).eps, atol=0, equal_nan=True):
        return f"is {found.tolist()}; it must be {expected.tolist()}"
    return ""


def namespace_faults(
    xp: Namespace, *, to_backend: Callable[[Any], Array], to_numpy: Callable[[Array], Any]
) -> list[str]:
    """Every difference from the NumPy reference, each a sentence; empty when there is none.

    to_backend: NumPy array -> the backend's array of the same dtype (float32 and float64); to_numpy: back.
    Results must have the reference's shape and dtype, and its numbers to 4 machine epsilons.
    """
    faults = []
    for dtype in (np.float32, np.float64):

        def array(x: Any, dtype: Any = dtype) -> Any:
            return np.asarray(x, dtype=dtype)

        for label, check in (*_elementwise(), *_reductions(), *_matrices()):
            with np.errstate(invalid="ignore"):
                expected = check(reference, array)
                try:
                    found = np.asarray(to_numpy(check(xp, lambda x, array=array: to_backend(array(x)))))
                    difference = _difference(found, expected)
                except Exception as error:  # whatever a backend raises is a fault to report
                    difference = f"raised {type(error).__name__}: {error}"
            if difference:
                faults.append(f"{label} in {np.dtype(dtype)} {difference}.")
    return faults
