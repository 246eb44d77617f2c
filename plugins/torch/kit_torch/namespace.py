"""The array functions that rules use, in PyTorch. See `kit.rules.namespace.Namespace`."""

from __future__ import annotations

import torch
from torch import Tensor

sqrt = torch.sqrt
abs = torch.abs
sign = torch.sign
power = torch.pow
where = torch.where
zeros_like = torch.zeros_like
ones_like = torch.ones_like
matmul = torch.matmul


def maximum(x: Tensor, y: Tensor | float, /) -> Tensor:
    return torch.maximum(x, y) if isinstance(y, Tensor) else torch.clamp(x, min=y)


def minimum(x: Tensor, y: Tensor | float, /) -> Tensor:
    return torch.minimum(x, y) if isinstance(y, Tensor) else torch.clamp(x, max=y)


def full_like(x: Tensor, value: float, /) -> Tensor:
    return torch.full_like(x, value)


def sum(x: Tensor, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Tensor:
    # PyTorch takes an empty tuple for "all axes".
    return torch.sum(x, axes, keepdim=keepdims) if axes else x


def mean(x: Tensor, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Tensor:
    return torch.mean(x, axes, keepdim=keepdims) if axes else x


def transpose(x: Tensor, /) -> Tensor:
    return x.transpose(-1, -2)


def reshape(x: Tensor, shape: tuple[int, ...], /) -> Tensor:
    return x.reshape(shape)


def tiny(x: Tensor, /) -> float:
    return torch.finfo(x.dtype).tiny


def epsilon(x: Tensor, /) -> float:
    return torch.finfo(x.dtype).eps
