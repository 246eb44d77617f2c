"""The causal character language model, in Keras: pre-norm blocks, exact GELU, matrix products and a softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kit.architectures import NORM_EPSILON
from kit.engine import InputSpec
from kit_tensorflow.activations import ACTIVATIONS
from kit_tensorflow.environment import keras

Tensor = Any
ops = keras.ops


def _dense(name: str, into: int, out: int, start: Mapping[str, Any]) -> Any:
    layer = keras.layers.Dense(
        out, kernel_initializer=start[f"{name}.weight"], bias_initializer=start[f"{name}.bias"], name=name
    )
    layer.build((None, None, into))
    return layer


def _norm(name: str, width: int) -> Any:
    layer = keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name=name)
    layer.build((None, None, width))
    return layer


class Attention(keras.layers.Layer):
    """Causal self-attention with a projection each for query, key, value and output."""

    def __init__(self, name: str, width: int, heads: int, start: Mapping[str, Any]) -> None:
        super().__init__(name=name)
        self.query, self.key, self.values, self.out = (
            _dense(f"{name}.{part}", width, width, start) for part in ("query", "key", "value", "out")
        )
        self.heads, self.built = heads, True

    def call(self, x: Tensor) -> Tensor:
        length, width = x.shape[1:]
        size = width // self.heads

        def split(y: Tensor) -> Tensor:
            return ops.transpose(ops.reshape(y, (-1, length, self.heads, size)), (0, 2, 1, 3))

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.values(x))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * (1 / math.sqrt(size))
        behind = ops.tril(ops.ones((length, length), dtype="bool"))
        weights = ops.softmax(ops.where(behind, scores, ops.cast(-math.inf, scores.dtype)), axis=-1)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return self.out(ops.reshape(mixed, (-1, length, width)))


class Block(keras.layers.Layer):
    """x + attention(norm(x)), then x + dense(gelu(dense(norm(x))))."""

    def __init__(self, name: str, width: int, heads: int, mlp_ratio: int, start: Mapping[str, Any]) -> None:
        super().__init__(name=name)
        self.norm1, self.norm2 = _norm(f"{name}.norm1", width), _norm(f"{name}.norm2", width)
        self.attention = Attention(f"{name}.attention", width, heads, start)
        self.widen = _dense(f"{name}.mlp.0", width, mlp_ratio * width, start)
        self.narrow = _dense(f"{name}.mlp.1", mlp_ratio * width, width, start)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(ACTIVATIONS["gelu"](self.widen(self.norm2(x))))


class Transformer(keras.Model):
    """x: (batch, context) token numbers -> (batch, context, tokens) logits."""

    def __init__(
        self, inputs: InputSpec, start: Mapping[str, Any], width: int, heads: int, blocks: int, mlp_ratio: int
    ) -> None:
        super().__init__(name="transformer")
        (context,), tokens = inputs.shape, inputs.tokens
        self.token_embedding = self._embedding("token_embedding", tokens, width, start)
        self.position_embedding = self._embedding("position_embedding", context, width, start)
        self.blocks = [Block(f"blocks.{i}", width, heads, mlp_ratio, start) for i in range(blocks)]
        self.norm = _norm("norm", width)
        self.head = _dense("head", width, tokens, start)
        self.built = True

    @staticmethod
    def _embedding(name: str, count: Any, width: int, start: Mapping[str, Any]) -> Any:
        layer = keras.layers.Embedding(count, width, embeddings_initializer=start[f"{name}.weight"], name=name)
        layer.build()
        return layer

    def call(self, x: Tensor) -> Tensor:
        for stage in self.stages():
            x = stage(x)
        return x

    def stages(self, noise: Any = None, training: bool | None = None) -> list[Callable[[Tensor], Tensor]]:
        """What a call does, one after the other."""
        return [
            lambda x: self.token_embedding(x) + self.position_embedding.embeddings,
            *self.blocks,
            lambda y: self.head(self.norm(y)),
        ]
