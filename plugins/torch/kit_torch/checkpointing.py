"""Activation checkpointing: a model's blocks keep their inputs alone, and are computed again for the backward pass.

Which parts are blocks is read from the module, without changing its parameters or their names:

    stages(noise)      a module that has this method is a chain of what it gives, as the built-in models are
    nn.Sequential      a chain of its elements
    nn.ModuleList      each element that has parts of its own is a block, wherever the module calls it

The longest stretches stand outermost: what is inside a block is computed again as a whole. PyTorch's own
`torch.utils.checkpoint` does the work, which also puts a dropout's random state back; buffers (moving means) are as the
first pass left them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial, reduce
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.errors import InvalidValueError
from kit.levers import segments

Stage = Callable[[Tensor], Tensor]


def recompute(module: nn.Module) -> None:
    """Have a module's blocks computed again from now on. Raises `InvalidValueError` for one that has none."""
    found = list(_blocks(module))
    for block, chain in found:
        forward = MethodType(partial(_chained, last=block is not module) if chain else _whole, block)
        block.forward = _Forward(forward, block.forward)
    if not found:
        raise InvalidValueError(
            f"activation_checkpointing: {type(module).__name__} shows no blocks to compute again; make it an "
            "nn.Sequential, hold its blocks in an nn.ModuleList, or give it a method stages(noise) whose functions, "
            "one after the other, are its forward pass."
        )


class _Forward:
    """The forward method of a block: by blocks where gradients are taken, else as it was."""

    def __init__(self, recomputed: MethodType, plain: Callable[..., Any]) -> None:
        self.recomputed, self.plain = recomputed, plain

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.plain(*arguments, **keywords)
        return self.recomputed.__func__(self.recomputed.__self__, self.plain, *arguments, **keywords)


def _blocks(module: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """(block, whether it is a chain of stages): those that stand outermost."""
    if isinstance(module, nn.Sequential) or hasattr(module, "stages"):
        yield module, True
        return
    for child in module.children():
        if not isinstance(child, nn.ModuleList):
            yield from _blocks(child)
            continue
        for element in child:
            if any(True for _ in element.children()):
                yield element, False


def _whole(block: nn.Module, plain: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    return _again(block, plain, *arguments, **keywords)


def _chained(block: Any, plain: Callable[..., Any], x: Tensor, *noise: Any, last: bool) -> Tensor:
    """last: whether the last stretch is computed again too: at a model's end it is needed at once."""
    stages: list[Stage] = list(block) if isinstance(block, nn.Sequential) else block.stages(*noise)
    stretches = segments([isinstance(s, nn.Module) and any(True for _ in s.children()) for s in stages])
    for start, stop in stretches:
        function = partial(_through, stages[start:stop])
        x = _again(block, function, x) if last or stop < len(stages) else function(x)
    return x


def _through(stages: list[Stage], x: Tensor) -> Tensor:
    return reduce(lambda value, stage: stage(value), stages, x)


def _again(block: nn.Module, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    buffers = list(block.buffers())
    return checkpoint(
        function,
        *arguments,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _kept(buffers)),
        **keywords,
    )


def _kept(buffers: list[Tensor]) -> AbstractContextManager[None]:
    @contextmanager
    def keeping() -> Iterator[None]:
        before = [buffer.clone() for buffer in buffers]
        try:
            yield
        finally:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.data.copy_(value)  # past the count of changes, which autograd would take for a fault

    return keeping()
