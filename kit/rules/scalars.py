"""The host's part of a rule: every scalar of the next steps, in float64, packed for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kit.rules.rule import Float, Rule


def schedule_scalars(
    rule: Rule,
    hyperparameters: Mapping[str, Float],
    factors: Float,
    first_step: int,
    carry: dict[str, Float],
) -> tuple[Float, dict[str, Float]]:
    """The scalars of K steps of N trials, (K, N, S) in the order of `rule.scalar_names()`, and the carry
    after them.

    hyperparameters: every float hyperparameter of the rule, each (N,).
    factors: (K, N), what multiplies the learning rate at each step.
    first_step: how many steps were taken before these; 0 at the start.
    carry: `rule.carry(N)` at the start, then what the call before returned. It is not changed. K steps at
    once give the same bits as K calls of one step.

    Raises `KeyError` if a hyperparameter is missing.
    """
    steps, trials = factors.shape
    h = {name: hyperparameters[name][None] for name in rule.float_names}
    h["learning_rate"] = factors * h["learning_rate"]
    t = np.arange(first_step + 1, first_step + steps + 1, dtype=np.float64)[:, None]
    coefficients, carry = rule.coefficients(h, t, carry)
    names = rule.scalar_names()
    packed = np.empty((steps, trials, len(names)))
    for i, name in enumerate(names):
        packed[:, :, i] = h[name] if name in h else coefficients[name]
    return packed, carry
