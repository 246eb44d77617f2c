"""A tape as a function: straight Python over PyTorch's own calls, without modules, autograd or vmap.

    def play(x, y):
        v0 = addmm(f0, x, f1)                       # f…: fixed; the parameters' memory, seen as the step needs it
        v1 = relu(v0); del v0
        …
        mm(v9, x, out=o0)                           # o…: where the gradient belongs
        copy([o1, o2], [v12, v13])
        return v5

What is not needed is left out, and gradients that come out transposed are computed the right way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kit_torch.tape import Operation, Tape, Value

_FAST = (
    "_log_softmax _log_softmax_backward_data _softmax _softmax_backward_data abs add addmm amax baddbmm bmm clamp_min "
    "clone cos div embedding eq erf exp gather ge gt le log logical_not lt masked_fill maximum mean minimum mm mul "
    "native_layer_norm ne neg permute pow reciprocal relu rsqrt scatter_add sigmoid sign sin sqrt squeeze sub sum t "
    "tanh transpose unsqueeze where"
)
# PyTorch's own Python functions of these names take the operation's arguments as they are, and cost half of what
# calling it costs.
FAST: dict[str, Callable[..., Any]] = {
    name: function for name in _FAST.split() if (function := getattr(torch, name, None)) is not None
} | {name: getattr(torch.Tensor, name) for name in ("view", "expand")}
INTO = ("mm", "bmm", "sum")  # what may write its result where it belongs


def play(tape: Tape, arguments: Sequence[str], places: Sequence[Tensor] | None) -> Callable[..., Any]:
    """A function of the arguments, by name in order, that gives the tape's first output and, where `places` is None,
    the others; otherwise those are written into the places, tensors of their shapes."""
    return _Writer(tape, places).function(arguments)


class _Writer:
    def __init__(self, tape: Tape, places: Sequence[Tensor] | None) -> None:
        self.places, self.outputs = places, list(tape.outputs)
        self.namespace: dict[str, Any] = {"copy": torch._foreach_copy_}
        self.names: dict[int, str] = {}
        self.operations = _needed(_turned(tape), self.outputs)
        self.into = self._direct() if places is not None else {}

    def function(self, arguments: Sequence[str]) -> Callable[..., Any]:
        lines = self._lines()
        source = f"def play({', '.join(arguments)}):\n" + "\n".join(f"    {line}" for line in lines)
        exec(source, self.namespace)
        made: Callable[..., Any] = self.namespace["play"]
        made.source = source  # type: ignore[attr-defined] # for whoever wants to see it
        return made

    def _direct(self) -> dict[int, Tensor]:
        """id of an operation -> the place that it may write its result into."""
        assert self.places is not None
        made = {id(op.results[0]): op for op in self.operations if op.single}
        uses = Counter(id(v) for op in self.operations for v in op.inputs()) + Counter(map(id, self.outputs))
        into = {}
        for value, place in zip(self.outputs[1:], self.places, strict=True):
            chain, whole = [value], value
            while id(whole) in made and made[id(whole)].name in ("view", "_unsafe_view"):
                whole = made[id(whole)].arguments[0]
                chain.append(whole)
            maker = made.get(id(whole))
            alone = all(uses[id(v)] == 1 for v in chain)
            if maker is None or maker.name not in INTO or not alone or not place.is_contiguous():
                continue
            if torch.empty(whole.shape, device="meta").stride() == whole.stride:
                into[id(maker)] = place.view(whole.shape)
        return into

    def _lines(self) -> list[str]:
        assert self.outputs
        last = {id(v): i for i, op in enumerate(self.operations) for v in op.inputs()}
        kept = {id(v) for v in self.outputs}
        direct = {id(op.results[0]) for op in self.operations if id(op) in self.into}
        lines = []
        for i, op in enumerate(self.operations):
            if op.name in ("view", "_unsafe_view") and id(op.arguments[0]) in direct:
                direct.add(id(op.results[0]))  # the place itself is seen in this shape
                continue
            lines.append(self._line(op))
            gone = {id(v): v for v in [*op.inputs(), *op.results] if v is not None and id(v) not in kept}
            dead = [self.names[key] for key, v in gone.items() if last.get(key, -1) <= i and self._local(v)]
            dead = [name for name in dead if id(op) not in self.into or name != self.names.get(id(op.results[0]))]
            if dead:
                lines.append(f"del {', '.join(dead)}")
        return lines + self._ending(direct)

    def _ending(self, direct: set[int]) -> list[str]:
        first, *others = self.outputs
        if self.places is None:
            return [f"return {self._text(first)}, [{', '.join(map(self._text, others))}]"]
        pairs = [(p, v) for p, v in zip(self.places, others, strict=True) if id(v) not in direct]
        lines = []
        if pairs:
            into = ", ".join(self._constant(p) for p, _ in pairs)
            lines.append(f"copy([{into}], [{', '.join(self._text(v) for _, v in pairs)}])")
        return [*lines, f"return {self._text(first)}"]

    @staticmethod
    def _local(value: Value) -> bool:
        return not value.fixed and not value.name

    def _line(self, op: Operation) -> str:
        function = FAST.get(op.name) or op.function._op
        arguments = [self._text(a) for a in op.arguments]
        arguments += [f"{key}={self._text(a)}" for key, a in op.keywords.items()]
        if id(op) in self.into:
            return f"{self._constant(function)}({', '.join([*arguments, f'out={self._constant(self.into[id(op)])}'])})"
        call = f"{self._constant(function)}({', '.join(arguments)})"
        results = ["_" if v is None else self._text(v) for v in op.results]
        return f"{', '.join(results)}{'' if op.single else ','} = {call}"

    def _constant(self, thing: Any) -> str:
        name = f"f{len(self.namespace)}"
        self.namespace[name] = thing
        return name

    def _text(self, item: Any) -> str:
        if isinstance(item, Value):
            if item.name:
                return item.name
            if id(item) not in self.names:
                self.names[id(item)] = self._constant(item.tensor) if item.fixed else f"v{len(self.names)}"
            return self.names[id(item)]
        if isinstance(item, list):
            return f"[{', '.join(map(self._text, item))}]"
        if isinstance(item, tuple):
            return f"({''.join(f'{self._text(each)}, ' for each in item)})"
        if item is None or isinstance(item, bool | int | str):
            return repr(item)
        return self._constant(item)  # a dtype, a device, a float that may be infinite


def _needed(operations: list[Operation], outputs: list[Value]) -> list[Operation]:
    """Those that an output depends on."""
    wanted = {id(v) for v in outputs}
    found = []
    for op in reversed(operations):
        if any(v is not None and id(v) in wanted for v in op.results):
            wanted |= {id(v) for v in op.inputs()}
            found.append(op)
            op.results = [v if v is not None and id(v) in wanted else None for v in op.results]
    return found[::-1]


def _turned(tape: Tape) -> list[Operation]:
    """The operations, with matrix products that are only an output's transpose computed as that: (a b)ᵀ = bᵀ aᵀ."""
    made = {id(op.results[0]): op for op in tape.operations if op.single}
    uses = Counter(id(v) for op in tape.operations for v in op.inputs()) + Counter(map(id, tape.outputs))
    instead: dict[int, list[Operation]] = {}
    for output in tape.outputs:
        turn = made.get(id(output))
        if turn is None or turn.name not in ("t", "transpose") or not _exchanges_last(turn) or uses[id(output)] != 1:
            continue
        product = made.get(id(turn.arguments[0]))
        views = []
        while product is not None and product.name in ("view", "_unsafe_view") and uses[id(product.results[0])] == 1:
            views.append(product)
            product = made.get(id(product.arguments[0]))
        if product is None or product.name not in ("mm", "bmm") or uses[id(product.results[0])] != 1:
            continue
        if any(view.results[0].shape != product.results[0].shape for view in views):  # type: ignore[union-attr]
            continue
        instead[id(turn)] = _transposed(product, output)
        instead |= {id(op): [] for op in (product, *views)}
    return [each for op in tape.operations for each in instead.get(id(op), [op])]


def _exchanges_last(turn: Operation) -> bool:
    rank = len(turn.arguments[0].shape)
    axes = {axis % rank for axis in turn.arguments[1:]} if turn.name == "transpose" else {0, 1}
    return rank >= 2 and axes == {rank - 2, rank - 1}


def _transposed(product: Operation, output: Value) -> list[Operation]:
    """bᵀ aᵀ, into the output's own value, which is then laid out row by row."""
    operations = []
    turned = []
    for value in reversed(product.arguments):
        *lead, rows, columns = value.shape
        *steps, down, across = value.stride
        view = Value((*lead, columns, rows), (*steps, across, down), value.offset, value.dtype, root=value.root)
        function = torch.ops.aten.transpose.int
        if value.fixed:
            view.tensor = value.tensor.mT
        else:
            operations.append(Operation(function, (value, -2, -1), {}, [view], True))
        turned.append(view)
    output.stride = torch.empty(output.shape, device="meta").stride()
    return [*operations, Operation(product.function, tuple(turned), {}, [output], True)]
