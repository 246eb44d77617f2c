"""From a stored tree back into the objects of a freshly made optimizer: see `kit_torch.optimizer_state`."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kit_torch.state_writer import FACTORIES

ABSENT = object()  # the fresh optimizer has nothing in that place
_PLAIN = {"dict": dict, "OrderedDict": OrderedDict, "list": list, "set": set, "tuple": tuple, "frozenset": frozenset}


class CannotRestoreError(Exception):
    """The fresh optimizer has no place for what was stored."""


class Reader:
    """Reads one graph. parameters: the member's, in the order of the writer's; packages: those whose classes it may
    make objects of, without calling anything of theirs."""

    def __init__(self, blobs: bytes, parameters: Sequence[Tensor], packages: Sequence[str] = ()) -> None:
        self._blobs, self._parameters, self._packages = blobs, parameters, packages
        self._device = parameters[0].device
        self._position = 0
        self._storages: dict[int, Any] = {}
        self._known: dict[int, Any] = {}

    def value(self, tree: Any, fresh: Any = ABSENT) -> Any:
        """What a tree says; `fresh`, what stands in its place now, is changed in place where it can be."""
        if not isinstance(tree, dict):
            return tree
        if "same" in tree:
            return self._known[tree["same"]]
        if "made" in tree:
            if fresh is ABSENT:
                raise CannotRestoreError("it holds code that a new one has not")
            return fresh
        if "number" not in tree:
            return self._simple(tree)
        for tag, read in (
            ("object", self._object), ("entries", self._dictionary), ("items", self._sequence),
            ("tensor", self._tensor), ("view", self._view), ("array", self._array), ("random", self._random),
            ("generator", self._generator), ("function", self._function), ("method", self._method),
            ("partial", self._partial), ("reference", self._reference),
        ):  # fmt: skip
            if tag in tree:
                return read(tree, fresh)
        raise CannotRestoreError(f"its tree says {sorted(tree)}")

    def _simple(self, tree: dict[str, Any]) -> Any:
        if "float" in tree:
            return float.fromhex(tree["float"])
        if "parameter" in tree:
            return self._parameters[tree["parameter"]]
        if "identity" in tree:
            return id(self._parameters[tree["identity"]])
        if "complex" in tree:
            return complex(*(float.fromhex(part) for part in tree["complex"]))
        if "bytes" in tree:
            return bytes.fromhex(tree["bytes"])
        if "size" in tree:
            return torch.Size(tree["size"])
        if "dtype" in tree:
            return getattr(torch, tree["dtype"])
        if "device" in tree:
            return torch.device("cpu") if tree["device"] == "cpu" else self._device
        return np.frombuffer(bytes.fromhex(tree["hex"]), dtype=tree["scalar"])[0]

    def _keep(self, tree: dict[str, Any], value: Any) -> Any:
        self._known[tree["number"]] = value
        return value

    def _object(self, tree: dict[str, Any], fresh: Any) -> Any:
        kind = f"{type(fresh).__module__}:{type(fresh).__qualname__}"
        if fresh is ABSENT or kind != tree["kind"]:
            fresh = self._blank(tree["kind"])
        self._keep(tree, fresh)
        own = getattr(fresh, "__dict__", {})
        for name in [name for name in own if name not in tree["object"]]:
            del own[name]
        for name, item in tree["object"].items():
            value = self.value(item, own[name] if name in own else getattr(fresh, name, ABSENT))
            if name in own or not hasattr(type(fresh), name):
                own[name] = value
            else:
                object.__setattr__(fresh, name, value)
        return fresh

    def _blank(self, kind: str) -> Any:
        """An object that a new optimizer has not made yet: of a class of the packages that are here at work already."""
        module, _, name = kind.partition(":")
        found: Any = sys.modules.get(module) if module.partition(".")[0] in self._packages else None
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type):
            raise CannotRestoreError(f"it holds a {name} that a new one has not")
        return object.__new__(found)

    def _dictionary(self, tree: dict[str, Any], fresh: Any) -> Any:
        if isinstance(fresh, dict) and type(fresh).__name__ == tree["type"]:
            before, into = dict(fresh), fresh
            into.clear()
        elif "factory" in tree and tree["factory"] in FACTORIES:
            before, into = {}, defaultdict(FACTORIES[tree["factory"]])
        elif tree["type"] in _PLAIN:
            before, into = {}, _PLAIN[tree["type"]]()
        else:
            raise CannotRestoreError(f"it holds a {tree['type']} that a new one has not")
        self._keep(tree, into)
        for key, item in tree["entries"]:
            name = self.value(key)
            into[name] = self.value(item, before.get(name, ABSENT))
        return into

    def _sequence(self, tree: dict[str, Any], fresh: Any) -> Any:
        kind = tree["type"]
        alike = type(fresh).__name__ == kind
        before = list(fresh) if alike and not isinstance(fresh, set | frozenset) else []
        places = [before[i] if i < len(before) else ABSENT for i in range(len(tree["items"]))]
        if kind == "deque":
            into: Any = fresh if alike else deque(maxlen=tree["longest"])
            into.clear()
        elif kind in ("list", "set"):
            into = fresh if alike else _PLAIN[kind]()
            into.clear()
        else:
            if "own" in tree and not alike:
                raise CannotRestoreError(f"it holds a {kind} that a new one has not")
            items = [self.value(item, place) for item, place in zip(tree["items"], places, strict=True)]
            return self._keep(tree, type(fresh)(*items) if "own" in tree else _PLAIN[kind](items))
        self._keep(tree, into)
        add = into.add if kind == "set" else into.append
        for item, place in zip(tree["items"], places, strict=True):
            add(self.value(item, place))
        return into

    def _tensor(self, tree: dict[str, Any], fresh: Any) -> Any:
        from kit_torch.optimizer_state import DTYPES

        if "bytes" in tree:
            length = tree["bytes"][0]
            part = bytearray(self._blobs[self._position : self._position + length])
            self._position += length
            flat = torch.frombuffer(part, dtype=torch.uint8).clone() if part else torch.empty(0, dtype=torch.uint8)
            self._storages[tree["storage"]] = flat.to("cpu" if tree["device"] == "cpu" else self._device)
        storage = self._storages[tree["storage"]]
        found = torch.empty(0, dtype=DTYPES[tree["tensor"]], device=storage.device)
        found.set_(storage.untyped_storage(), tree["offset"], tree["shape"], tree["stride"])
        if tree["parameter_class"]:
            found = nn.Parameter(found, requires_grad=tree["requires_grad"])
        elif tree["requires_grad"]:
            found.requires_grad_()
        return self._keep(tree, found)

    def _view(self, tree: dict[str, Any], fresh: Any) -> Any:
        whole = self._parameters[tree["view"]].detach()
        start = whole.storage_offset() + tree["offset"]
        return self._keep(tree, torch.as_strided(whole, tree["shape"], tree["stride"], start))

    def _array(self, tree: dict[str, Any], fresh: Any) -> Any:
        return self._keep(tree, self.value(tree["array"]).numpy().copy())

    def _random(self, tree: dict[str, Any], fresh: Any) -> Any:
        fresh.setstate(self.value(tree["random"]))
        return self._keep(tree, fresh)

    def _generator(self, tree: dict[str, Any], fresh: Any) -> Any:
        state = self.value(tree["generator"])
        if isinstance(fresh, np.random.Generator):
            fresh.bit_generator.state = state
        else:
            fresh.set_state(state)
        return self._keep(tree, fresh)

    def _function(self, tree: dict[str, Any], fresh: Any) -> Any:
        cells = getattr(fresh, "__closure__", None) or ()
        if not hasattr(fresh, "__code__") or len(cells) != len(tree["function"]):
            raise CannotRestoreError("it holds a function that a new one has not")
        self._keep(tree, fresh)
        for cell, content in zip(cells, tree["function"], strict=True):
            if content:
                cell.cell_contents = self.value(content[0], _content(cell))
        return fresh

    def _method(self, tree: dict[str, Any], fresh: Any) -> Any:
        self.value(tree["method"], getattr(fresh, "__self__", ABSENT))
        return self._keep(tree, fresh)

    def _reference(self, tree: dict[str, Any], fresh: Any) -> Any:
        self.value(tree["reference"], ABSENT if fresh is ABSENT else fresh())
        return self._keep(tree, fresh)

    def _partial(self, tree: dict[str, Any], fresh: Any) -> Any:
        self._keep(tree, fresh)
        for item, part in zip(tree["partial"], (fresh.func, list(fresh.args), fresh.keywords), strict=True):
            self.value(item, part)
        return fresh


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return ABSENT
