"""The loops that can train a stack: how its gradients are taken, each in a module, and whether XLA compiles the loop.

graph              the members one after another, K steps a call each; trains everything
xla                the same, compiled by XLA
vectorized[_xla]   all members at once, by `tf.vectorized_map` of the gradient; any Keras model without stacked kernels
batched[_xla]      all members at once, by batched matrix products; models that have a form for stacks
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kit_tensorflow.storage import Form, Storage

Tensor = Any
Kind = Literal["single", "vectorized", "batched"]


@dataclass(frozen=True)
class Strategy:
    """One way to train a stack."""

    name: str
    kind: Kind
    jit: bool


GRAPH = Strategy("graph", "single", False)  # the universal one: what the others are compared with
XLA = Strategy("xla", "single", True)
VECTORIZED = Strategy("vectorized", "vectorized", False)
VECTORIZED_XLA = Strategy("vectorized_xla", "vectorized", True)
BATCHED = Strategy("batched", "batched", False)
BATCHED_XLA = Strategy("batched_xla", "batched", True)
ALL = (GRAPH, XLA, VECTORIZED, VECTORIZED_XLA, BATCHED, BATCHED_XLA)
BY_NAME = {strategy.name: strategy for strategy in ALL}


class Gradients(Protocol):
    """How a loop takes the gradients of its members."""

    form: Form  # the form of parameters that it takes

    def __call__(
        self,
        storage: Storage,
        parameters: list[Tensor],
        buffers: list[Tensor],
        x: Tensor,
        y: Tensor,
        noise: dict[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """In the graph: (losses (members,), gradients in the parameters' form, buffers after)."""

    def constrained(self, storage: Storage, parameters: list[Tensor]) -> list[Tensor]:
        """In the graph: the parameters after the model's own constraints (`kernel_constraint` and the like)."""
