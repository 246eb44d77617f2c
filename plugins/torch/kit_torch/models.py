"""The built-in models as PyTorch modules, with the parameters and options that `kit.architectures` lists.

Each module's parameters have the canonical names and layouts, which are PyTorch's own. Their values come from the host.
What random draws a model takes (dropout) the host makes too: `forward(x, noise)`, so that both frameworks drop the same
units; without them nothing is dropped.

A forward pass here is a function of its arguments and the parameters alone. `pure` says so: the engine may then record
the operations of one step and play them back (`kit_torch.tape`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kit.architectures import cnn_sizes, features, image_shape, settings
from kit.engine import InputSpec
from kit.objectives import OBJECTIVES
from kit_torch.transformer import Transformer

Noise = Mapping[str, Tensor]
Stage = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,  # exact (erf)
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
}


def _squeezed(output: Tensor, inputs: InputSpec) -> Tensor:
    """(batch,) where the target is one number per sample."""
    one_number = inputs.outputs == 1 and inputs.task in ("binary", "regression")
    return output.squeeze(-1) if one_number else output


def _flat(x: Tensor) -> Tensor:
    return x if x.ndim == 2 else x.flatten(1)


class Linear(nn.Linear):
    """x Wᵀ + b."""

    pure = True

    def __init__(self, inputs: InputSpec) -> None:
        super().__init__(features(inputs), inputs.outputs)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        return _squeezed(super().forward(_flat(x)), self.inputs)


class MLP(nn.Module):
    """Dense layers, an activation after each but the last, dropout after each activation."""

    pure = True

    def __init__(self, inputs: InputSpec, hidden: tuple[int, ...], activation: str, dropout: float) -> None:
        super().__init__()
        widths = (features(inputs), *hidden, inputs.outputs)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation, self.dropout, self.inputs = ACTIVATIONS[activation], dropout, inputs

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        for stage in self.stages(noise):
            x = stage(x)
        return x

    def stages(self, noise: Noise | None = None) -> list[Stage]:
        """What the forward pass does, one after the other."""
        hidden = [partial(self._hidden, i, noise) for i in range(len(self.layers) - 1)]
        return [_flat, *hidden, lambda x: _squeezed(self.layers[-1](x), self.inputs)]

    def _hidden(self, i: int, noise: Noise | None, x: Tensor) -> Tensor:
        x = self.activation(self.layers[i](x))
        return x if noise is None else x * (noise[f"dropout.{i}"] >= self.dropout) / (1 - self.dropout)


class CNN(nn.Module):
    """Convolutions with symmetric padding, pooling after each, two dense layers. Samples are (height, width,
    channels)."""

    pure = True

    def __init__(self, inputs: InputSpec, channels: tuple[int, ...], kernel: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.image_shape, self.activation, self.inputs = image_shape(inputs), ACTIVATIONS[activation], inputs
        height, width, depth = self.image_shape
        self.conv, self.pools = nn.ModuleList(), []
        for out, size in zip(channels, cnn_sizes(inputs, channels), strict=True):
            self.conv.append(nn.Conv2d(depth, out, kernel, padding=kernel // 2))
            self.pools.append(size != (height, width))
            (height, width), depth = size, out
        flat = height * width * depth
        self.dense = nn.ModuleList([nn.Linear(flat, hidden), nn.Linear(hidden, inputs.outputs)])

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages():
            x = stage(x)
        return x

    def stages(self, noise: Noise | None = None) -> list[Stage]:
        """What the forward pass does, one after the other."""
        return [self._image, *(partial(self._convolved, i) for i in range(len(self.conv))), self._classified]

    def _image(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.image_shape).permute(0, 3, 1, 2)

    def _convolved(self, i: int, x: Tensor) -> Tensor:
        x = self.activation(self.conv[i](x))
        return functional.max_pool2d(x, 2) if self.pools[i] else x

    def _classified(self, x: Tensor) -> Tensor:
        x = self.activation(self.dense[0](x.permute(0, 2, 3, 1).flatten(1)))
        return _squeezed(self.dense[1](x), self.inputs)


class Objective(nn.Module):
    """A function of two numbers, its position; what comes in is not looked at. Gives (batch,), the value repeated."""

    pure = True

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.value = OBJECTIVES[name]
        self.options = {key: value for key, value in options.items() if key != "start"}
        self.position = nn.Parameter(torch.tensor(options["start"]))

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.value(self.position[0], self.position[1], **self.options)
        return value.expand(x.shape[0])


def linear(*, inputs: InputSpec) -> nn.Module:
    return Linear(inputs)


def logistic(*, inputs: InputSpec) -> nn.Module:
    return Linear(inputs)


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
