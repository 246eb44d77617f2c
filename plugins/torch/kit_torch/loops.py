"""The loops that can train a stack: each gives losses and fills the flat gradient; the rule is then applied alike.

`views`   one module per member, its parameters views into the stack's buffer; runs everything. With N = 1 this is the
          plain loop on one flat buffer.
`vmap`    one functional call for all members (torch.func.vmap), one backward pass.
`compiled` the whole step, update included, as one graph of torch.compile.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kit_torch.batches import Batch
from kit_torch.draws import Draws
from kit_torch.flat import Stacked
from kit_torch.modules import Loss

# What torch.compile compiles with; inductor writes C++ or Triton.
BACKEND = "inductor"

Casting = Callable[[], AbstractContextManager[Any]]  # what stands around a forward pass: autocast, or nothing
Update = Callable[[Tensor, Tensor, Any, Tensor], tuple[Tensor, Any]]


class Gradients(Protocol):
    """Losses and gradients of one batch."""

    def __call__(self, batch: Batch) -> Tensor:
        """The losses, (N,), detached; the gradients are left in the stack's `gradient`."""


class Views:
    """One module per member, whose parameters and gradients are views into the stack's buffers."""

    def __init__(
        self,
        stacked: Stacked,
        prototypes: list[nn.Module],
        loss: Loss,
        casting: Casting,
        draws: Draws | None,
        *,
        flat: bool,
    ) -> None:
        """flat: gradients are added up in the stack's buffer. Otherwise each parameter has its own as in a plain loop,
        bit for bit: PyTorch's optimizers round by how a gradient lies in memory, and skip parameters without one."""
        self.stacked, self.loss, self.casting, self.draws, self.flat = stacked, loss, casting, draws, flat
        self.members = prototypes
        for n, module in enumerate(prototypes):
            parameters, gradients = stacked.member(n), stacked.member(n, gradients=True)
            for name, view in parameters.items():
                parameter = nn.Parameter(view)
                parameter.grad = gradients[name] if flat else None
                _set(module, name, parameter)
            module.train()

    def __call__(self, batch: Batch) -> Tensor:
        self.forget()
        losses = [self.member_loss(n, batch) for n in range(len(self.members))]
        if len(losses) == 1:
            losses[0].backward()
            return losses[0].detach().reshape(1)
        stacked = torch.stack(losses)
        stacked.sum().backward()
        return stacked.detach()

    def forget(self) -> None:
        """No gradients, before the next are taken."""
        if self.flat:
            self.stacked.gradient.zero_()
            return
        for module in self.members:
            module.zero_grad(set_to_none=True)

    def gather(self) -> None:
        """Put the gradients into the stack's buffer, where they are not yet."""
        if self.flat:
            return
        for n, module in enumerate(self.members):
            for name, parameter in module.named_parameters():
                found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                self.stacked.gradient_views[name][n].copy_(found)

    def member_loss(self, n: int, batch: Batch) -> Tensor:
        if self.draws is None:
            return self._loss(n, batch)
        with self.draws.of(n):
            return self._loss(n, batch)

    def _loss(self, n: int, batch: Batch) -> Tensor:
        x, y, noise = batch.member(n)
        with self.casting():
            output = self.members[n](x) if noise is None else self.members[n](x, noise)
        return self.loss(output, y)


class Vmapped:
    """All members in one call. For modules that keep nothing but parameters."""

    def __init__(self, stacked: Stacked, prototype: nn.Module, loss: Loss, casting: Casting) -> None:
        self.stacked = stacked
        self.member_loss = member_loss(prototype, loss, casting)
        self.leaves = {name: view.detach().requires_grad_() for name, view in stacked.views.items()}

    def __call__(self, batch: Batch) -> Tensor:
        losses = stacked_losses(self.member_loss, self.leaves, batch)
        found = torch.autograd.grad(losses.sum(), list(self.leaves.values()))
        for view, gradient in zip(self.stacked.gradient_views.values(), found, strict=True):
            view.copy_(gradient)
        return losses.detach()


def member_loss(prototype: nn.Module, loss: Loss, casting: Casting) -> Callable[..., Tensor]:
    """(parameters, x, y, noise) -> the member's mean loss."""
    shell = _shell(prototype)

    def compute(parameters: dict[str, Tensor], x: Tensor, y: Tensor, noise: dict[str, Tensor] | None) -> Tensor:
        arguments = (x,) if noise is None else (x, noise)
        with casting():
            output = functional_call(shell, parameters, arguments)
        return loss(output, y)

    return compute


def stacked_losses(compute: Callable[..., Tensor], parameters: dict[str, Tensor], batch: Batch) -> Tensor:
    """(N,): the losses of all members by one vmapped call; of a stack of one by a plain call."""
    if len(next(iter(parameters.values()))) == 1:
        x, y, noise = batch.member(0)
        return compute({name: value[0] for name, value in parameters.items()}, x, y, noise).reshape(1)
    own = None if batch.shared else 0
    axes = (0, own, own, None if batch.noise is None else own)
    return vmap(compute, in_dims=axes)(parameters, batch.x, batch.y, batch.noise)


class Compiled:
    """A whole step as one graph: (flat, slots, batch, scalars) -> (losses, flat, slots)."""

    def __init__(self, stacked: Stacked, prototype: nn.Module, loss: Loss, casting: Casting, update: Update) -> None:
        compute = member_loss(prototype, loss, casting)

        def whole(
            flat: Tensor, slots: Any, x: Tensor, y: Tensor, scalars: Tensor, shared: bool
        ) -> tuple[Tensor, Tensor, Any]:
            def total(flat: Tensor) -> tuple[Tensor, Tensor]:
                losses = stacked_losses(compute, stacked.split(flat), Batch(x, y, None, shared))
                return losses.sum(), losses

            gradient, losses = torch.func.grad(total, has_aux=True)(flat)
            flat, slots = update(flat, gradient, slots, scalars)
            return losses, flat, slots

        mode = "reduce-overhead" if stacked.flat.is_cuda else None
        self.whole = torch.compile(whole, backend=BACKEND, fullgraph=True, dynamic=False, mode=mode)

    def __call__(self, flat: Tensor, slots: Any, batch: Batch, scalars: Tensor) -> tuple[Tensor, Tensor, Any]:
        losses, flat, slots = self.whole(flat, slots, batch.x, batch.y, scalars, batch.shared)
        if flat.is_cuda:  # a CUDA graph's outputs are overwritten by its next replay
            return losses.clone(), flat.clone(), _cloned(slots)
        return losses, flat, slots


def _cloned(slots: Any) -> Any:
    return [{name: value.clone() for name, value in each.items()} for each in slots]


def _shell(prototype: nn.Module) -> nn.Module:
    """The module without its own weights, which are never used and would cost memory; its constants stay."""
    shell = copy.deepcopy(prototype).train()
    empty = {id(p): nn.Parameter(p.detach().to("meta")) for p in shell.parameters()}  # tied ones stay tied
    for module in shell.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = empty[id(parameter)]
    return shell


def _set(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    for other in module.modules():  # a parameter that is tied to several names keeps being one
        for key, value in other._parameters.items():
            if value is not None and value is owner._parameters[leaf] and (other, key) != (owner, leaf):
                other._parameters[key] = parameter
    owner._parameters[leaf] = parameter
