"""The best hand-written PyTorch loops that we know how to write, against which ours is measured.

They record nothing: no curve, no checkpoint, no progress; the batches are drawn beforehand. `LOOPS` names them:

    eager      torch.optim, one parameter after the other (foreach=False)
    foreach    torch.optim, all parameters in a few calls
    fused      torch.optim, one kernel
    model      torch.compile of the model, fused optimizer
    step       torch.compile of the whole step: forward, gradient and update are one program
    steps      the same, 8 steps unrolled into one program
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from bench.problems import Material

UNROLLED = 8
MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Tensors = dict[str, torch.Tensor]


class MLP(nn.Module):
    def __init__(self, features: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        widths = (features, *hidden, outputs)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class CNN(nn.Module):
    def __init__(self, channels: tuple[int, ...], kernel: int, flat: int, hidden: int, outputs: int) -> None:
        super().__init__()
        widths = (1, *channels)
        pairs = pairwise(widths)
        self.conv = nn.ModuleList(nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in pairs)
        self.dense = nn.ModuleList((nn.Linear(flat, hidden), nn.Linear(hidden, outputs)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.conv:
            x = F.max_pool2d(F.relu(layer(x)), 2)
        return self.dense[1](F.relu(self.dense[0](x.flatten(1))))


class Block(nn.Module):
    """Query, key and value in one product, PyTorch's own attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.ModuleList((nn.Linear(width, 4 * width), nn.Linear(4 * width, width)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, context, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, context, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, context, width))
        return x + self.mlp[1](F.gelu(self.mlp[0](self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, tokens: int, context: int, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(tokens, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(x) + self.position_embedding.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(0, 1)


def module_of(material: Material) -> nn.Module:
    """The model, with the given start."""
    given = {name: torch.from_numpy(value.copy()) for name, value in material.parameters.items()}
    options = material.options
    if material.model == "mlp":
        module: nn.Module = MLP(material.x.shape[1], tuple(options["hidden"]), len(given["layers.1.bias"]))
    elif material.model == "cnn":
        first = given["dense.0.weight"]
        channels, side = options["channels"][-1], int((first.shape[1] / options["channels"][-1]) ** 0.5)
        # Ours flattens (height, width, channels), as TensorFlow does; PyTorch's own order is (channels, height, width).
        given["dense.0.weight"] = first.view(-1, side, side, channels).permute(0, 3, 1, 2).flatten(1).contiguous()
        module = CNN(
            tuple(options["channels"]), options["kernel"], first.shape[1], len(first), len(given["dense.1.bias"])
        )
    else:
        for b in range(options["blocks"]):
            for kind in ("weight", "bias"):
                parts = [given.pop(f"blocks.{b}.attention.{part}.{kind}") for part in ("query", "key", "value")]
                given[f"blocks.{b}.qkv.{kind}"] = torch.cat(parts)
                given[f"blocks.{b}.out.{kind}"] = given.pop(f"blocks.{b}.attention.out.{kind}")
        tokens, width = given["token_embedding.weight"].shape
        context = len(given["position_embedding.weight"])
        module = Transformer(tokens, context, width, options["heads"], options["blocks"])
    module.load_state_dict(given)
    return module


def samples_of(material: Material) -> tuple[torch.Tensor, torch.Tensor]:
    """All samples as the model takes them."""
    x, y = torch.from_numpy(material.x), torch.from_numpy(material.y)
    if material.model == "cnn":
        x = x.view(-1, *material.image_shape).permute(0, 3, 1, 2).contiguous()
    return x, y


class Loop:
    """A training loop. `advance(batches)` trains len(batches) steps and returns the losses asked for."""

    chunk = 1  # advance takes multiples of it

    def __init__(self, material: Material) -> None:
        self.material = material
        self.x, self.y = samples_of(material)
        self.restart(material.learning_rate)

    def restart(self, learning_rate: float) -> None:
        """Back to the start, with another learning rate."""
        raise NotImplementedError

    def advance(self, batches: Any) -> float:
        """Train; batches: (steps, batch). Returns the loss on the last step's batch, before its update."""
        raise NotImplementedError


class Eager(Loop):
    """A module and a `torch.optim` class, as the tutorials have it."""

    optimizer_options: ClassVar[dict[str, Any]] = {"foreach": False}

    def restart(self, learning_rate: float) -> None:
        self.module = module_of(self.material)
        parameters, options = list(self.module.parameters()), self.optimizer_options
        if self.material.optimizer == "adam":
            self.optimizer: Any = torch.optim.Adam(parameters, lr=learning_rate, **options)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=learning_rate, momentum=MOMENTUM, **options)

    def advance(self, batches: Any) -> float:
        module, optimizer, x, y = self.module, self.optimizer, self.x, self.y
        for rows in torch.from_numpy(batches):
            loss = F.cross_entropy(module(x[rows]), y[rows].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()


class Foreach(Eager):
    optimizer_options: ClassVar[dict[str, Any]] = {"foreach": True}


class Fused(Eager):
    optimizer_options: ClassVar[dict[str, Any]] = {"fused": True}


class CompiledModel(Fused):
    def restart(self, learning_rate: float) -> None:
        super().restart(learning_rate)
        self.module = torch.compile(self.module)  # type: ignore[assignment]


class CompiledStep(Loop):
    """The whole step is one program; the learning rate is a tensor, so that another one needs no other program."""

    compiled: Any = None

    def restart(self, learning_rate: float) -> None:
        self.module = module_of(self.material)
        self.parameters = {name: p.detach() for name, p in self.module.named_parameters()}
        zeros = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.slots = [zeros, dict(zeros)] if self.material.optimizer == "adam" else [zeros]
        self.learning_rate, self.t = torch.tensor(learning_rate), torch.tensor(0.0)
        if self.compiled is None:
            self.compiled = torch.compile(self.steps)

    def steps(
        self, parameters: Tensors, slots: list[Tensors], t: torch.Tensor, rate: torch.Tensor, rows: torch.Tensor
    ) -> tuple[Tensors, list[Tensors], torch.Tensor, torch.Tensor]:
        for k in range(self.chunk):
            x, y = self.x[rows[k]], self.y[rows[k]]
            g, loss = torch.func.grad_and_value(self.loss)(parameters, x, y)
            t = t + 1
            parameters, slots = self.update(parameters, g, slots, t, rate)
        return parameters, slots, t, loss

    def loss(self, parameters: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(torch.func.functional_call(self.module, parameters, (x,)), y.flatten())

    def update(
        self, p: Tensors, g: Tensors, slots: list[Tensors], t: torch.Tensor, rate: torch.Tensor
    ) -> tuple[Tensors, list[Tensors]]:
        if len(slots) == 1:
            b = {name: MOMENTUM * slots[0][name] + g[name] for name in p}
            return {name: p[name] - rate * b[name] for name in p}, [b]
        m = {name: BETA1 * slots[0][name] + (1 - BETA1) * g[name] for name in p}
        v = {name: BETA2 * slots[1][name] + (1 - BETA2) * g[name] ** 2 for name in p}
        scale, root = rate / (1 - BETA1**t), 1 - BETA2**t
        return {name: p[name] - scale * m[name] / ((v[name] / root).sqrt() + EPSILON) for name in p}, [m, v]

    def advance(self, batches: Any) -> float:
        rows = torch.from_numpy(batches)
        parameters, slots, t, step, rate = self.parameters, self.slots, self.t, self.compiled, self.learning_rate
        for first in range(0, len(rows), self.chunk):
            parameters, slots, t, loss = step(parameters, slots, t, rate, rows[first : first + self.chunk])
        self.parameters, self.slots, self.t = parameters, slots, t
        return loss.item()


class CompiledSteps(CompiledStep):
    chunk = UNROLLED


LOOPS: dict[str, type[Loop]] = {
    "eager": Eager,
    "foreach": Foreach,
    "fused": Fused,
    "model": CompiledModel,
    "step": CompiledStep,
    "steps": CompiledSteps,
}
EAGER = ("eager", "foreach", "fused")


def threads(number: int) -> None:
    torch.set_num_threads(number)
