"""The best hand-written TensorFlow loops that we know how to write, against which ours is measured.

They record nothing: no curve, no checkpoint, no progress; the batches are drawn beforehand. `LOOPS` names them:

    eager      a GradientTape, one operation after the other
    graph      tf.function of one step
    xla        the same, compiled by XLA
    graph50    tf.function of 50 steps
    xla50      the same, compiled by XLA

The model is written in tf.nn and the update by hand: a keras.Model and a keras optimizer cost more everywhere.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from bench.problems import Material

STEPS = 50
MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Tensors = dict[str, tf.Tensor]


def mlp(p: Tensors, x: tf.Tensor, options: dict[str, Any]) -> tf.Tensor:
    for i in range(len(options["hidden"])):
        x = tf.nn.relu(x @ p[f"layers.{i}.weight"] + p[f"layers.{i}.bias"])
    last = len(options["hidden"])
    return x @ p[f"layers.{last}.weight"] + p[f"layers.{last}.bias"]


def cnn(p: Tensors, x: tf.Tensor, options: dict[str, Any]) -> tf.Tensor:
    for i in range(len(options["channels"])):
        x = tf.nn.relu(tf.nn.conv2d(x, p[f"conv.{i}.weight"], 1, "SAME") + p[f"conv.{i}.bias"])
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    x = tf.reshape(x, (x.shape[0], -1))
    x = tf.nn.relu(x @ p["dense.0.weight"] + p["dense.0.bias"])
    return x @ p["dense.1.weight"] + p["dense.1.bias"]


def norm(p: Tensors, name: str, x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def transformer(p: Tensors, x: tf.Tensor, options: dict[str, Any]) -> tf.Tensor:
    batch, context = x.shape
    heads, width = options["heads"], options["width"]
    mask = tf.constant(1.0) - tf.linalg.band_part(tf.ones((context, context)), -1, 0)
    x = tf.gather(p["token_embedding.weight"], x) + p["position_embedding.weight"]
    x = tf.reshape(x, (batch * context, width))
    for b in range(options["blocks"]):
        parts = norm(p, f"blocks.{b}.norm1", x) @ p[f"blocks.{b}.qkv.weight"] + p[f"blocks.{b}.qkv.bias"]
        parts = tf.transpose(tf.reshape(parts, (batch, context, 3, heads, width // heads)), (2, 0, 3, 1, 4))
        q, k, v = tf.unstack(parts)
        scores = tf.matmul(q, k, transpose_b=True) * (width // heads) ** -0.5 - 1e9 * mask
        attended = tf.transpose(tf.nn.softmax(scores) @ v, (0, 2, 1, 3))
        attended = tf.reshape(attended, (batch * context, width))
        x = x + attended @ p[f"blocks.{b}.out.weight"] + p[f"blocks.{b}.out.bias"]
        inner = norm(p, f"blocks.{b}.norm2", x) @ p[f"blocks.{b}.mlp.0.weight"] + p[f"blocks.{b}.mlp.0.bias"]
        inner = tf.nn.gelu(inner, approximate=False)
        x = x + inner @ p[f"blocks.{b}.mlp.1.weight"] + p[f"blocks.{b}.mlp.1.bias"]
    return norm(p, "norm", x) @ p["head.weight"] + p["head.bias"]


MODELS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}


def parameters_of(material: Material) -> Tensors:
    """The given start, in TensorFlow's layouts: a dense weight is (in, out), a kernel (height, width, in, out)."""
    given = dict(material.parameters)
    for b in range(material.options.get("blocks", 0)):
        for kind in ("weight", "bias"):
            parts = [given.pop(f"blocks.{b}.attention.{part}.{kind}") for part in ("query", "key", "value")]
            given[f"blocks.{b}.qkv.{kind}"] = tf.concat(parts, 0).numpy()
            given[f"blocks.{b}.out.{kind}"] = given.pop(f"blocks.{b}.attention.out.{kind}")
    turned = {4: lambda w: w.transpose(2, 3, 1, 0), 2: lambda w: w.T}
    return {
        name: tf.constant(value if "embedding" in name or value.ndim == 1 else turned[value.ndim](value))
        for name, value in given.items()
    }


