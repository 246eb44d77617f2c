"""The array functions that rules use, in PyTorch. Conventions: `kit.rules.namespace`."""

from __future__ import annotations

import torch

Array = torch.Tensor

sqrt = torch.sqrt
abs = torch.abs
sign = torch.sign
power = torch.pow
where = torch.where
matmul = torch.matmul
zeros_like = torch.zeros_like
ones_like = torch.ones_like
full_like = torch.full_like
reshape = torch.reshape


def maximum(x: Array, y: Array | float, /) -> Array:
    return torch.maximum(x, y) if isinstance(y, torch.Tensor) else torch.clamp_min(x, y)


def minimum(x: Array, y: Array | float, /) -> Array:
    return torch.minimum(x, y) if isinstance(y, torch.Tensor) else torch.clamp_max(x, y)


def sum(x: Array, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Array:
    return torch.sum(x, axes, keepdim=keepdims) if axes else x  # no axes: torch would reduce all of them


def mean(x: Array, axes: tuple[int, ...], /, *, keepdims: bool = False) -> Array:
    return torch.mean(x, axes, keepdim=keepdims) if axes else x


def transpose(x: Array, /) -> Array:
    return x.mT


def tiny(x: Array, /) -> float:
    return torch.finfo(x.dtype).tiny


def epsilon(x: Array, /) -> float:
    return torch.finfo(x.dtype).eps
