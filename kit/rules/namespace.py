"""What a rule may ask of a backend: the array functions of `xp`, few enough to be written in one page per
framework.

Arithmetic (+ − · / **, comparisons, negation, indexing) is the arrays' own; `xp` holds the rest. Every array
has the trials in front, all arrays of one call share one dtype and device, nothing is done in place, and a
result never aliases an argument that the caller goes on using. `kit.rules.numpy_namespace` is the reference;
`kit.rules.conformance` checks another namespace against it.
"""

from __future__ import annotations

from typing import Any, Protocol

Array = Any  # a NumPy, PyTorch or TensorFlow array: (trials, …)


class Namespace(Protocol):
    """The array functions of one backend. A module of functions satisfies it as well as an object does."""

    def sqrt(self, x: Array, /) -> Array:
        """√x, elementwise; NaN below zero, never an error."""

    def abs(self, x: Array, /) -> Array:
        """|x|, elementwise."""

    def sign(self, x: Array, /) -> Array:
        """−1, 0 or 1, elementwise; 0 at 0."""

    def power(self, x: Array, y: Array | float, /) -> Array:
        """x to the power y, elementwise, broadcasting."""

    def maximum(self, x: Array, y: Array | float, /) -> Array:
        """The larger of both, elementwise, broadcasting; NaN wins. `y` may be a float of x's dtype."""

    def minimum(self, x: Array, y: Array | float, /) -> Array:
        """The smaller of both, elementwise, broadcasting; NaN wins. `y` may be a float of x's dtype."""

    def where(self, condition: Array, x: Array, y: Array, /) -> Array:
        """x where the condition (an array of bools) holds, else y; the three broadcast. `x` and `y` are
        arrays of one dtype."""

    def zeros_like(self, x: Array, /) -> Array:
        """A fresh array of zeros with x's shape, dtype and device."""

    def ones_like(self, x: Array, /) -> Array:
        """A fresh array of ones with x's shape, dtype and device."""

    def full_like(self, x: Array, value: float, /) -> Array:
        """A fresh array of `value` (a Python float) with x's shape, dtype and device."""

    def sum(self, x: Array, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Array:
        """The sum over `axes`, a tuple of ints from 0 (the trials) or negative from the end.

        An empty tuple sums over nothing and gives x back, as in NumPy and TensorFlow (PyTorch's own `sum`
        would reduce everything): parameters that are scalars have the shape `(trials,)`, and ask for just
        that.
        """

    def mean(self, x: Array, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Array:
        """The mean over `axes`; conventions as in `sum`, the empty tuple included."""

    def matmul(self, x: Array, y: Array, /) -> Array:
        """The matrix product over the last two axes; the axes before them are equal in both.

        In the full precision of the dtype: no TF32 in float32.
        """

    def transpose(self, x: Array, /) -> Array:
        """The last two axes exchanged."""

    def reshape(self, x: Array, shape: tuple[int, ...], /) -> Array:
        """The same elements in C order in another shape; one entry may be −1, which is then inferred."""

    def tiny(self, x: Array, /) -> float:
        """The smallest positive normal number of x's dtype, as a Python float, against 0/0."""

    def epsilon(self, x: Array, /) -> float:
        """The machine epsilon of x's dtype (the distance from 1 to the next number), as a Python float."""
