"""An elementwise rule's update as a formula: what it computes, found by running it once on symbols.

A rule is written as pure array arithmetic, which in PyTorch allocates an array for every operation and passes over
memory as often. Run on `Term`s it tells its operations instead, from which `kit_torch.inplace` writes the same update
in place:

    Term("p"), Term("g"), h.learning_rate = Term scalar    →  sub(p, mul(learning_rate, g))

What depends on scalars alone (η / (1 − β₁ᵗ)) is computed by the host, in float64, for all steps of a chunk at once. A
rule that does anything else than arithmetic on its arguments raises `Untraceable` here, and is run as it is written.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from kit.rules.rule import Rule
from kit.rules.step import Scalars, step


class Untraceable(Exception):
    """The rule is not a formula of its arguments. The message says what it does."""


Operand = Any  # a Term or a number

SCALAR_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": np.power,
    "neg": operator.neg,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


class Term:
    """An array (or, where `scalar`, a number per trial) as an expression. Compared and hashed by identity."""

    __slots__ = ("arguments", "name", "scalar")

    def __init__(self, name: str, arguments: tuple[Operand, ...] = (), scalar: bool = False) -> None:
        self.name, self.arguments, self.scalar = name, arguments, scalar

    @property
    def shape(self) -> tuple[int, int]:
        return (2, 2)  # of rank 2, as the flat buffer is; nothing may depend on the numbers

    ndim = 2

    def __bool__(self) -> bool:
        raise Untraceable("it decides by the value of an array")

    def __getattr__(self, name: str) -> Any:
        raise Untraceable(f"it asks an array for '{name}'")

    def __add__(self, other: Operand) -> Term:
        return combined("add", self, other)

    def __radd__(self, other: Operand) -> Term:
        return combined("add", other, self)

    def __sub__(self, other: Operand) -> Term:
        return combined("sub", self, other)

    def __rsub__(self, other: Operand) -> Term:
        return combined("sub", other, self)

    def __mul__(self, other: Operand) -> Term:
        return combined("mul", self, other)

    def __rmul__(self, other: Operand) -> Term:
        return combined("mul", other, self)

    def __truediv__(self, other: Operand) -> Term:
        return combined("div", self, other)

    def __rtruediv__(self, other: Operand) -> Term:
        return combined("div", other, self)

    def __pow__(self, other: Operand) -> Term:
        return combined("pow", self, other)

    def __neg__(self) -> Term:
        return combined("neg", self)


def is_scalar(operand: Operand) -> bool:
    """A number, or a term that is one number per trial."""
    return operand.scalar if isinstance(operand, Term) else True


def combined(name: str, *operands: Operand) -> Term:
    for operand in operands:
        if not isinstance(operand, Term | int | float) or isinstance(operand, bool):
            raise Untraceable(f"it mixes arrays with a {type(operand).__name__}")
    return Term(name, operands, scalar=all(is_scalar(operand) for operand in operands))


class Symbols:
    """The namespace `xp` on terms."""

    @staticmethod
    def sqrt(x: Operand, /) -> Term:
        return combined("sqrt", x)

    @staticmethod
    def abs(x: Operand, /) -> Term:
        return combined("abs", x)

    @staticmethod
    def sign(x: Operand, /) -> Term:
        return combined("sign", x)

    @staticmethod
    def power(x: Operand, y: Operand, /) -> Term:
        return combined("pow", x, y)

    @staticmethod
    def maximum(x: Operand, y: Operand, /) -> Term:
        return combined("maximum", x, y)

    @staticmethod
    def minimum(x: Operand, y: Operand, /) -> Term:
        return combined("minimum", x, y)

    def __getattr__(self, name: str) -> Any:
        raise Untraceable(f"it uses xp.{name}")


class Formula:
    """`parameter` and `slots`: the terms of the new values. Inputs are terms without arguments: "p", "g", "slot:m" and,
    scalar, "learning_rate"."""

    def __init__(self, rule: Rule, slots: tuple[str, ...], *, decays: bool) -> None:
        """Raises `Untraceable`."""
        p, g = Term("p"), Term("g")
        before = {name: Term(f"slot:{name}") for name in slots}
        h = Scalars(**{name: Term(name, scalar=True) for name in rule.scalar_names()})
        try:
            [after], [slots_after] = step(
                rule, Symbols(), [p], [g], [dict(before)], lambda rank: h, decays=decays, clips=False
            )
        except Untraceable:
            raise
        except Exception as error:
            raise Untraceable(f"it raises {type(error).__name__} on symbols: {error}") from error
        outputs = {"p": after, **{f"slot:{name}": slots_after.get(name) for name in slots}}
        if set(slots_after) != set(slots):
            raise Untraceable("its slots change from step to step")
        for name, term in outputs.items():
            if not isinstance(term, Term) or term.scalar:
                raise Untraceable(f"its new {name} is no array")
        self.inputs: dict[str, Term] = {"p": p, "g": g, **{f"slot:{name}": term for name, term in before.items()}}
        self.outputs: dict[str, Term] = outputs


def evaluate(term: Operand, values: dict[str, Any]) -> Any:
    """A scalar expression in float64. values: name -> (steps, trials)."""
    if not isinstance(term, Term):
        return np.float64(term)
    if not term.arguments:
        return values[term.name]
    with np.errstate(all="ignore"):
        return SCALAR_FUNCTIONS[term.name](*(evaluate(argument, values) for argument in term.arguments))
