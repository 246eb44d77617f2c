"""The arguments of a user's optimizer class as hyperparameters, from its signature, for the lab's controls.

    arguments(torch.optim.SGD)     # learning_rate (lr), momentum, dampening, weight_decay, nesterov, maximize, …

Only what a control can hold: numbers, truth values, tuples of numbers. An argument whose default is None, a tensor or
an object keeps its default, or what `kit.optimizer(cls, …)` gave.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from kit.records import Hyperparameter
from kit.resolve import default_rate

RATE = ("learning_rate", "lr")  # the first is the kit's word
HELP = "An argument of the class itself; its own documentation says what it does."


def arguments(made_by: Callable[..., Any]) -> tuple[Hyperparameter, ...]:
    """The learning rate first, the others in the signature's order."""
    rate = default_rate(made_by)
    learning_rate = Hyperparameter(name=RATE[0], default=rate, low=0.0, log=True, help="Step size.")
    parameters = inspect.signature(made_by).parameters.values()
    others = (_hyperparameter(parameter) for parameter in parameters if parameter.name not in RATE)
    return (learning_rate, *(found for found in others if found is not None))


def _hyperparameter(parameter: inspect.Parameter) -> Hyperparameter | None:
    default = parameter.default
    if isinstance(default, int) and not isinstance(default, bool) and "float" in str(parameter.annotation):
        default = float(default)  # `weight_decay: float = 0`
    plain = isinstance(default, bool) or _number(default)
    if not plain and not (isinstance(default, tuple) and default and all(map(_number, default))):
        return None
    return Hyperparameter(name=parameter.name, default=default, help=HELP)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
