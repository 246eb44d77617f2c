"""Losses: one number for each sample, from logits or values. output, target -> (samples,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _per_sample(values: Tensor) -> Tensor:
    """The mean over whatever a sample has besides its first axis."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


def mse(output: Tensor, target: Tensor) -> Tensor:
    """(ŷ − y)². output, target: (samples,) or (samples, outputs)."""
    error = output - target
    return _per_sample(error * error)


def mae(output: Tensor, target: Tensor) -> Tensor:
    """|ŷ − y|; its gradient is 0 where they are equal."""
    return _per_sample((output - target).abs())


def huber(output: Tensor, target: Tensor, *, delta: float) -> Tensor:
    """½ e² where |e| ≤ δ, else δ (|e| − ½ δ). Huber 1964."""
    size = (output - target).abs()
    return _per_sample(torch.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """−log softmax(z)_y. output: (samples, classes) or (samples, context, tokens); target: class numbers."""
    each = functional.cross_entropy(output.flatten(0, -2), target.flatten(), reduction="none")
    return _per_sample(each.reshape(target.shape))


def binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """max(z, 0) − z y + log(1 + e^−|z|): stable at either end. output: (samples,) logits; target: 0 or 1."""
    return _per_sample(output.clamp(min=0) - output * target + torch.log1p(torch.exp(-output.abs())))


def hinge(output: Tensor, target: Tensor) -> Tensor:
    """max(0, 1 − (z_y − max of the other z)), Crammer & Singer 2001; of one output, max(0, 1 − ±z).

    output: (samples, classes) with class numbers, or (samples,) with targets 0 and 1.
    """
    if output.ndim == target.ndim:
        return _per_sample((1 - (2 * target - 1) * output).clamp(min=0))
    right = functional.one_hot(target, output.shape[-1]).to(torch.bool)
    own = torch.where(right, output, torch.zeros_like(output)).sum(-1)
    rival = torch.where(right, torch.full_like(output, -torch.inf), output).amax(-1)
    return (1 - own + rival).clamp(min=0)


def output(output: Tensor, target: Tensor) -> Tensor:
    """The model's output as it is."""
    return output
