"""A native optimizer's state as bytes, without pickle: a JSON tree whose tensors stand behind it.

What an optimizer keeps is its own affair: tensors by parameter, numbers in its groups, queues, random generators, other
optimizers within it, variables of a closure. So what is stored is the graph of objects that its attributes reach, and
what is restored is a freshly made optimizer, in place: everything that is not data (classes, functions, the model)
stays as the class made it. Each member of a stack is one row of bytes, padded to the longest:

    8 bytes: length of the JSON text · the text · the tensors' bytes · zeros

What has no such form (a generator, an open file, a lock) raises `CannotStoreError`, which says where it was found.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kit_torch.state_reader import Reader
from kit_torch.state_writer import CannotStoreError, Writer

PAGE = 4096  # rows are padded to a multiple, so that those of stacks of unlike history often agree in length

__all__ = ["CannotStoreError", "packed", "restore", "to_bytes"]


def to_bytes(root: Any, parameters: Sequence[Tensor], module: nn.Module) -> bytes:
    """What `root` reaches. parameters: those that are trained, which stand for themselves; module: left out.

    Raises `CannotStoreError`.
    """
    writer = Writer(parameters, module)
    text = json.dumps(writer.value(root, "")).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(writer.blobs)


def restore(root: Any, row: bytes, parameters: Sequence[Tensor], packages: Sequence[str] = ()) -> None:
    """The inverse of `to_bytes`: what `root` reaches becomes what was stored.

    packages: of whose classes objects may be made that a fresh optimizer has not.
    """
    length = int.from_bytes(row[:8], "little")
    tree = json.loads(row[8 : 8 + length])
    Reader(row[8 + length :], parameters, packages).value(tree, root)


def packed(rows: Sequence[bytes]) -> Any:
    """(N, bytes), uint8."""
    width = -(-max(map(len, rows)) // PAGE) * PAGE
    table = np.zeros((len(rows), width), dtype=np.uint8)
    for n, row in enumerate(rows):
        table[n, : len(row)] = np.frombuffer(row, dtype=np.uint8)
    return table


DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype) and dtype.itemsize
}
