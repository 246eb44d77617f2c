"""Powers whose bits do not depend on how many are taken at once.

NumPy takes x ** 2.0 as x·x, and x ** 0.5 as a root, where the exponent has stride 0 (one number for a row or column),
and by a vector routine elsewhere; the two differ in the last bit. A run that resumes with another length of chunk, or a
stack that lost a member, must not change for that: here both operands are written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kit.rules.rule import Float


def power(base: Float, exponent: Float) -> Float:
    """base to the power exponent, both float64, broadcast."""
    shape = np.broadcast(base, exponent).shape
    operands = np.empty((2, *shape))
    operands[0], operands[1] = base, exponent
    result: Float = np.power(operands[0], operands[1])
    return result
