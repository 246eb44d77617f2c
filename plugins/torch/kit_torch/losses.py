"""Losses: one number for each sample, from logits or values: `(output, target) -> (samples,)`.

Numbers beside the first axis of a sample (outputs of a regression, places of a text) are averaged. Each formula is
differentiable to PyTorch's autograd, and works under `torch.func.vmap`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kit.errors import InvalidValueError

# Along a short last axis PyTorch's softmax is 10 times slower on a CPU than along another (10 classes, 2,048 rows:
# 760 µs against 74 with the transposition).
SHORT = 16


def _said(tensor: Tensor) -> str:
    return "(" + ", ".join(["samples", *map(str, tensor.shape[1:])]) + ")"


def _per_sample(values: Tensor) -> Tensor:
    return values if values.ndim <= 1 else values.flatten(1).mean(1)


def _alike(name: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Output and target as two arrays of one shape and dtype; an output (samples, 1) counts as (samples,).

    Raises `InvalidValueError` where they differ: broadcasting (samples, 1) with (samples,) would compare each sample
    with every other one.
    """
    if output.ndim == target.ndim + 1 and output.shape[-1] == 1:
        output = output.squeeze(-1)
    if output.shape != target.shape:
        raise InvalidValueError(
            f"loss '{name}' compares each output with its target, but the model's output has shape {_said(output)} "
            f"and the target {_said(target)}."
        )
    return output, target.to(output.dtype)


def _check_classes(name: str, output: Tensor, target: Tensor) -> None:
    if output.ndim != target.ndim + 1 or output.shape[:-1] != target.shape:
        raise InvalidValueError(
            f"loss '{name}' needs one logit for each class, but the model's output has shape {_said(output)} and the "
            f"target, of class numbers, {_said(target)}."
        )


def mse(output: Tensor, target: Tensor) -> Tensor:
    """(ŷ − y)². output, target: (samples,) or (samples, outputs)."""
    output, target = _alike("mse", output, target)
    error = output - target
    return _per_sample(error * error)


def mae(output: Tensor, target: Tensor) -> Tensor:
    """|ŷ − y|; its gradient is 0 where they are equal."""
    output, target = _alike("mae", output, target)
    return _per_sample((output - target).abs())


def huber(output: Tensor, target: Tensor, *, delta: float) -> Tensor:
    """½ e² where |e| ≤ δ, else δ (|e| − ½ δ). Huber 1964."""
    output, target = _alike("huber", output, target)
    size = (output - target).abs()
    return _per_sample(torch.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """−log softmax(z)_y. output: (samples, classes) or (samples, context, tokens); target: class numbers."""
    _check_classes("cross_entropy", output, target)
    if output.ndim == 2 and output.shape[1] <= SHORT:
        likelihood = torch.log_softmax(output.t().contiguous(), 0)
        return -likelihood.gather(0, target.unsqueeze(0)).squeeze(0)
    return _per_sample(-torch.log_softmax(output, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1))


def binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """max(z, 0) − z y + log(1 + e^−|z|): stable at either end. output: (samples,) logits; target: 0 or 1.

    By PyTorch's own function, whose gradient is σ(z) − y at z = 0 too, where max(z, 0) and |z| have a kink each.
    """
    output, target = _alike("binary_cross_entropy", output, target)
    return _per_sample(functional.binary_cross_entropy_with_logits(output, target, reduction="none"))


def hinge(output: Tensor, target: Tensor) -> Tensor:
    """max(0, 1 − (z_y − max of the other z)), Crammer & Singer 2001; of one output, max(0, 1 − ±z).

    output: (samples, classes) with class numbers, or (samples,) with targets 0 and 1 (or −1 and 1).
    """
    if output.ndim == target.ndim or output.shape[-1] == 1:
        output, target = _alike("hinge", output, target)
        return _per_sample((1 - torch.where(target > 0.5, output, -output)).clamp_min(0))
    _check_classes("hinge", output, target)
    chosen = target.unsqueeze(-1)
    others = torch.arange(output.shape[-1], device=output.device) != chosen
    rival = output.masked_fill(~others, -torch.inf).amax(-1)
    return _per_sample((1 - output.gather(-1, chosen).squeeze(-1) + rival).clamp_min(0))


def output(output: Tensor, target: Tensor) -> Tensor:
    """The model's output as it is, for functions to be minimised."""
    return output
