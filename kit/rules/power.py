"""Powers whose bits do not depend on how many are taken at once.

NumPy takes x ** 2.0 as x·x where the exponent has stride 0 (one number, or one per row), and by a vector routine
elsewhere; the two differ in the last bit. A run that resumes with another length of chunk, or a stack that lost a
member, must not change for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kit.rules.rule import Float


def power(base: Float, exponent: Float) -> Float:
    """base to the power exponent, both float64, broadcast."""
    both = np.broadcast(base, exponent)
    # One spare element: of a single one, NumPy would take the stride to be 0.
    operands = np.ones((2, both.size + 1))
    for row, operand in zip(operands, (base, exponent), strict=True):
        row[:-1].reshape(both.shape)[...] = operand
    result: Float = np.power(operands[0], operands[1])
    return result[:-1].reshape(both.shape)
