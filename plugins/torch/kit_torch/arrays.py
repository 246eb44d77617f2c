"""What lets `kit check` call PyTorch's losses and array functions alone. See `kit.engine.Arrays`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit_torch import xp

__all__ = ["from_numpy", "gradient", "to_numpy", "xp"]


def from_numpy(values: Any, /) -> Tensor:
    return torch.from_numpy(np.array(values))


def to_numpy(array: Tensor, /) -> Any:
    return array.detach().cpu().numpy().copy()


def gradient(function: Callable[[Tensor], Tensor], at: Tensor, /) -> Tensor:
    leaf = at.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return found
