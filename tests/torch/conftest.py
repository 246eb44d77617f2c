"""What the tests of the torch plugin share: small problems, stacks trained by the engine, and a loop written by hand.

The loop by hand knows nothing of the plugin: plain modules, `torch.autograd`, and the rule in NumPy
(`kit.rules.reference`). This file is read by every framework's process, so it imports PyTorch only when used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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


def blocks(inputs: InputSpec, replicates: int, rows: int = ROWS, seed: int = 0) -> Block:
    """Random samples of the kind that `inputs` says."""
    source = np.random.default_rng(seed)
    if inputs.tokens is not None:
        x = source.integers(inputs.tokens, size=(replicates, rows, *inputs.shape))
        return Block(x=x, y=np.roll(x, -1, axis=-1))
    x = source.normal(size=(replicates, rows, *inputs.shape))
    if inputs.task == "classification":
        return Block(x=x, y=source.integers(inputs.outputs, size=(replicates, rows)))
    if inputs.task == "binary":
        return Block(x=x, y=source.integers(2, size=(replicates, rows)).astype(float))
    width = () if inputs.outputs == 1 else (inputs.outputs,)
    return Block(x=x, y=source.normal(size=(replicates, rows, *width)))


def problem(
    model: str = "mlp",
    *,
    inputs: InputSpec = CLASSIFICATION,
    loss: Any = "cross_entropy",
    replicates: int = 1,
    dtype: str = "float64",
    module: Any = None,
    rows: int = ROWS,
    **options: Any,
) -> Problem:
    """A problem of random data; `module`: the user's own in place of a built-in model."""
    from kit_torch import losses, models

    if model == "mlp" and module is None:
        options = {"hidden": (5,), "activation": "tanh", **options}
    block = blocks(inputs, replicates, rows)
    x = block.x if inputs.tokens else block.x.astype(dtype)
    y = block.y.astype(dtype) if block.y.dtype.kind == "f" else block.y
    block = Block(x=x, y=y)
    accuracy: Any = {"classification": "argmax", "language": "argmax", "binary": "sign"}.get(inputs.task)
    return Problem(
        inputs=inputs,
        build_model=None if module is not None else getattr(models, model),
        model_options=options,
        model_object=module,
        parameters=None if module is not None else getattr(architectures, model)(inputs, **options),
        build_loss=getattr(losses, loss) if isinstance(loss, str) else loss,
        loss_options={"delta": 1.0} if loss == "huber" else {},
        accuracy=accuracy,
        train=block,
        evaluation={"train": block, "validation": Block(x=x[:, :7], y=y[:, :7])},
        noise=architectures.mlp_noise(inputs, **options) if model == "mlp" and module is None else (),
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
            floats = {n: self.rates(self.options.get(n, chosen[n])) for n in self.optimizer.float_names}
            self.floats = floats
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
        block = self.block if shared else Block(x=self.block.x[r : r + 1], y=self.block.y[r : r + 1])
        options = {k: v[n : n + 1] if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        alone = replace(
            self, problem=replace(self.problem, train=block), options=options, replicates=(0,), streamed=False
        )
        alone.order = Order(block.x.shape[1], self.batch, 0, [int(r)])
        return alone

    def start(self) -> State:
        """The same start for the trials of one replicate."""
        drawn = [initial(self.problem.parameters, 0, r) for r in range(self.count)]
        return State(parameters={name: np.stack([drawn[r][name] for r in self.replicates]) for name in drawn[0]})

    def compile(self, strategy: str | None = "views", steps: int = 1000) -> Any:
        from kit_torch.engine import TorchEngine

        return TorchEngine(threads=1).compile(
            self.problem, self.optimizer, self.stack, device="cpu", dtype=self.dtype, steps=steps, strategy=strategy
        )

    def program(self, strategy: str | None = "views", state: State | None = None) -> Any:
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
        blocks, each = len(self.block.x), range(indices.shape[1])
        return tuple(  # type: ignore[return-value]
            np.stack([values[r if blocks > 1 else 0][indices[:, r]] for r in each], axis=1)
            for values in (self.block.x, self.block.y)
        )

    def train(self, program: Any, *chunks: int) -> Any:
        """The losses of the chunks, (steps, N)."""
        return np.concatenate([program.advance(**self.work(steps)) for steps in chunks])

    def by_hand(self, forward: Any, loss: Any, steps: int) -> tuple[Any, dict[str, Any]]:
        """The same training by `torch.autograd` and the rule in NumPy, one member after the other, in float64.

        forward(parameters, x) and loss(output, y) are the test's own. Returns the losses (steps, N), and the
        parameters to report.
        """
        import torch

        start = self.start().parameters
        losses, ends = np.empty((steps, self.size)), []
        for n, r in enumerate(self.replicates):
            shared = self.block.x.shape[0] == 1
            x, y = (torch.as_tensor(v[0 if shared else r]) for v in (self.block.x, self.block.y))
            rows = Order(len(x), self.batch, 0, [int(r)]).indices(0, steps)[:, 0]
            floats = {name: values[n : n + 1] for name, values in self.floats.items()}
            reference = Reference(self.optimizer, [p[n : n + 1] for p in start.values()], floats)
            for k in range(steps):
                chosen = slice(None) if self.full_batch else torch.as_tensor(rows[k])

                def gradients(parameters: Any, k: int = k, n: int = n, x: Any = x[chosen], y: Any = y[chosen]) -> Any:
                    leaves = [torch.tensor(p[0], requires_grad=True) for p in parameters]
                    value = loss(forward(dict(zip(start, leaves, strict=True)), x), y)
                    losses[k, n] = value.item()
                    return [g.numpy()[None] for g in torch.autograd.grad(value, leaves)]

                reference.advance(gradients, np.full((1, 1), 1.0 / (1 + 0.1 * k)))
            ends.append(reference.evaluated())
        return losses, {name: np.concatenate([end[i] for end in ends]) for i, name in enumerate(start)}


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
def kit_torch_cases() -> SimpleNamespace:
    return SimpleNamespace(Case=Case, problem=problem, blocks=blocks, same_state=same_state)
