"""From the objects that an optimizer reaches to a tree of JSON, with the tensors' bytes beside it."""

from __future__ import annotations

import enum
import functools
import logging
import random
import re
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# What a freshly made optimizer has by itself, because it is no data.
CODE = (
    type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
    torch.layout, torch.memory_format, enum.Enum, re.Pattern, logging.Logger, property,
    np.dtype, np.ufunc, range, slice, type(NotImplemented), type(Ellipsis),
)  # fmt: skip
FACTORIES = {"dict": dict, "list": list, "set": set, "int": int, "float": float, "deque": deque}


class CannotStoreError(Exception):
    """An optimizer holds what cannot be stored; the message is a phrase that says what and where."""


class Writer:
    """Writes one graph of objects. `blobs`: the bytes of its tensors, in the order of the tree."""

    def __init__(self, parameters: Sequence[Tensor], module: nn.Module) -> None:
        self.blobs: list[bytes] = []
        self._parameters = {id(p): i for i, p in enumerate(parameters)}
        self._spans = [(p.untyped_storage().data_ptr(), p.storage_offset(), p.numel()) for p in parameters]
        self._left_out = {id(part) for part in module.modules()}
        self._numbers: dict[int, int] = {}
        self._storages: dict[int, int] = {}
        self._alive: list[Any] = []  # an object that went would leave its number to another

    def value(self, value: Any, where: str) -> Any:
        """The tree of a value. where: the attributes that lead to it, for the message."""
        if type(value) is int and value in self._parameters:
            return {"identity": self._parameters[value]}  # what some dictionaries are keyed by
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return {"float": value.hex()}
        if id(value) in self._parameters:
            return {"parameter": self._parameters[id(value)]}
        if id(value) in self._left_out or isinstance(value, CODE):
            return {"made": True}
        if id(value) in self._numbers:
            return {"same": self._numbers[id(value)]}
        found = self._simple(value)
        if found is not None:
            return found
        self._numbers[id(value)] = number = len(self._numbers)
        self._alive.append(value)
        return {"number": number, **self._body(value, where)}

    def _simple(self, value: Any) -> Any:
        """Values that have no parts and are never changed in place."""
        if isinstance(value, complex):
            return {"complex": [value.real.hex(), value.imag.hex()]}
        if isinstance(value, bytes):
            return {"bytes": value.hex()}
        if isinstance(value, torch.Size):
            return {"size": list(value)}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"device": value.type}
        if isinstance(value, np.generic):
            return {"scalar": value.dtype.str, "hex": value.tobytes().hex()}
        return None

    def _body(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, Tensor):
            return self._tensor(value, where)
        if isinstance(value, np.ndarray):
            return {"array": self.value(torch.from_numpy(np.ascontiguousarray(value)), where)}
        if isinstance(value, dict):
            return self._dictionary(value, where)
        if isinstance(value, list | tuple | deque | set | frozenset):
            return self._sequence(value, where)
        if isinstance(value, random.Random):
            return {"random": self.value(value.getstate(), where)}
        if isinstance(value, np.random.Generator):
            return {"generator": self.value(value.bit_generator.state, where)}
        if isinstance(value, np.random.RandomState):
            return {"generator": self.value(value.get_state(legacy=False), where)}
        if isinstance(value, torch.Generator):
            return {"generator": self.value(value.get_state(), where)}
        return self._code(value, where) or self._object(value, where)

    def _code(self, value: Any, where: str) -> dict[str, Any] | None:
        """Functions, for what they carry: the variables of a closure, the object of a method."""
        if isinstance(value, types.FunctionType):
            cells = []
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                try:
                    cells.append([self.value(cell.cell_contents, f"{where}, variable '{name}'")])
                except ValueError:  # not yet assigned
                    cells.append([])
            return {"function": cells}
        if isinstance(value, weakref.ref):
            return {"reference": self.value(value(), where)}
        if isinstance(value, types.MethodType):
            return {"method": self.value(value.__self__, where)}
        if isinstance(value, functools.partial):
            return {"partial": [self.value(part, where) for part in (value.func, list(value.args), value.keywords)]}
        return None

    def _dictionary(self, value: dict[Any, Any], where: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"type": type(value).__name__}
        if isinstance(value, defaultdict):
            facts["factory"] = getattr(value.default_factory, "__name__", "")
        elif type(value) not in (dict, OrderedDict):
            facts["own"] = True
        entries = [
            [self.value(key, where), self.value(item, f"{where}[{key!r}]" if isinstance(key, str) else where)]
            for key, item in value.items()
        ]
        return {"entries": entries, **facts}

    def _sequence(self, value: Any, where: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"type": type(value).__name__}
        if isinstance(value, deque):
            facts["longest"] = value.maxlen
        if type(value) not in (list, tuple, deque, set, frozenset):
            facts["own"] = True  # a named tuple
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value  # one order for equal sets
        return {"items": [self.value(item, where) for item in items], **facts}

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        names = [name for kind in type(value).__mro__ for name in _slots(kind)]
        attributes = {name: getattr(value, name) for name in names if hasattr(value, name)}
        attributes |= getattr(value, "__dict__", {})
        plain = hasattr(value, "__dict__") or names
        if not plain or isinstance(value, types.GeneratorType) or type(value).__module__ in ("_io", "_thread"):
            raise CannotStoreError(f"it holds a {type(value).__name__} (in {where.lstrip('.') or 'itself'})")
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        return {
            "object": {name: self.value(item, f"{where}.{name}") for name, item in attributes.items()},
            "kind": kind,
        }

    def _tensor(self, value: Tensor, where: str) -> dict[str, Any]:
        if type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided:
            raise CannotStoreError(f"it holds a tensor of type {type(value).__name__} (in {where.lstrip('.')})")
        storage = value.untyped_storage()
        shape = {"shape": list(value.shape), "stride": list(value.stride())}
        name = str(value.dtype).removeprefix("torch.")
        for i, (place, start, length) in enumerate(self._spans):
            if place == storage.data_ptr() and start <= value.storage_offset() < start + length:
                return {"view": i, "offset": value.storage_offset() - start, **shape}
        if storage.data_ptr() not in self._storages or not storage.nbytes():
            self._storages[storage.data_ptr()] = len(self.blobs)
            self._alive.append(storage)
            flat = torch.empty(0, dtype=torch.uint8, device=value.device).set_(storage)
            self.blobs.append(flat.cpu().numpy().tobytes() if storage.nbytes() else b"")
            shape["bytes"] = [len(self.blobs[-1])]
        return {
            "tensor": name,
            "storage": self._storages[storage.data_ptr()],
            "offset": value.storage_offset(),
            "device": value.device.type,
            "parameter_class": isinstance(value, nn.Parameter),
            "requires_grad": value.requires_grad and value.is_leaf,
            **shape,
        }


def _slots(kind: type) -> Sequence[str]:
    found = kind.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else [name for name in found if name not in ("__dict__", "__weakref__")]
