"""A native optimizer's state as bytes, without pickle: a JSON tree whose tensors stand behind it.

What an optimizer keeps is its own affair (a history of any length, numbers, nested lists, settings in its parameter
groups), and differs between the members of a stack. So each member's state is one row of bytes, padded to the longest:

    8 bytes: length of the JSON text · the text · the tensors' bytes · zeros
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

PAGE = 4096  # rows are padded to a multiple, so that those of stacks of unlike history often agree in length

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
                  torch.int8, torch.uint8, torch.bool)
}  # fmt: skip


def packed(states: list[Any]) -> Any:
    """(N, bytes), uint8, from the state dict of each member."""
    rows = [_bytes(state) for state in states]
    width = -(-max(map(len, rows)) // PAGE) * PAGE
    table = np.zeros((len(rows), width), dtype=np.uint8)
    for n, row in enumerate(rows):
        table[n, : len(row)] = np.frombuffer(row, dtype=np.uint8)
    return table


def unpacked(table: Any) -> list[Any]:
    """The inverse of `packed`."""
    return [_tree(row.tobytes()) for row in table]


def restore(optimizer: Any, state: Any) -> None:
    """Load a state dict without the casts of `load_state_dict`, which takes any tensor for one of the parameter's own
    type."""
    device = next((p.device for group in optimizer.param_groups for p in group["params"]), torch.device("cpu"))
    own = optimizer.state_dict()
    for group, saved in zip(own["param_groups"], state["param_groups"], strict=True):
        group.update({key: value for key, value in saved.items() if key != "params"})
    optimizer.load_state_dict({"state": {}, "param_groups": own["param_groups"]})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, entries in state["state"].items():
        # A step counter stays where its class puts it: on the CPU, but for those that say otherwise.
        optimizer.state[parameters[int(index)]] = {
            key: value if key == "step" else _moved(value, device) for key, value in entries.items()
        }


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value


def _bytes(state: Any) -> bytes:
    blobs: list[bytes] = []

    def encode(value: Any) -> Any:
        if isinstance(value, Tensor):
            whole = value.detach().cpu().contiguous()
            blobs.append(whole.reshape(-1).view(torch.uint8).numpy().tobytes() if whole.numel() else b"")
            name = str(value.dtype).removeprefix("torch.")
            return {"tensor": name, "shape": list(value.shape), "bytes": len(blobs[-1])}
        if isinstance(value, dict):
            return {"entries": [[encode(key), encode(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {"tuple" if isinstance(value, tuple) else "list": [encode(item) for item in value]}
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return {"float": value.hex()}
        raise TypeError(f"the state of an optimizer holds a {type(value).__name__}, which cannot be stored")

    text = json.dumps(encode(state)).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(blobs)


def _tree(row: bytes) -> Any:
    length = int.from_bytes(row[:8], "little")
    position = 8 + length

    def decode(value: Any) -> Any:
        nonlocal position
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            part = bytearray(row[position : position + value["bytes"]])
            position += value["bytes"]
            dtype = _DTYPES[value["tensor"]]
            flat = torch.frombuffer(part, dtype=dtype) if part else torch.empty(0, dtype=dtype)
            return flat.clone().reshape(value["shape"])
        if "entries" in value:
            return {decode(key): decode(item) for key, item in value["entries"]}
        if "tuple" in value:
            return tuple(decode(item) for item in value["tuple"])
        if "list" in value:
            return [decode(item) for item in value["list"]]
        return float.fromhex(value["float"])

    return decode(json.loads(row[8 : 8 + length]))
