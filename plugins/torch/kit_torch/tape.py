"""A step's operations, recorded while PyTorch carries them out: what autograd, autocast and vmap come down to.

A `Tape` is a straight list of ATen operations on values. Played back (`kit_torch.playback`) it needs neither modules
nor autograd nor vmap, whose bookkeeping costs a small model more than its arithmetic. It holds for the shapes
that it was recorded with, and only for a forward pass that does the same operations every time
(`kit_torch.network.Traits.pure`).

Values are `fixed` where they are the same in every step: constants, and views of the parameters, whose memory stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

# What these give depends on the shape of their first argument alone.
SHAPE_ONLY = frozenset(
    ("ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full", "scalar_tensor", "empty_like")
)


class Unrecordable(Exception):
    """The step does what cannot be played back; the message says what."""


@dataclass(eq=False)
class Value:
    """A tensor of the step. `root`: the value whose memory it shares; itself where it has its own."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    tensor: Tensor | None = None  # where it is fixed
    name: str = ""  # where it is an argument of the step
    root: Value | None = None

    def __post_init__(self) -> None:
        if self.root is None:
            self.root = self

    @property
    def fixed(self) -> bool:
        return self.tensor is not None


@dataclass(eq=False)
class Operation:
    """results = function(*arguments, **keywords); values stand where tensors stood."""

    function: Any  # an OpOverload
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    results: list[Value | None]
    single: bool  # gives one tensor, not a tuple

    @property
    def name(self) -> str:
        return str(self.function._schema.name).partition("::")[2]

    def inputs(self) -> list[Value]:
        return values_in((self.arguments, tuple(self.keywords.values())))


def values_in(tree: Any) -> list[Value]:
    if isinstance(tree, Value):
        return [tree]
    if isinstance(tree, list | tuple):
        return [value for item in tree for value in values_in(item)]
    return []


def replaced(tree: Any, exchange: Callable[[Value], Any]) -> Any:
    """The tree with every value exchanged."""
    if isinstance(tree, Value):
        return exchange(tree)
    if isinstance(tree, list | tuple):
        return type(tree)(replaced(item, exchange) for item in tree)
    return tree


@dataclass
class Tape:
    """operations in their order; outputs in the order that the function gave them."""

    operations: list[Operation] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


class _Recorder(TorchDispatchMode):  # type: ignore[misc]
    def __init__(self, fixed: Sequence[Tensor], arguments: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.tape = Tape()
        self.parameters: frozenset[Value] = frozenset()
        # By tensor, not by id: that of a tensor that is gone is soon another's.
        self.known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self.layouts: dict[tuple[Any, ...], Value] = {}
        for tensor in fixed:
            self._learn(tensor, Value(*_layout(tensor), tensor=tensor.detach()))
        for name, tensor in arguments.items():
            self._learn(tensor, Value(*_layout(tensor), name=name))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: it would load the whole of torch.compile, which takes 2 s, only to leave this class out of it."""
        return False

    def _learn(self, tensor: Tensor, value: Value) -> None:
        self.known[tensor] = value
        self.layouts.setdefault((id(value.root), value.shape, value.stride, value.offset, value.dtype), value)

    def value(self, tensor: Tensor) -> Value:
        found = self.known.get(tensor)
        if found is None:
            raise Unrecordable("it uses a tensor that is neither a parameter nor data nor computed from them")
        return found

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        if torch.Tag.nondeterministic_seeded in function.tags and not _without_dropout(function, args, keywords):
            raise Unrecordable(f"it draws random numbers ({function})")
        if torch.Tag.data_dependent_output in function.tags or torch.Tag.dynamic_output_shape in function.tags:
            raise Unrecordable(f"what it does depends on the numbers ({function})")
        if function._schema.is_mutable:
            raise Unrecordable(f"it changes a tensor in place ({function})")
        result = function(*args, **keywords)
        arguments, named = self._valued(args), {key: self._valued(item) for key, item in keywords.items()}
        single = isinstance(result, Tensor)
        results = [result] if single else list(result)
        if not all(each is None or isinstance(each, Tensor) for each in results):
            raise Unrecordable(f"it uses {function}, which gives more than tensors")
        operation = Operation(function, arguments, named, [], single)
        same = _unchanged(operation, result) if single else None
        if same is not None:
            self._learn(result, same)
            return result
        for each in results:
            new = None if each is None else self._result(operation, each, args)
            operation.results.append(None if new is None or new.fixed else new)
        if any(operation.results):
            self.tape.operations.append(operation)
        return result

    def _valued(self, tree: Any) -> Any:
        if isinstance(tree, Tensor):
            return self.value(tree)
        if isinstance(tree, list | tuple):
            return type(tree)(self._valued(item) for item in tree)
        return tree

    def _result(self, operation: Operation, tensor: Tensor, args: Any) -> Value | None:
        """The value of a result; None for one that was there already, in the same memory."""
        shape, stride, offset, dtype = _layout(tensor)
        root = next((self.value(a).root for a in args if isinstance(a, Tensor) and _shares(a, tensor)), None)
        known = None if root is None else self.layouts.get((id(root), shape, stride, offset, dtype))
        if known is not None:
            self._learn(tensor, known)
            return None
        fixed = operation.name in SHAPE_ONLY or all(value.fixed for value in operation.inputs())
        if root is None and operation.name not in SHAPE_ONLY:
            # A view of a parameter stays a view of it; what is computed from one does not stay.
            fixed = fixed and not any(value.root in self.parameters for value in operation.inputs())
        value = Value(shape, stride, offset, dtype, tensor=tensor.detach() if fixed else None, root=root)
        self._learn(tensor, value)
        return value


def _without_dropout(function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    """Whether an operation that draws random numbers for its dropout alone, as attention does, has none to draw."""
    names = [argument.name for argument in function._schema.arguments]
    if "dropout_p" not in names:
        return False
    place = names.index("dropout_p")
    default = function._schema.arguments[place].default_value
    return bool((arguments[place] if place < len(arguments) else keywords.get("dropout_p", default)) == 0)


def _unchanged(operation: Operation, result: Tensor) -> Value | None:
    """The argument that the result equals: vmap multiplies by 1 where a function has a factor.

    Only one that has memory of its own, laid out as the result is: views of either are then views of both.
    """
    if operation.name not in ("mul", "div") or operation.arguments[1] != 1:
        return None
    value = operation.arguments[0]
    own = isinstance(value, Value) and value.root is value and not value.fixed and not value.name
    return value if own and (value.shape, value.stride, value.offset, value.dtype) == _layout(result) else None


def _layout(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int, torch.dtype]:
    return tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset(), tensor.dtype


def _shares(a: Tensor, b: Tensor) -> bool:
    return a.numel() > 0 and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def record(
    function: Callable[[], Sequence[Tensor]], parameters: Sequence[Tensor], arguments: Mapping[str, Tensor]
) -> tuple[Tape, list[Tensor]]:
    """Carry out `function` once; the tape, and what it gave. parameters, arguments: the tensors that it takes, by
    closure.

    Raises `Unrecordable`.
    """
    recorder = _Recorder(parameters, arguments)
    recorder.parameters = frozenset(recorder.value(p) for p in parameters)
    with torch.enable_grad(), recorder:
        outputs = list(function())
    recorder.tape.outputs = [recorder.value(output) for output in outputs]
    return recorder.tape, [output.detach() for output in outputs]
