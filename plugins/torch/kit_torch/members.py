"""One module for each trial, whose trained parameters are views into the stack's buffer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kit_torch.stacked import Stacked


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that a run updates, by their names; one that stands under several names has the first."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def kept(module: nn.Module) -> dict[str, Tensor]:
    """What a run carries along beside them: buffers of the state dict (moving means, counters), frozen parameters."""
    named = {**dict(module.named_buffers()), **{n: p for n, p in module.named_parameters() if not p.requires_grad}}
    return {name: named[name] for name in module.state_dict() if name in named}


def place(members: list[nn.Module], stacked: Stacked) -> None:
    """Make every member's trained parameters views into the stack's buffer."""
    for n, module in enumerate(members):
        exchanged: dict[int, nn.Parameter] = {}
        views = stacked.member(n, stacked.flat)
        for name, parameter in trained(module).items():
            exchanged[id(parameter)] = nn.Parameter(views[name])
        for part in module.modules():  # a parameter that is tied to several names keeps being one
            for key, value in part._parameters.items():
                if value is not None and id(value) in exchanged:
                    part._parameters[key] = exchanged[id(value)]
        module.train()


def gather(members: list[nn.Module], stacked: Stacked) -> None:
    """Bring back what an optimizer put elsewhere (`parameter.data = …`) into the stack's buffer."""
    for n, module in enumerate(members):
        views = stacked.member(n, stacked.flat)
        for name, parameter in trained(module).items():
            if parameter.data_ptr() != views[name].data_ptr():
                views[name].copy_(parameter.detach())
                parameter.data = views[name]


def arrays(members: list[nn.Module]) -> dict[str, Any]:
    """What the members keep beside their trained parameters: name -> (N, …)."""
    each = [kept(module) for module in members]
    return {name: torch.stack([own[name].detach() for own in each]).cpu().numpy() for name in each[0]}


def load(members: list[nn.Module], buffers: Mapping[str, Any]) -> None:
    """The inverse of `arrays`."""
    with torch.no_grad():
        for n, module in enumerate(members):
            for name, buffer in kept(module).items():
                if name in buffers:
                    buffer.copy_(torch.as_tensor(buffers[name][n]))
