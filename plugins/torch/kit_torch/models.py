"""The built-in models as PyTorch modules, in the canonical names and layouts of `kit.architectures`, which are
PyTorch's.

Initial weights come from the host, so the modules leave their own as they are. A model that takes random draws
(dropout)
gets them from the host as `noise`, so that both frameworks drop the same units.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kit.architectures import NORM_EPSILON, cnn_sizes, features, image_shape, settings
from kit.engine import InputSpec
from kit.objectives import OBJECTIVES

ACTIVATIONS = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,  # exact, by erf
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
}


def _squeezed(output: Tensor, inputs: InputSpec) -> Tensor:
    """(batch,) where the target is one number per sample."""
    return output.squeeze(-1) if inputs.outputs == 1 and inputs.task in ("binary", "regression") else output


class Linear(nn.Linear):
    """x W' + b."""

    def __init__(self, inputs: InputSpec) -> None:
        super().__init__(features(inputs), inputs.outputs)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        return _squeezed(super().forward(x.flatten(1)), self.inputs)


class MLP(nn.Module):
    """Dense layers, an activation after each but the last, dropout after each activation."""

    def __init__(self, inputs: InputSpec, hidden: tuple[int, ...], activation: str, dropout: float) -> None:
        super().__init__()
        widths = (features(inputs), *hidden, inputs.outputs)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.activation, self.dropout, self.inputs = ACTIVATIONS[activation], dropout, inputs

    def forward(self, x: Tensor, noise: Mapping[str, Tensor] | None = None) -> Tensor:
        x = x.flatten(1)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = self.activation(x)
                if noise is not None:
                    x = x * (noise[f"dropout.{i}"] >= self.dropout).to(x.dtype) / (1 - self.dropout)
        return _squeezed(x, self.inputs)


class CNN(nn.Module):
    """Convolutions with symmetric padding, pooling after each, two dense layers. Samples are (height, width,
    channels)."""

    def __init__(self, inputs: InputSpec, channels: tuple[int, ...], kernel: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.shape, self.activation, self.inputs = image_shape(inputs), ACTIVATIONS[activation], inputs
        height, width, depth = self.shape
        self.conv = nn.ModuleList()
        self.pools = []
        for out, size in zip(channels, cnn_sizes(inputs, channels), strict=True):
            self.conv.append(nn.Conv2d(depth, out, kernel, padding=kernel // 2))
            self.pools.append(size != (height, width))
            (height, width), depth = size, out
        self.dense = nn.ModuleList([nn.Linear(height * width * depth, hidden), nn.Linear(hidden, inputs.outputs)])

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        for convolution, pools in zip(self.conv, self.pools, strict=True):
            x = self.activation(convolution(x))
            x = functional.max_pool2d(x, 2) if pools else x
        x = x.permute(0, 2, 3, 1).flatten(1)  # in the order of (height, width, channels), as Keras flattens
        return _squeezed(self.dense[1](self.activation(self.dense[0](x))), self.inputs)


class Attention(nn.Module):
    """Causal self-attention with a projection each for query, key, value and output."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        size = width // self.heads

        def split(y: Tensor) -> Tensor:
            return y.reshape(batch, length, self.heads, size).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = query @ key.transpose(-1, -2) * (1 / math.sqrt(size))
        ahead = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(ahead, -torch.inf).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """x + attention(norm(x)), then x + dense(gelu(dense(norm(x))))."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON), nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = Attention(width, heads)
        self.mlp = nn.ModuleList([nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp[1](functional.gelu(self.mlp[0](self.norm2(x))))


class Transformer(nn.Module):
    """A causal language model. x: (batch, context) token numbers -> (batch, context, tokens) logits."""

    def __init__(self, inputs: InputSpec, width: int, heads: int, blocks: int, mlp_ratio: int) -> None:
        super().__init__()
        tokens, context = inputs.outputs, inputs.shape[0]
        self.token_embedding = nn.Embedding(tokens, width)
        self.position_embedding = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.head = nn.Linear(width, tokens)

    def forward(self, x: Tensor) -> Tensor:
        y = self.token_embedding(x) + self.position_embedding.weight
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y))


class Objective(nn.Module):
    """A function of two numbers, its position; what comes in is not looked at. -> (batch,), the value repeated."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(2))
        self.value, self.options = OBJECTIVES[name], {k: v for k, v in options.items() if k != "start"}

    def forward(self, x: Tensor) -> Tensor:
        return self.value(self.position[0], self.position[1], **self.options).expand(len(x))


def linear(*, inputs: InputSpec) -> nn.Module:
    return Linear(inputs)


logistic = linear


def mlp(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return MLP(inputs, **settings("mlp", options))


def cnn(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return CNN(inputs, **settings("cnn", options))


def transformer(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return Transformer(inputs, **settings("transformer", options))


def quadratic(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return Objective("quadratic", settings("quadratic", options))


def rosenbrock(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return Objective("rosenbrock", settings("rosenbrock", options))


def beale(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return Objective("beale", settings("beale", options))


def himmelblau(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return Objective("himmelblau", settings("himmelblau", options))


def saddle(*, inputs: InputSpec, **options: Any) -> nn.Module:
    return Objective("saddle", settings("saddle", options))