class Loop:
    """A training loop. `advance(batches)` trains len(batches) steps."""

    chunk = 1  # advance takes multiples of it
    xla = False

    def __init__(self, material: Material) -> None:
        self.material, self.forward = material, MODELS[material.model]
        x = material.x.reshape(-1, *material.image_shape) if material.model == "cnn" else material.x
        self.x, self.y = tf.constant(x), tf.constant(material.y)
        self.rate, self.t = tf.Variable(material.learning_rate), tf.Variable(0.0)
        self.p = {name: tf.Variable(value) for name, value in parameters_of(material).items()}
        slots = 2 if material.optimizer == "adam" else 1
        self.slots = [{name: tf.Variable(tf.zeros_like(p)) for name, p in self.p.items()} for _ in range(slots)]
        self.compiled = tf.function(self.steps, jit_compile=self.xla)

    def restart(self, learning_rate: float) -> None:
        """Back to the start, with another learning rate; what was compiled is kept."""
        self.rate.assign(learning_rate)
        self.t.assign(0.0)
        for name, value in parameters_of(self.material).items():
            self.p[name].assign(value)
            for slot in self.slots:
                slot[name].assign(tf.zeros_like(value))

    def step(
        self, p: Tensors, slots: list[Tensors], t: tf.Tensor, rate: tf.Tensor, rows: tf.Tensor
    ) -> tuple[Tensors, list[Tensors], tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(p)
            logits = self.forward(p, tf.gather(self.x, rows), self.material.options)
            target = tf.reshape(tf.gather(self.y, rows), (-1,))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))
        # An embedding's gradient comes as slices; Adam's update would otherwise leave the other rows out.
        g = {name: tf.convert_to_tensor(value) for name, value in tape.gradient(loss, p).items()}
        t = t + 1
        if len(slots) == 1:
            b = {name: MOMENTUM * slots[0][name] + g[name] for name in p}
            return {name: p[name] - rate * b[name] for name in p}, [b], t, loss
        m = {name: BETA1 * slots[0][name] + (1 - BETA1) * g[name] for name in p}
        v = {name: BETA2 * slots[1][name] + (1 - BETA2) * g[name] ** 2 for name in p}
        scale, root = rate / (1 - BETA1**t), 1 - BETA2**t
        return {n: p[n] - scale * m[n] / (tf.sqrt(v[n] / root) + EPSILON) for n in p}, [m, v], t, loss

    def steps(self, rows: tf.Tensor) -> tf.Tensor:
        """One program: read the state, train the steps of rows (chunk, batch), write the state."""
        p = {name: value.read_value() for name, value in self.p.items()}
        slots = [{name: value.read_value() for name, value in slot.items()} for slot in self.slots]
        t, rate = self.t.read_value(), self.rate.read_value()
        if self.chunk == 1:
            p, slots, t, loss = self.step(p, slots, t, rate, rows[0])
        else:
            zero = tf.constant(0), p, slots, t, tf.constant(0.0)
            _, p, slots, t, loss = tf.while_loop(
                lambda k, *_: k < self.chunk,
                lambda k, p, slots, t, _: (k + 1, *self.step(p, slots, t, rate, rows[k])),
                zero,
                maximum_iterations=self.chunk,
            )
        for name, value in p.items():
            self.p[name].assign(value)
        for slot, values in zip(self.slots, slots, strict=True):
            for name, value in values.items():
                slot[name].assign(value)
        self.t.assign(t)
        return loss

    def advance(self, batches: Any) -> float:
        """Train; batches: (steps, batch). Returns the loss on the last step's batch, before its update."""
        rows = tf.constant(batches)
        for first in range(0, len(batches), self.chunk):
            loss = self.compiled(rows[first : first + self.chunk])
        return float(loss)


class Eager(Loop):
    """State in tensors, no program."""

    def restart(self, learning_rate: float) -> None:
        super().restart(learning_rate)
        self.state: Any = None

    def advance(self, batches: Any) -> float:
        state = getattr(self, "state", None)
        if state is None:
            p = {name: value.read_value() for name, value in self.p.items()}
            state = p, [{n: v.read_value() for n, v in slot.items()} for slot in self.slots], tf.constant(0.0), None
        p, slots, t, loss = state
        for rows in tf.constant(batches):
            p, slots, t, loss = self.step(p, slots, t, self.rate, rows)
        self.state = p, slots, t, loss
        return float(loss)


class XLA(Loop):
    xla = True


class Graph50(Loop):
    chunk = STEPS


class XLA50(Graph50):
    xla = True


LOOPS: dict[str, type[Loop]] = {"eager": Eager, "graph": Loop, "xla": XLA, "graph50": Graph50, "xla50": XLA50}
EAGER = ("eager",)


def threads(number: int) -> None:
    """Only before TensorFlow has computed anything."""
    tf.config.threading.set_intra_op_parallelism_threads(number)
    tf.config.threading.set_inter_op_parallelism_threads(1)
