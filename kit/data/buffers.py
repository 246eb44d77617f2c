"""Memory for samples that are read again and again: recycled, since the system clears every page that it hands out.

buffers = Buffers()
x = buffers.take((128, 1, 64, 1024), np.float32)      # x, and what was made of it, goes; then its memory is free
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes: TensorFlow and JAX take an array on such a boundary as it is, without a copy
KEPT = 3  # one in use, one being filled, one on its way


class Buffers:
    """Blocks of memory. One is handed out again only when nothing refers to it any more: no array, no view of one, no
    tensor that shares its memory. So a reader that keeps its samples keeps them unchanged."""

    def __init__(self) -> None:
        self._blocks: list[Any] = []

    def take(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array with undefined content, in C order, on a boundary of 64 bytes."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        for i in range(len(self._blocks)):
            # Two references: the list's and that of the call itself.
            if sys.getrefcount(self._blocks[i]) == 2 and len(self._blocks[i]) >= size + ALIGNMENT:
                block = self._blocks.pop(i)
                break
        else:
            block = np.empty(size + ALIGNMENT, dtype=np.uint8)
        self._blocks = [block, *self._blocks][:KEPT]
        begin = -block.ctypes.data % ALIGNMENT
        return block[begin : begin + size].view(kind).reshape(shape)
