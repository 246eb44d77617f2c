"""What the tests of the tensorflow plugin share: small problems, stacks trained by the engine, and a NumPy reference.

The reference knows nothing of the plugin: an mlp's gradients written out in NumPy, and the rules in NumPy
(`kit.rules.reference`). This file is read by every framework's process, so it imports TensorFlow only when used.
"""

from __future__ import annotations

from collections.abc import Callable
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


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Before anything is computed, after which the number of threads is fixed."""
    engine()


@cache
def engine() -> Any:
    from kit_tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(threads=1)


def blocks(inputs: InputSpec, replicates: int, rows: int = ROWS) -> Block:
    """Random samples of the kind that `inputs` says, float64."""
    source = np.random.default_rng(0)
    if inputs.tokens is not None:
        x = source.integers(inputs.tokens, size=(replicates, rows, *inputs.shape))
        return Block(x=x, y=np.roll(x, -1, axis=-1))
    x = source.normal(size=(replicates, rows, *inputs.shape))
    if inputs.task == "classification":
        return Block(x=x, y=source.integers(inputs.outputs, size=(replicates, rows)))
    if inputs.task == "binary":
        return Block(x=x, y=source.integers(2, size=(replicates, rows)))
    width = () if inputs.outputs == 1 else (inputs.outputs,)
    return Block(x=x, y=source.normal(size=(replicates, rows, *width)))


def problem(
    model: Any = "mlp",
    *,
    inputs: InputSpec = CLASSIFICATION,
    loss: Any = "cross_entropy",
    replicates: int = 1,
    dtype: str = "float64",
    rows: int = ROWS,
    **options: Any,
) -> Problem:
    """A problem of random data. model: a built-in family's name, or the user's own model."""
    from kit_tensorflow import losses, models

    own = not isinstance(model, str)
    if model == "mlp":
        options = {"hidden": (5,), "activation": "tanh", **options}
    block = blocks(inputs, replicates, rows)
    x, y = (a.astype(dtype) if a.dtype.kind == "f" else a for a in (block.x, block.y))
    block = Block(x=x, y=y)
    accuracies: Any = {"classification": "argmax", "language": "argmax", "binary": "sign"}
    return Problem(
        inputs=inputs,
        build_model=None if own else getattr(models, model),
        model_options=options,
        model_object=model if own else None,
        parameters=None if own else getattr(architectures, model)(inputs, **options),
        build_loss=getattr(losses, loss) if isinstance(loss, str) else loss,
        loss_options={"delta": 1.0} if loss == "huber" else {},
        accuracy=accuracies.get(inputs.task),
        train=block,
        evaluation={"train": block, "validation": Block(x=x[:, :7], y=y[:, :7])},
        noise=architectures.mlp_noise(inputs, **options) if model == "mlp" else (),
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

    def __post_init__(self) -> None:
        self.replicates = np.array(self.replicates)
        self.size = len(self.replicates)
        self.native = isinstance(self.rule, Native)
        if self.full_batch:
            self.problem = replace(self.problem, full_batch=True)
        self.block = self.problem.train
        if self.streamed:
            self.problem = replace(self.problem, train=None)
        self.carry: dict[str, Any] = {}
        if self.native:
            self.optimizer, self.floats = self.rule, {"learning_rate": self.rates(self.options["learning_rate"])}
        else:
            given = {k: v for k, v in self.options.items() if not isinstance(v, np.ndarray)}
            chosen = self.rule.record().options(given)
            structure = {h.name: chosen[h.name] for h in self.rule.all_hyperparameters() if h.structural}
            self.optimizer = self.rule(**structure)
            self.floats = {n: self.rates(self.options.get(n, chosen[n])) for n in self.optimizer.float_names}
            self.carry = self.optimizer.carry(self.size)
        self.count = int(self.replicates.max()) + 1
        self.order = Order(self.block.x.shape[1], self.batch, 0, range(self.count))
        self.position = 0

    def rates(self, value: Any) -> Any:
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
        r = self.replicates[n]
        shared = self.block.x.shape[0] == 1

        def own(block: Block) -> Block:
            return block if shared else Block(x=block.x[r : r + 1], y=block.y[r : r + 1])

        block, evaluation = own(self.block), {split: own(each) for split, each in self.problem.evaluation.items()}
        options = {k: v[n : n + 1] if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        problem = replace(self.problem, train=block, evaluation=evaluation)
        alone = replace(self, problem=problem, options=options, replicates=(0,), streamed=False)
        alone.order = Order(block.x.shape[1], self.batch, 0, [int(r)])
        return alone

    def start(self) -> State:
        """The same start for the trials of one replicate."""
        if self.problem.parameters is None:
            parameters, buffers = engine().initial_parameters(self.problem, self.stack.seeds)
            return State(parameters=parameters, buffers=buffers)
        drawn = [initial(self.problem.parameters, 0, r) for r in range(self.count)]
        return State(parameters={name: np.stack([drawn[r][name] for r in self.replicates]) for name in drawn[0]})

    def compile(self, strategy: str | None = "graph", steps: int = 1000, device: str = "cpu") -> Any:
        return engine().compile(
            self.problem, self.optimizer, self.stack, device=device, dtype=self.dtype, steps=steps, strategy=strategy
        )

    def program(self, strategy: str | None = "graph", state: State | None = None) -> Any:
        program = self.compile(strategy)
        program.load(self.start() if state is None else state)
        return program

    def factors(self, steps: int) -> Any:
        """A learning rate that changes in mid-run."""
        t = np.arange(self.position, self.position + steps)[:, None]
        return np.repeat(1.0 / (1 + 0.1 * t), self.size, axis=1)

    def noise(self, steps: int) -> Any:
        if not self.problem.noise:
            return None
        rows = self.block.x.shape[1] if self.full_batch else self.batch
        drawn: dict[str, list[Any]] = {}
        for t in range(self.position, self.position + steps):
            for i, (name, shape) in enumerate(self.problem.noise):
                source = np.random.default_rng([5, i, t])
                drawn.setdefault(name, []).append(source.random((self.count, rows, *shape)))
        return {name: np.array(values) for name, values in drawn.items()}

    def work(self, steps: int) -> dict[str, Any]:
        """The arguments of `advance` for the next steps; the position moves on."""
        factors = self.factors(steps)
        if self.native:
            scalars = (factors * self.floats["learning_rate"])[..., None]
        else:
            scalars, self.carry = schedule_scalars(self.optimizer, self.floats, factors, self.position, self.carry)
        indices = None if self.full_batch else self.order.indices(self.position, steps)
        samples = None
        if self.streamed:
            samples, indices = self.gathered(indices), None
        noise = self.noise(steps)
        self.position += steps
        return {"indices": indices, "scalars": scalars, "samples": samples, "noise": noise}

    def gathered(self, indices: Any) -> tuple[Any, Any]:
        """What the host reads for a streamed block: (K, R, B, …)."""
        several, each = len(self.block.x) > 1, range(indices.shape[1])
        x, y = (
            np.stack([values[r if several else 0][indices[:, r]] for r in each], axis=1)
            for values in (self.block.x, self.block.y)
        )
        return x, y

    def train(self, program: Any, *chunks: int) -> Any:
        """The losses of the chunks, (steps, N)."""
        return np.concatenate([program.advance(**self.work(steps)) for steps in chunks])

    def by_hand(self, gradient: Callable[..., Any], steps: int) -> tuple[Any, dict[str, Any]]:
        """The same training in NumPy, one member after the other, in float64.

        gradient: (parameters by name, x, y, noise by name) -> (mean loss, gradients by name). Returns the losses
        (steps, N), and the parameters to report.
        """
        start = self.start().parameters
        noise = self.noise(steps)
        losses, ends = np.empty((steps, self.size)), []
        for n, r in enumerate(self.replicates):
            x, y = (v[0 if len(v) == 1 else r] for v in (self.block.x, self.block.y))
            rows = Order(len(x), self.batch, 0, [int(r)]).indices(0, steps)[:, 0]
            floats = {name: values[n : n + 1] for name, values in self.floats.items()}
            reference = Reference(self.optimizer, [p[n : n + 1] for p in start.values()], floats)
            for k in range(steps):
                chosen = slice(None) if self.full_batch else rows[k]
                own = None if noise is None else {name: draws[k, r] for name, draws in noise.items()}

                def gradients(parameters: Any, k: int = k, n: int = n, data: Any = (x[chosen], y[chosen], own)) -> Any:
                    named = {name: p[0] for name, p in zip(start, parameters, strict=True)}
                    losses[k, n], found = gradient(named, *data)
                    return [found[name][None] for name in start]

                reference.advance(gradients, np.full((1, 1), 1.0 / (1 + 0.1 * k)))
            ends.append(reference.evaluated())
        return losses, {name: np.concatenate([end[i] for end in ends]) for i, name in enumerate(start)}


def mlp_gradient(dropout: float = 0.0) -> Callable[..., Any]:
    """An mlp of one tanh layer with softmax cross-entropy, forwards and backwards, as the textbook has it."""

    def gradient(p: dict[str, Any], x: Any, y: Any, noise: Any = None) -> tuple[float, dict[str, Any]]:
        w0, b0, w1, b1 = (p[f"layers.{i}.{part}"] for i in (0, 1) for part in ("weight", "bias"))
        hidden = np.tanh(x @ w0.T + b0)
        kept = np.ones_like(hidden) if noise is None else (noise["dropout.0"] >= dropout) / (1 - dropout)
        logits = (hidden * kept) @ w1.T + b1
        shifted = logits - logits.max(axis=1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        rows = np.arange(len(y))
        slope = np.exp(log)
        slope[rows, y] -= 1
        slope /= len(y)
        back = slope @ w1 * kept * (1 - hidden * hidden)
        gradients = {
            "layers.0.weight": back.T @ x,
            "layers.0.bias": back.sum(axis=0),
            "layers.1.weight": slope.T @ (hidden * kept),
            "layers.1.bias": slope.sum(axis=0),
        }
        return float(-log[rows, y].mean()), gradients

    return gradient


def leaves(state: State) -> dict[str, Any]:
    slots = {f"{slot}/{name}": v for slot, values in state.slots.items() for name, v in values.items()}
    return {**{f"p/{k}": v for k, v in state.parameters.items()}, **slots, **state.buffers}


def same_state(a: State, b: State) -> bool:
    """Whether two states are alike to the last bit, names included."""
    one, other = leaves(a), leaves(b)
    return one.keys() == other.keys() and all(
        one[k].dtype == other[k].dtype and one[k].shape == other[k].shape and one[k].tobytes() == other[k].tobytes()
        for k in one
    )


def close(found: Any, expected: Any, bound: float = 1e-12) -> None:
    """Arrays, or dictionaries of them, alike to a bound that is both absolute and relative."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            close(found[name], expected[name], bound)
        return
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)


@pytest.fixture(scope="session")
def tf_cases(one_thread: None) -> SimpleNamespace:
    return SimpleNamespace(
        Case=Case,
        problem=problem,
        blocks=blocks,
        engine=engine,
        mlp_gradient=mlp_gradient,
        leaves=leaves,
        same_state=same_state,
        close=close,
    )
