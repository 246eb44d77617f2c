"""What the tests of the jax plugin share: small problems, stacks trained by the engine, and the same by hand in NumPy.

The loop by hand knows nothing of JAX: an mlp whose gradient is written out, and the rule in NumPy
(`kit.rules.reference`). This file is read by every framework's process, so it imports JAX only when used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kit import architectures
from kit.batching import Order
from kit.engine import Block, InputSpec, Native, Problem, Stack, State
from kit.rules.reference import Reference
from kit.rules.scalars import schedule_scalars
from kit.seeds import initial

FEATURES, CLASSES, ROWS = 6, 3, 20
CLASSIFICATION = InputSpec(shape=(FEATURES,), outputs=CLASSES, task="classification")


def blocks(inputs: InputSpec, replicates: int, dtype: str) -> Block:
    """Random samples of the kind that `inputs` says."""
    source = np.random.default_rng(0)
    if inputs.tokens is not None:
        x = source.integers(inputs.tokens, size=(replicates, ROWS, *inputs.shape))
        return Block(x=x, y=np.roll(x, -1, axis=-1))
    x = source.normal(size=(replicates, ROWS, *inputs.shape)).astype(dtype)
    if inputs.task == "classification":
        return Block(x=x, y=source.integers(inputs.outputs, size=(replicates, ROWS)))
    if inputs.task == "binary":
        return Block(x=x, y=source.integers(2, size=(replicates, ROWS)).astype(dtype))
    return Block(x=x, y=source.normal(size=(replicates, ROWS)).astype(dtype))


def problem(
    model: str = "mlp",
    *,
    inputs: InputSpec = CLASSIFICATION,
    loss: Any = "cross_entropy",
    replicates: int = 1,
    dtype: str = "float64",
    own: Any = None,
    **options: Any,
) -> Problem:
    """A problem of random data; `own`: the user's own model in place of a built-in one."""
    from kit_jax import losses, models

    if model == "mlp" and own is None:
        options = {"hidden": (5,), "activation": "tanh", **options}
    block = blocks(inputs, replicates, dtype)
    accuracy: Any = {"classification": "argmax", "language": "argmax", "binary": "sign"}.get(inputs.task)
    return Problem(
        inputs=inputs,
        build_model=None if own is not None else getattr(models, model),
        model_options=options,
        model_object=own,
        parameters=None if own is not None else getattr(architectures, model)(inputs, **options),
        build_loss=getattr(losses, loss) if isinstance(loss, str) else loss,
        loss_options={},
        accuracy=accuracy,
        train=block,
        evaluation={"train": block, "validation": Block(x=block.x[:, :7], y=block.y[:, :7])},
        noise=architectures.mlp_noise(inputs, **options) if model == "mlp" and own is None else (),
    )


