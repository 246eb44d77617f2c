"""The causal character language model: pre-norm blocks, exact GELU, matrix products and a softmax."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kit_jax.environment import jax, jnp
from kit_jax.layers import dense, norm

Array = jax.Array
Parameters = Mapping[str, Array]


def attention(p: Parameters, name: str, x: Array, heads: int) -> Array:
    """Causal self-attention with a projection each for query, key, value and output. x: (batch, length, width)."""
    batch, length, width = x.shape
    size = width // heads
    query, key, value = (
        dense(p, f"{name}.{part}", x).reshape(batch, length, heads, size).transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    )  # (batch, heads, length, size)
    scores = query @ key.mT * (1 / math.sqrt(size))
    ahead = jnp.triu(jnp.ones((length, length), dtype=bool), 1)  # a place must not look at a later one
    weights = jax.nn.softmax(jnp.where(ahead, -jnp.inf, scores), axis=-1)
    joined = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)
    return dense(p, f"{name}.out", joined)


def transformer_output(p: Parameters, x: Array, *, heads: int, blocks: int) -> Array:
    """x: token numbers (batch, context). Returns logits (batch, context, tokens)."""
    # By a product with the tokens' indicators: the gradient of a gather is a scatter, which is slow on a CPU.
    embedding = p["token_embedding.weight"]
    tokens = jax.nn.one_hot(x, len(embedding), dtype=embedding.dtype)
    h = tokens @ embedding + p["position_embedding.weight"]
    for i in range(blocks):
        h = h + attention(p, f"blocks.{i}.attention", norm(p, f"blocks.{i}.norm1", h), heads)
        inner = dense(p, f"blocks.{i}.mlp.0", norm(p, f"blocks.{i}.norm2", h))
        h = h + dense(p, f"blocks.{i}.mlp.1", jax.nn.gelu(inner, approximate=False))
    return dense(p, "head", norm(p, "norm", h))
