"""The best hand-written JAX loops that we know how to write, against which ours is measured.

They record nothing: no curve, no checkpoint, no progress; the batches are drawn beforehand. `LOOPS` names them:

    step     one jitted step, called from Python
    scan50   jax.lax.scan over 50 steps in one jitted call, its state donated

The model is written in jax.numpy and the update by hand; optax's composition compiles to the same arithmetic.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from bench.problems import Material

STEPS = 50
MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Arrays = dict[str, jax.Array]


def mlp(p: Arrays, x: jax.Array, options: dict[str, Any]) -> jax.Array:
    last = len(options["hidden"])
    for i in range(last):
        x = jax.nn.relu(x @ p[f"layers.{i}.weight"] + p[f"layers.{i}.bias"])
    return x @ p[f"layers.{last}.weight"] + p[f"layers.{last}.bias"]


def cnn(p: Arrays, x: jax.Array, options: dict[str, Any]) -> jax.Array:
    layouts = ("NHWC", "HWIO", "NHWC")
    for i in range(len(options["channels"])):
        x = jax.lax.conv_general_dilated(x, p[f"conv.{i}.weight"], (1, 1), "SAME", dimension_numbers=layouts)
        x = jax.nn.relu(x + p[f"conv.{i}.bias"])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ p["dense.0.weight"] + p["dense.0.bias"])
    return x @ p["dense.1.weight"] + p["dense.1.bias"]


def norm(p: Arrays, name: str, x: jax.Array) -> jax.Array:
    centred = x - x.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)
    return centred * scale * p[f"{name}.weight"] + p[f"{name}.bias"]


def transformer(p: Arrays, x: jax.Array, options: dict[str, Any]) -> jax.Array:
    batch, context = x.shape
    heads, width = options["heads"], options["width"]
    ahead = jnp.triu(jnp.ones((context, context), bool), 1)
    h = p["token_embedding.weight"][x] + p["position_embedding.weight"]
    for b in range(options["blocks"]):
        parts = norm(p, f"blocks.{b}.norm1", h) @ p[f"blocks.{b}.qkv.weight"] + p[f"blocks.{b}.qkv.bias"]
        q, k, v = parts.reshape(batch, context, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
        scores = q @ k.mT * (width // heads) ** -0.5
        attended = jax.nn.softmax(jnp.where(ahead, -jnp.inf, scores)) @ v
        attended = attended.transpose(0, 2, 1, 3).reshape(batch, context, width)
        h = h + attended @ p[f"blocks.{b}.out.weight"] + p[f"blocks.{b}.out.bias"]
        inner = norm(p, f"blocks.{b}.norm2", h) @ p[f"blocks.{b}.mlp.0.weight"] + p[f"blocks.{b}.mlp.0.bias"]
        inner = jax.nn.gelu(inner, approximate=False)
        h = h + inner @ p[f"blocks.{b}.mlp.1.weight"] + p[f"blocks.{b}.mlp.1.bias"]
    return norm(p, "norm", h) @ p["head.weight"] + p["head.bias"]


MODELS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}


def parameters_of(material: Material) -> Arrays:
    """The given start, as JAX's examples have it: a dense weight is (in, out), a kernel (height, width, in, out)."""
    given = dict(material.parameters)
    for b in range(material.options.get("blocks", 0)):
        for kind in ("weight", "bias"):
            parts = [given.pop(f"blocks.{b}.attention.{part}.{kind}") for part in ("query", "key", "value")]
            given[f"blocks.{b}.qkv.{kind}"] = jnp.concatenate(parts, 0)
            given[f"blocks.{b}.out.{kind}"] = given.pop(f"blocks.{b}.attention.out.{kind}")
    turned = {4: lambda w: w.transpose(2, 3, 1, 0), 2: lambda w: w.T}
    return {
        name: jnp.array(value if "embedding" in name or value.ndim == 1 else turned[value.ndim](value))
        for name, value in given.items()
    }


class Step:
    """A training loop of one jitted step. `advance(batches)` trains len(batches) steps."""

    chunk = 1  # advance takes multiples of it

    def __init__(self, material: Material) -> None:
        self.material = material
        x = material.x.reshape(-1, *material.image_shape) if material.model == "cnn" else material.x
        self.x, self.y = jnp.array(x), jnp.array(material.y)
        # The samples are closed over, as in a script; the state is donated.
        self.compiled = jax.jit(partial(self.steps, MODELS[material.model]), donate_argnums=(0,))
        self.restart(material.learning_rate)

    def restart(self, learning_rate: float) -> None:
        """Back to the start, with another learning rate; what was compiled is kept."""
        p = parameters_of(self.material)
        slots = [jax.tree.map(jnp.zeros_like, p) for _ in range(2 if self.material.optimizer == "adam" else 1)]
        self.state: Any = (p, slots, jnp.zeros(()))
        self.rate = jnp.float32(learning_rate)

    def step(self, forward: Any, state: Any, rate: jax.Array, rows: jax.Array) -> tuple[Any, jax.Array]:
        p, slots, t = state

        def mean_loss(p: Arrays) -> jax.Array:
            likelihood = jax.nn.log_softmax(forward(p, self.x[rows], self.material.options))
            return -jnp.take_along_axis(likelihood, self.y[rows][..., None], axis=-1).mean()

        loss, g = jax.value_and_grad(mean_loss)(p)
        t = t + 1
        if len(slots) == 1:
            b = jax.tree.map(lambda b, g: MOMENTUM * b + g, slots[0], g)
            return (jax.tree.map(lambda p, b: p - rate * b, p, b), [b], t), loss
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, slots[0], g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, slots[1], g)
        scale, root = rate / (1 - BETA1**t), 1 - BETA2**t
        p = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v / root) + EPSILON), p, m, v)
        return (p, [m, v], t), loss

    def steps(self, forward: Any, state: Any, rate: jax.Array, rows: jax.Array) -> tuple[Any, jax.Array]:
        """rows: (chunk, batch)."""
        return self.step(forward, state, rate, rows[0])

    def advance(self, batches: Any) -> float:
        """Train; batches: (steps, batch). Returns the loss on the last step's batch, before its update."""
        rows = batches.astype("int32")
        for first in range(0, len(rows), self.chunk):
            self.state, loss = self.compiled(self.state, self.rate, rows[first : first + self.chunk])
        return float(loss)


class Scan50(Step):
    chunk = STEPS

    def steps(self, forward: Any, state: Any, rate: jax.Array, rows: jax.Array) -> tuple[Any, jax.Array]:
        state, losses = jax.lax.scan(lambda state, rows: self.step(forward, state, rate, rows), state, rows)
        return state, losses[-1]


LOOPS: dict[str, type[Step]] = {"step": Step, "scan50": Scan50}


def threads(number: int) -> None:
    """Only before JAX has looked for its devices."""
    os.environ["PJRT_NPROC"] = str(number)
