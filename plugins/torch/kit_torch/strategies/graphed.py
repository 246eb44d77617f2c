"""`graphed`: a whole recorded step as a CUDA graph, launched by one call. For devices where launching the many small
kernels of a step takes longer than they do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kit_torch.feed import Batch, Stretch
from kit_torch.rule_update import RuleUpdate
from kit_torch.setting import Setting
from kit_torch.strategies.accumulated import accumulated
from kit_torch.strategies.recorded import Recorded

WARM_UP = 3  # steps on a side stream before capture, as PyTorch's notes on CUDA graphs ask for


class Graphed:
    """Everything that a step reads is copied to where the graph was captured with it.

    update: with its scalars as tensors (`floats=False`): a Python float would be in the graph for good.
    """

    def __init__(self, setting: Setting, update: RuleUpdate) -> None:
        self.setting, self.update = setting, update
        self.gradients = accumulated(setting, Recorded(setting))
        self.graphs: dict[Any, tuple[Any, list[Tensor], Tensor]] = {}

    def run(self, stretches: Iterable[Stretch], scalars: Any) -> list[Tensor]:
        found = []
        batches = (batch for stretch in stretches for batch in stretch.batches())
        for batch, now in zip(batches, self.update.prepare(scalars), strict=True):
            inputs = _tensors((tuple(batch)[:2], list((batch.noise or {}).values()), now))
            key = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
            if key not in self.graphs:
                self.graphs[key] = self._capture(batch, now)
            graph, places, losses = self.graphs[key]
            torch._foreach_copy_(places, inputs)
            graph.replay()
            found.append(losses.clone())  # the next replay writes over it
        return found

    def _capture(self, batch: Batch, now: Any) -> tuple[Any, list[Tensor], Tensor]:
        """Record the step into a graph; the stack is left as it was."""
        still = batch._replace(
            x=batch.x.clone(),
            y=batch.y.clone(),
            noise=None if batch.noise is None else {name: value.clone() for name, value in batch.noise.items()},
        )
        scalars = _cloned(now)
        stacked = self.setting.stacked
        kept = [stacked.flat.clone(), *(value.clone() for each in self.update.slots for value in each.values())]
        step, update = self.gradients.begin(still), self.update.step
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                step(still)
                update(scalars)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses = step(still)
            update(scalars)
        own = [stacked.flat, *(value for each in self.update.slots for value in each.values())]
        torch._foreach_copy_(own, kept)
        places = _tensors((tuple(still)[:2], list((still.noise or {}).values()), scalars))
        return graph, places, losses


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    return [tensor for item in tree for tensor in _tensors(item)] if isinstance(tree, list | tuple) else []


def _cloned(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.clone()
    return type(tree)(_cloned(item) for item in tree) if isinstance(tree, list | tuple) else tree
