"""What is trained in the benchmarks: the same arrays for the hand-written loops and for ours.

The host draws data, start and batches once, in NumPy, without a framework; a hand-written loop gets them as a
`Material`, so that it needs nothing of ours and its curve must agree with ours step by step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STEPS_DRAWN = 4000  # then the batches begin again


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem of the benchmarks, by the names that users type. Learning rates are inside the stable range."""

    name: str
    title: str
    dataset: str
    model: str
    optimizer: str
    learning_rate: float
    batch: int
    options: dict[str, Any]  # of the model

    def experiment(self, backend: str, steps: int, **fields: Any) -> Any:
        """The `kit.Experiment` of it. Curves are read at the start and at the end alone unless said otherwise."""
        import kit

        return kit.Experiment(
            dataset=self.dataset,
            model=kit.model(self.model, **self.options),
            optimizer=kit.optimizer(self.optimizer, learning_rate=self.learning_rate),
            batch_size=self.batch,
            budget=kit.Budget(steps=steps),
            backend=backend,
            evaluate_every=fields.pop("evaluate_every", steps),
            **fields,
        )


_DIGITS: dict[str, Any] = {"dataset": "digits", "batch": 64}
PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            name="mlp",
            title="digits, mlp 64-32-10, batch 64, SGD with momentum",
            model="mlp",
            optimizer="momentum",
            learning_rate=0.02,
            options={"hidden": (32,)},
            **_DIGITS,
        ),
        Problem(
            name="mlp-adam",
            title="digits, mlp 64-32-10, batch 64, Adam",
            model="mlp",
            optimizer="adam",
            learning_rate=1e-3,
            options={"hidden": (32,)},
            **_DIGITS,
        ),
        Problem(
            name="cnn",
            title="digits, cnn 8-16 channels, batch 64, SGD with momentum",
            model="cnn",
            optimizer="momentum",
            learning_rate=0.02,
            options={"channels": (8, 16), "kernel": 3, "hidden": 32},
            **_DIGITS,
        ),
        Problem(
            name="transformer",
            title="characters, transformer of width 32 with 2 blocks, 32 windows of 32, Adam",
            dataset="characters",
            batch=32,
            model="transformer",
            optimizer="adam",
            learning_rate=1e-3,
            options={"width": 32, "heads": 2, "blocks": 2},
        ),
    )
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """A problem as arrays."""

    model: str
    optimizer: str  # "momentum" or "adam"
    learning_rate: float
    options: dict[str, Any]
    x: Any  # (rows, *sample), float32, or int64 token numbers
    y: Any  # (rows,) or (rows, context), int64
    image_shape: tuple[int, int, int] | None
    parameters: dict[str, Any]  # canonical name -> float32, in PyTorch's layouts
    order: Any  # (STEPS_DRAWN, batch), int64: the rows of each step

    def batches(self, first_step: int, steps: int) -> Any:
        """Rows of `steps` steps from `first_step`: (steps, batch)."""
        return self.order[np.arange(first_step, first_step + steps) % len(self.order)]

    def save(self, path: Path) -> None:
        facts = {
            name: getattr(self, name) for name in ("model", "optimizer", "learning_rate", "options", "image_shape")
        }
        arrays = {f"parameters/{name}": value for name, value in self.parameters.items()}
        np.savez(path, facts=json.dumps(facts), x=self.x, y=self.y, order=self.order, **arrays)

    @classmethod
    def read(cls, path: Path) -> Material:
        with np.load(path) as file:
            facts = json.loads(str(file["facts"]))
            shape = facts.pop("image_shape")
            parameters = {name.partition("/")[2]: file[name] for name in file.files if name.startswith("parameters/")}
            return cls(
                x=file["x"],
                y=file["y"],
                order=file["order"],
                parameters=parameters,
                image_shape=tuple(shape) if shape else None,
                **facts,
            )


def material(problem: Problem) -> Material:
    """Draw it, with the host's own functions and no framework."""
    from kit import architectures
    from kit.batching import Order
    from kit.choice import Choice
    from kit.data import load, prepare
    from kit.registry import Registry
    from kit.seeds import initial

    registry = Registry.load()
    record = registry.find("dataset", problem.dataset)
    data = load(Choice(name=problem.dataset, options=record.defaults()), registry, 0)
    prepared = prepare(data, seed=0, replicates=[0])
    assert prepared.train is not None
    specs = getattr(architectures, problem.model)(prepared.inputs, **problem.options)
    start = initial(specs, 0, 0)
    return Material(
        model=problem.model,
        optimizer=problem.optimizer,
        learning_rate=problem.learning_rate,
        options=problem.options,
        x=prepared.train.x[0],
        y=prepared.train.y[0],
        image_shape=prepared.inputs.image_shape,
        parameters={name: value.astype(np.float32) for name, value in start.items()},
        order=Order(prepared.rows, problem.batch, 0, [0]).indices(0, STEPS_DRAWN)[:, 0],
    )
