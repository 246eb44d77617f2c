"""A formula as a function that computes it in place, in few passes: PyTorch calls with `out=`, written as source text.

Adam, for one trial (c0, c1, … are Python floats, one set for each step):

    def update(p, g, s0, s1, t0, t1, c0, c1, c2, c3, c4, c5, c6):
        s0.mul_(c0)
        s0.add_(g, alpha=c1)
        s1.mul_(c2)
        s1.addcmul_(g, g, value=c3)
        …

For a stack the scalars are tensors (trials, 1), which `alpha` and `value` do not take: they enter as factors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from kit_torch.formula import Formula, Operand, Term, Untraceable, is_scalar

IN_PLACE = frozenset(
    ("add", "sub", "mul", "div", "addcmul", "addcdiv", "sqrt", "neg", "abs", "sign", "pow", "clamp_min", "clamp_max",
     "reciprocal")
)  # fmt: skip

Value = int | str  # the result of an instruction by number, or an input by name
Update = Callable[..., None]


@dataclass
class Instruction:
    """torch.<name>(*operands, **keywords), an elementwise function. Scalars are source text already."""

    name: str
    operands: list[Any]  # `Value` or `_Text`
    keywords: dict[str, str] = field(default_factory=dict)


class _Text(NamedTuple):
    source: str


class Product(NamedTuple):
    """coefficient · first · second, or coefficient · first / second; a lone first has no second."""

    first: Term
    second: Term | None
    divides: bool
    coefficient: Operand | None


class InPlace:
    """`update(p, g, *slots, *temporaries, *scalars)`. `roots`: the scalar terms whose values it takes, in order.

    floats: scalars are Python floats (one trial); otherwise tensors that broadcast against p.
    """

    def __init__(self, formula: Formula, *, floats: bool) -> None:
        self.floats = floats
        self.roots: list[Term] = []
        self.instructions: list[Instruction] = []
        self._values: dict[int, Value] = {id(term): name for name, term in formula.inputs.items()}
        self._uses: Counter[int] = Counter()
        for term in formula.outputs.values():
            self._count(term)
        finals = {name: self._lower(term) for name, term in formula.outputs.items()}
        self.temporaries = 0
        self.source = self._write(formula, finals)
        namespace: dict[str, Any] = {"torch": torch}
        exec(self.source, namespace)
        self.update: Update = namespace["update"]

    def _count(self, term: Operand) -> None:
        if isinstance(term, Term) and not term.scalar:
            self._uses[id(term)] += 1
            if self._uses[id(term)] == 1:
                for argument in term.arguments:
                    self._count(argument)

    # --- from terms to instructions

    def _emit(self, name: str, *operands: Value | _Text, **keywords: str) -> Value:
        self.instructions.append(Instruction(name, list(operands), keywords))
        return len(self.instructions) - 1

    def _scalar(self, operand: Operand) -> _Text:
        if not isinstance(operand, Term):
            return _Text(repr(float(operand)))
        known = next((i for i, root in enumerate(self.roots) if root is operand), len(self.roots))
        if known == len(self.roots):
            self.roots.append(operand)
        return _Text(f"c{known}")

    def _operand(self, term: Operand) -> Value | _Text:
        return self._scalar(term) if is_scalar(term) else self._lower(term)

    def _lower(self, term: Term) -> Value:
        if id(term) not in self._values:
            if not term.arguments:
                raise Untraceable(f"it uses an unknown {term.name}")
            lower = getattr(self, f"_{term.name}", None)
            self._values[id(term)] = (
                lower(*term.arguments) if lower else self._emit(term.name, *map(self._operand, term.arguments))
            )
        return self._values[id(term)]

    def _add(self, a: Operand, b: Operand) -> Value:
        if is_scalar(a):
            a, b = b, a
        for base, other in ((a, b), (b, a)):
            product = None if is_scalar(base) else self._product(other)
            if product is not None:
                return self._plus(self._lower(base), product, "")
        return self._emit("add", self._lower(a), self._operand(b))

    def _sub(self, a: Operand, b: Operand) -> Value:
        if is_scalar(a):
            return self._emit("add", self._emit("neg", self._lower(b)), self._scalar(a))
        product = self._product(b)
        if product is not None:
            return self._plus(self._lower(a), product, "-")
        return self._emit("sub", self._lower(a), self._operand(b))

    def _mul(self, a: Operand, b: Operand) -> Value:
        return self._emit("mul", *((self._lower(b), self._scalar(a)) if is_scalar(a) else map(self._operand, (a, b))))

    def _div(self, a: Operand, b: Operand) -> Value:
        if not is_scalar(a):
            return self._emit("div", self._lower(a), self._operand(b))
        return self._emit("mul", self._emit("reciprocal", self._lower(b)), self._scalar(a))

    def _pow(self, a: Operand, b: Operand) -> Value:
        if is_scalar(a):
            raise Untraceable("it takes a number to the power of an array")
        return self._emit("pow", self._lower(a), self._operand(b))

    def _maximum(self, a: Operand, b: Operand) -> Value:
        return self._extreme("maximum", "clamp_min", a, b)

    def _minimum(self, a: Operand, b: Operand) -> Value:
        return self._extreme("minimum", "clamp_max", a, b)

    def _extreme(self, name: str, clamp: str, a: Operand, b: Operand) -> Value:
        if is_scalar(a):
            a, b = b, a
        number = is_scalar(b) and (self.floats or not isinstance(b, Term))
        return self._emit(clamp if number else name, self._lower(a), self._operand(b))

    def _once(self, term: Operand, name: str) -> bool:
        """Whether an operand is an array made by this operation for this one use."""
        return isinstance(term, Term) and not term.scalar and term.name == name and self._uses[id(term)] == 1

    def _product(self, term: Operand) -> Product | None:
        """A product or quotient that is used here alone, to be added without being stored."""
        if self._once(term, "mul"):
            a, b = term.arguments
            if is_scalar(a) or is_scalar(b):
                coefficient, array = (a, b) if is_scalar(a) else (b, a)
                if self._once(array, "div") and not any(map(is_scalar, array.arguments)):
                    return Product(*array.arguments, True, coefficient)
                return Product(array, None, False, coefficient)
            for scaled, other in ((a, b), (b, a)):
                inner = self._product(scaled) if self._once(scaled, "mul") else None
                if inner is not None and inner.second is None:
                    return Product(inner.first, other, False, inner.coefficient)
            return Product(a, b, False, None)
        if self._once(term, "div") and not any(map(is_scalar, term.arguments)):
            a, b = term.arguments
            inner = self._product(a) if self._once(a, "mul") else None
            if inner is not None and inner.second is None:
                return Product(inner.first, b, True, inner.coefficient)
            return Product(a, b, True, None)
        return None

    def _plus(self, base: Value, product: Product, sign: str) -> Value:
        """base ± product."""
        first = self._lower(product.first)
        second = None if product.second is None else self._lower(product.second)
        name = "addcdiv" if product.divides else "addcmul"
        if product.coefficient is None:
            assert second is not None
            return self._emit(name, base, first, second, value=f"{sign}1")
        coefficient = self._scalar(product.coefficient)
        if self.floats or not isinstance(product.coefficient, Term):  # a number of the formula's own is one for all
            if second is None:
                return self._emit("add", base, first, alpha=sign + coefficient.source)
            return self._emit(name, base, first, second, value=sign + coefficient.source)
        if second is not None:
            first = self._emit("div" if product.divides else "mul", first, second)
        return self._emit("addcmul", base, first, coefficient, value=f"{sign}1")

    # --- from instructions to text

    def _write(self, formula: Formula, finals: dict[str, Value]) -> str:
        """Each result goes where it belongs once the old content is no longer read, and to a temporary until then."""
        last = {v: i for i, each in enumerate(self.instructions) for v in each.operands if not isinstance(v, _Text)}
        slots = [name for name in formula.inputs if name.startswith("slot:")]
        places: dict[Value, str] = {"p": "p", "g": "g"} | {name: f"s{i}" for i, name in enumerate(slots)}
        free: list[str] = []
        held: dict[Value, str] = {}
        lines = []
        written: set[str] = set()
        for i, each in enumerate(self.instructions):
            texts = [v.source if isinstance(v, _Text) else places[v] for v in each.operands]
            free += [held.pop(v) for v in list(held) if last.get(v, -1) <= i and v not in finals.values()]
            homes = [s for s, v in finals.items() if v == i and last.get(s, -1) <= i]
            if homes:
                places[i] = places[homes[0]]
                written.add(homes[0])
            else:
                if not free:
                    free.append(f"t{self.temporaries}")
                    self.temporaries += 1
                places[i] = held[i] = free.pop()
            lines.append(self._line(each, texts, places[i]))
        for storage, value in finals.items():
            if value in finals and value != storage and value in written:
                raise Untraceable("it exchanges arrays")
            if storage not in written and value != storage:
                lines.append(f"{places[storage]}.copy_({places[value]})")
        temporaries = [f"t{i}" for i in range(self.temporaries)]
        scalars = [f"c{i}" for i in range(len(self.roots))]
        names = ["p", "g", *(places[name] for name in slots), *temporaries, *scalars]
        return f"def update({', '.join(names)}):\n" + "\n".join(f"    {line}" for line in lines or ["pass"])

    @staticmethod
    def _line(each: Instruction, texts: list[str], place: str) -> str:
        keywords = [f"{key}={value}" for key, value in each.keywords.items()]
        if texts[0] == place and each.name in IN_PLACE:
            return f"{place}.{each.name}_({', '.join(texts[1:] + keywords)})"
        return f"torch.{each.name}({', '.join([*texts, *keywords, f'out={place}'])})"