@dataclass(kw_only=True)
class Case:
    """A stack to train. rule: a `Rule` class with `options`, whose arrays are one value per trial, or a `Native`."""

    problem: Problem
    rule: Any
    options: dict[str, Any] = field(default_factory=dict)
    replicates: Any = (0, 0, 0)
    batch: int = 4
    dtype: Any = "float64"
    full_batch: bool = False
    streamed: bool = False
    numbers: Any = None  # of the replicates, for their orders; None: 0, 1, …

    def __post_init__(self) -> None:
        self.replicates = np.array(self.replicates)
        self.size = len(self.replicates)
        self.count = int(self.replicates.max()) + 1
        self.block = self.problem.train
        if self.full_batch:
            self.problem = replace(self.problem, full_batch=True)
        if self.streamed:
            self.problem = replace(self.problem, train=None)
        if isinstance(self.rule, Native):
            self.optimizer, self.carry = self.rule, {}
            self.floats = {"learning_rate": self.each(self.options["learning_rate"])}
        else:
            given = {k: v for k, v in self.options.items() if not isinstance(v, np.ndarray)}
            chosen = self.rule.record().options(given)
            self.optimizer = self.rule(
                **{h.name: chosen[h.name] for h in self.rule.record().hyperparameters if h.structural}
            )
            self.floats = {n: self.each(self.options.get(n, chosen[n])) for n in self.optimizer.float_names}
            self.carry = self.optimizer.carry(self.size)
        self.order = Order(ROWS, self.batch, 0, range(self.count) if self.numbers is None else self.numbers)
        self.position = 0

    def each(self, value: Any) -> Any:
        return np.broadcast_to(np.asarray(value, dtype=float), (self.size,)).copy()

    @property
    def stack(self) -> Stack:
        decay, clip = self.floats.get("weight_decay", np.zeros(1)), self.floats.get("clip_norm", np.full(1, np.inf))
        return Stack(
            replicates=self.replicates,
            seeds=100 + np.arange(self.size),
            decays=bool((decay > 0).any()),
            clips=bool(np.isfinite(clip).any()),
        )

    def only(self, n: int) -> Case:
        """Member n alone, as the host would send it: its own replicate is then the only one."""
        r = int(self.replicates[n])
        block = self.block if len(self.block.x) == 1 else Block(x=self.block.x[r : r + 1], y=self.block.y[r : r + 1])
        options = {k: v[n : n + 1] if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        rule = (
            self.rule if not isinstance(self.rule, Native) else replace(self.rule, options=self.rule.options[n : n + 1])
        )
        return replace(
            self, problem=replace(self.problem, train=block), rule=rule, options=options, replicates=(0,), numbers=[r]
        )

    def start(self) -> State:
        """The same start for the trials of one replicate."""
        numbers = range(self.count) if self.numbers is None else self.numbers
        drawn = [initial(self.problem.parameters, 0, r) for r in numbers]
        return State(parameters={name: np.stack([drawn[r][name] for r in self.replicates]) for name in drawn[0]})

    def program(self, state: State | None = None) -> Any:
        program = engine().compile(self.problem, self.optimizer, self.stack, device="cpu", dtype=self.dtype, steps=1000)
        program.load(self.start() if state is None else state)
        return program

    def train(self, program: Any, *chunks: int) -> Any:
        """The losses of the chunks, (steps, N)."""
        return np.concatenate([program.advance(**self.work(steps)) for steps in chunks])

    def work(self, steps: int) -> dict[str, Any]:
        """The arguments of `advance` for the next steps, with a learning rate that falls; the position moves on."""
        t = np.arange(self.position, self.position + steps)
        factors = np.repeat(1.0 / (1 + 0.1 * t[:, None]), self.size, axis=1)
        if isinstance(self.rule, Native):
            scalars = (factors * self.floats["learning_rate"])[..., None]
        else:
            scalars, self.carry = schedule_scalars(self.optimizer, self.floats, factors, self.position, self.carry)
        indices = None if self.full_batch else self.order.indices(self.position, steps)
        noise = self.noise(t) if self.problem.noise else None
        self.position += steps
        if self.streamed:
            return {"indices": None, "scalars": scalars, "samples": self.gathered(indices), "noise": noise}
        return {"indices": indices, "scalars": scalars, "noise": noise}

    def noise(self, steps: Any) -> dict[str, Any]:
        numbers = range(self.count) if self.numbers is None else self.numbers
        return {
            name: np.array(
                [[np.random.default_rng([i, t, r]).random((self.batch, *shape)) for r in numbers] for t in steps]
            )
            for i, (name, shape) in enumerate(self.problem.noise)
        }

    def gathered(self, indices: Any) -> tuple[Any, Any]:
        """What the host reads for a streamed block: (K, R, B, …)."""
        own = [r if len(self.block.x) > 1 else 0 for r in range(self.count)]
        return tuple(  # type: ignore[return-value]
            np.stack([values[own[r]][indices[:, r]] for r in range(self.count)], axis=1)
            for values in (self.block.x, self.block.y)
        )

    def by_hand(self, steps: int) -> tuple[Any, dict[str, Any]]:
        """The mlp of one tanh layer under cross-entropy, member by member in NumPy: losses (steps, N), parameters to
        report."""
        start = self.start().parameters
        losses, ends = np.empty((steps, self.size)), []
        for n, r in enumerate(self.replicates):
            x, y = (v[r if len(v) > 1 else 0] for v in (self.block.x, self.block.y))
            rows = self.order.indices(0, steps)[:, r]
            floats = {name: values[n : n + 1] for name, values in self.floats.items()}
            reference = Reference(self.optimizer, [start[name][n : n + 1] for name in NAMES], floats)
            for k in range(steps):
                chosen = slice(None) if self.full_batch else rows[k]

                def gradients(parameters: Any, k: int = k, n: int = n, x: Any = x[chosen], y: Any = y[chosen]) -> Any:
                    losses[k, n], found = backpropagated([p[0] for p in parameters], x, y)
                    return [g[None] for g in found]

                reference.advance(gradients, np.full((1, 1), 1.0 / (1 + 0.1 * k)))
            ends.append(reference.evaluated())
        return losses, {name: np.concatenate([end[i] for end in ends]) for i, name in enumerate(NAMES)}


NAMES = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias")


def backpropagated(parameters: Any, x: Any, y: Any) -> tuple[float, list[Any]]:
    """Loss and gradients of softmax(tanh(x W₀ᵀ + b₀) W₁ᵀ + b₁), by the chain rule."""
    w0, b0, w1, b1 = parameters
    hidden = np.tanh(x @ w0.T + b0)
    z = hidden @ w1.T + b1
    z = z - z.max(1, keepdims=True)
    likelihood = z - np.log(np.exp(z).sum(1, keepdims=True))
    slope = np.exp(likelihood)
    slope[np.arange(len(y)), y] -= 1
    slope /= len(y)
    inner = (slope @ w1) * (1 - hidden**2)
    return -likelihood[np.arange(len(y)), y].mean(), [inner.T @ x, inner.sum(0), slope.T @ hidden, slope.sum(0)]


@cache
def engine() -> Any:
    """One for all tests: a case that another test had is compiled already."""
    import kit_jax.engine

    kit_jax.engine.KEPT = 1000
    return kit_jax.engine.JaxEngine(threads=1)


def same_state(a: State, b: State) -> bool:
    """Whether two states are alike to the last bit, names included."""

    def leaves(state: State) -> dict[str, Any]:
        slots = {f"{slot}/{name}": v for slot, values in state.slots.items() for name, v in values.items()}
        return {**{f"p/{k}": v for k, v in state.parameters.items()}, **slots, **state.buffers}

    one, other = leaves(a), leaves(b)
    return one.keys() == other.keys() and all(
        one[k].dtype == other[k].dtype and one[k].shape == other[k].shape and one[k].tobytes() == other[k].tobytes()
        for k in one
    )


@pytest.fixture
def kit_jax_cases() -> SimpleNamespace:
    return SimpleNamespace(Case=Case, problem=problem, same_state=same_state)
