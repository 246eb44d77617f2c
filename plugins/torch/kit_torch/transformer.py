"""The causal character language model, in PyTorch: pre-norm blocks, exact GELU, PyTorch's own attention."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from kit.architectures import NORM_EPSILON
from kit.engine import InputSpec


class Attention(nn.Module):
    """Causal self-attention with a projection each for query, key, value and output."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        size = width // self.heads

        def split(y: Tensor) -> Tensor:  # (batch, heads, length, size)
            return y.view(batch, length, self.heads, size).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(attended.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.mlp = nn.ModuleList([nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp[1](functional.gelu(self.mlp[0](self.norm2(x))))


class Transformer(nn.Module):
    """Token numbers (batch, context) to logits (batch, context, tokens) of the tokens that follow."""

    pure = True

    def __init__(self, inputs: InputSpec, width: int, heads: int, blocks: int, mlp_ratio: int) -> None:
        super().__init__()
        context, tokens = inputs.shape[0], int(inputs.tokens or 0)
        self.token_embedding = nn.Embedding(tokens, width)
        self.position_embedding = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.head = nn.Linear(width, tokens)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages():
            x = stage(x)
        return x

    def stages(self, noise: object = None) -> list[Callable[[Tensor], Tensor]]:
        """What the forward pass does, one after the other."""
        embedded, logits = self._embedded, lambda x: self.head(self.norm(x))
        return [embedded, *self.blocks, logits]

    def _embedded(self, x: Tensor) -> Tensor:
        return self.token_embedding(x) + self.position_embedding.weight  # type: ignore[no-any-return]
