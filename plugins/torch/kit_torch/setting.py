"""What every loop works on: the stack's buffers, a module for each member, and how a member's loss is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from kit.engine import Problem, Stack
from kit_torch.draws import Draws
from kit_torch.feed import Batch
from kit_torch.network import Loss, Traits
from kit_torch.stacked import Stacked

Noise = dict[str, Tensor] | None


@dataclass(kw_only=True, eq=False)
class Setting:
    """members: one module for each trial, whose trained parameters are views into `stacked`."""

    problem: Problem
    stack: Stack
    stacked: Stacked
    members: list[nn.Module]
    loss: Loss
    traits: Traits
    draws: Draws | None  # the members' random states, where their modules draw numbers of their own
    device: torch.device
    dtype: torch.dtype
    autocast: bool  # forward passes in bfloat16 where PyTorch holds that to be safe; parameters stay as they are
    # Around the passes of a batch's parts but the last: their gradients need not leave the process yet.
    holding: Callable[[], AbstractContextManager[Any]] = nullcontext

    def casting(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext()

    def output(self, module: Callable[..., Any], x: Tensor, noise: Noise = None) -> Tensor:
        """What a member makes of a batch, in the precision of the training."""
        if not self.autocast:
            return module(x) if noise is None else module(x, noise)
        with self.casting():
            output = module(x) if noise is None else module(x, noise)
        return output.to(self.dtype)

    def member_loss(self, module: Callable[..., Any], x: Tensor, y: Tensor, noise: Noise) -> Tensor:
        return self.loss(self.output(module, x, noise), y)

    def functional_loss(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor, noise: Noise) -> Tensor:
        """The loss of a member that has these parameters: name -> its shape."""
        first = self.members[0]
        return self.member_loss(lambda *given: functional_call(first, parameters, given), x, y, noise)

    def leaves(self, flat: Tensor) -> list[Tensor]:
        """Views of a buffer as `losses` takes them: each (N, *shape), of a stack of one each of its own shape."""
        if self.stack.size == 1:  # plain: vmap over one member costs more than the member
            return list(self.stacked.member(0, flat).values())
        return list(self.stacked.split(flat).values())

    def parts(self, batch: Batch) -> list[tuple[Batch, float]]:
        """The parts of a batch whose gradients are taken one after the other, each with its share of the samples."""
        return batch.parts(self.problem.gradient_accumulation)

    def backward(self, batch: Batch, loss: Callable[[Batch], Tensor]) -> Tensor:
        """Add a batch's gradients to the parameters', part by part; its loss, detached."""
        *before, (last, share) = self.parts(batch)
        found = []
        for part, own in before:
            with self.holding():
                found.append(backward(loss(part), own))
        return total([*found, backward(loss(last), share)])

    def losses(self, parameters: Sequence[Tensor], batch: Batch) -> Tensor:
        """The losses of all members in one call, (N,), of a stack of one (). parameters: as `leaves` gives them."""
        names = list(self.stacked.spans)
        own = None if batch.shared else 0

        def one(values: Sequence[Tensor], x: Tensor, y: Tensor, noise: Noise) -> Tensor:
            return self.functional_loss(dict(zip(names, values, strict=True)), x, y, noise)

        if self.stack.size == 1:
            return one(parameters, *batch.member(0))
        axes = (0, own, own, None if batch.noise is None else own)
        return self.vectorised(one, axes)(parameters, batch.x, batch.y, batch.noise)

    def vectorised(self, function: Callable[..., Any], axes: tuple[Any, ...]) -> Callable[..., Any]:
        """`vmap` over the members. PyTorch has no batching rule for its attention kernel on a CPU and would go through
        the members one by one; the products and the softmax that it stands for are vectorised."""

        def whole(*arguments: Any) -> Any:
            with sdpa_kernel(SDPBackend.MATH) if self.device.type == "cpu" else nullcontext():
                return vmap(function, in_dims=axes)(*arguments)

        return whole


def backward(loss: Tensor, share: float) -> Tensor:
    """Add a part's share to the gradients; its share of the loss."""
    loss = loss if share == 1 else loss * share
    loss.backward()
    return loss.detach()


def total(values: Iterable[Tensor]) -> Tensor:
    """Their sum; of one, itself."""
    found, *others = values
    for other in others:
        found = found + other
    return found
