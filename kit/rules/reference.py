"""Rules in plain NumPy: the reference that engines are compared with, and the quickest way to see a rule
move.

    >>> from kit.rules import Adam
    >>> from kit.rules.reference import descend
    >>> descend(Adam, lambda x: 2 * x, [1.0, -2.0], steps=2, learning_rate=0.5).round(3).tolist()
    [[1.0, -2.0], [0.5, -1.5], [0.034, -1.009]]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.rules import numpy_namespace as xp
from kit.rules.rule import Rule, Slots
from kit.rules.scalars import schedule_scalars
from kit.rules.step import scalars, step

if TYPE_CHECKING:
    from kit.rules.rule import Float

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Reference:
    """A stack of N trials that a rule trains in NumPy, in the precision of the parameters given.

    rule: with its structural hyperparameters. parameters: each (N, *shape); they are copied.
    hyperparameters: every float one of the rule, name -> (N,), float64.
    """

    def __init__(self, rule: Rule, parameters: Sequence[Floats], hyperparameters: Mapping[str, Float]) -> None:
        self.rule = rule
        self.parameters: list[Floats] = [np.array(p) for p in parameters]
        self.hyperparameters = hyperparameters
        self.slots: list[Slots] = []
        self.steps_taken = 0
        self.carry = rule.carry(len(parameters[0]))
        self._now: Floats = np.empty(0)  # (N, S), the scalars of the last step
        self._decays = bool((hyperparameters["weight_decay"] > 0).any())
        self._clips = bool(np.isfinite(hyperparameters["clip_norm"]).any())

    def _scalars_for(self, rank: int) -> Any:
        return scalars(xp, self.rule.scalar_names(), self._now, rank)

    def advance(self, gradients: Callable[[list[Floats]], list[Floats]], factors: Float) -> None:
        """Take K steps. gradients: parameters -> gradients, alike; factors: (K, N), what multiplies the
        learning rate at each step."""
        packed, self.carry = schedule_scalars(self.rule, self.hyperparameters, factors, self.steps_taken, self.carry)
        for now in packed.astype(self.parameters[0].dtype):
            self._now = now
            if not self.slots:
                self.slots = [self.rule.start(xp, p, self._scalars_for(p.ndim)) for p in self.parameters]
            self.parameters, self.slots = step(
                self.rule,
                xp,
                self.parameters,
                gradients(self.parameters),
                self.slots,
                self._scalars_for,
                decays=self._decays,
                clips=self._clips,
            )
        self.steps_taken += len(packed)

    def evaluated(self) -> list[Floats]:
        """The parameters to report, each (N, *shape): the rule's averages where it has them."""
        if not self.slots:
            return self.parameters
        return [
            self.rule.evaluated(xp, p, s, self._scalars_for(p.ndim))
            for p, s in zip(self.parameters, self.slots, strict=True)
        ]


def descend(
    rule: type[Rule],
    gradient: Callable[[Floats], Floats],
    start: Any,
    *,
    steps: int,
    factors: Sequence[float] | None = None,
    **options: Any,
) -> Floats:
    """The trajectory of one array under a rule: (steps + 1, *shape), float64, the start first.

    gradient: array -> its gradient, alike. factors: (steps,), what multiplies the learning rate; None: 1.
    options: hyperparameters of the rule, checked. Raises `KitError` for one that is unknown or out of range.
    """
    given = rule.record().options(options)
    made = rule(**{h.name: given[h.name] for h in rule.all_hyperparameters() if h.structural})
    floats = {name: np.array([given[name]]) for name in made.float_names}
    reference = Reference(made, [np.asarray(start, dtype=np.float64)[None]], floats)
    trajectory = [reference.parameters[0][0]]
    for factor in np.ones(steps) if factors is None else factors:
        reference.advance(lambda p: [gradient(p[0][0])[None]], np.array([[factor]]))
        trajectory.append(reference.evaluated()[0][0])
    return np.stack(trajectory)
