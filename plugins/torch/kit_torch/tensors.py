"""Between NumPy and PyTorch, without copies where none is needed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def as_tensor(values: Any, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """Floats in `dtype`, whole numbers as int64; on a CPU the array's own memory where the type is the same."""
    with warnings.catch_warnings():
        # Samples are only read; PyTorch warns of any array that is not writable.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensor = torch.as_tensor(values)
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else torch.int64)


def to_numpy(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Copies in NumPy."""
    return {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}
