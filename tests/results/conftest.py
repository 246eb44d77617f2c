"""Outcomes whose truth is known: curves drawn from a model with chosen effects, so that statistics can be checked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.outcome import Cost, Outcome

ROWS = 1437
BATCH = {"gd": ROWS, "sgd": 1}
RATES = {"gd": 0.1, "sgd": 0.01, "minibatch": 0.05, "adam": 0.001}
# The true final validation loss of each method, before the replicates' own luck.
LEVELS = {"gd": 0.9, "sgd": 0.42, "minibatch": 0.20, "adam": 0.15}

Make = Callable[..., list[Outcome]]


def specification(
    optimizer: str = "adam",
    backend: str = "torch",
    replicate: int = 0,
    *,
    learning_rate: float | None = None,
    **changes: Any,
) -> dict[str, Any]:
    rate = RATES.get(optimizer, 0.01) if learning_rate is None else learning_rate
    return {
        "format": 1,
        "dataset": {"name": "digits", "options": {}},
        "model": {"name": "mlp", "options": {"hidden": [32], "activation": "relu", "dropout": 0.0}},
        "loss": {"name": "cross_entropy", "options": {}},
        "task": "classification",
        "optimizer": {
            "name": optimizer,
            "family": optimizer,
            "kind": "rule",
            "options": {"learning_rate": rate, "weight_decay": 0.0, "clip_norm": "inf"},
        },
        "schedule": {"name": "constant", "options": {}},
        "batch_size": BATCH.get(optimizer, 64),
        "budget": {"steps": 500},
        "seed": 0,
        "replicate": replicate,
        "backend": backend,
        "device": "cpu",
        "dtype": "float32",
        "validation_fraction": 0.2,
        "standardise": True,
        "evaluate_every": 10,
        "probes": [],
        "strategy": "auto",
    } | changes


def curves(metrics: Mapping[str, tuple[Any, Any]], batch: int, seconds_per_step: float) -> pd.DataFrame:
    """metrics: name -> (steps, values)."""
    parts = [
        pd.DataFrame(
            {
                "metric": np.full(len(steps), name, dtype=object),
                "step": np.asarray(steps, dtype=np.int64),
                "samples": np.asarray(steps, dtype=np.int64) * batch,
                "gradient_evaluations": np.asarray(steps, dtype=np.int64) * batch,
                "seconds": np.asarray(steps) * seconds_per_step,
                "value": np.asarray(values, dtype=np.float64),
            }
        )
        for name, (steps, values) in metrics.items()
    ]
    return pd.concat(parts, ignore_index=True)


def outcome(
    optimizer: str = "adam",
    backend: str = "torch",
    replicate: int = 0,
    *,
    level: float | None = None,
    noise: float = 0.02,
    luck: float = 0.2,
    steps: int = 500,
    status: str = "done",
    diverged_at: int | None = None,
    learning_rate: float | None = None,
    record: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Outcome:
    """A run that decays to `level` times e^(the replicate's luck + noise), the luck common to all methods."""
    spec = specification(optimizer, backend, replicate, learning_rate=learning_rate, **changes)
    shared = np.random.default_rng([7, replicate, spec["seed"]])
    identity = f"{optimizer}{backend}{replicate}{spec['seed']}{learning_rate}{changes}"
    own = np.random.default_rng(zlib.crc32(f"{optimizer}{replicate}{learning_rate}".encode()))
    last = (LEVELS.get(optimizer, 0.3) if level is None else level) * np.exp(
        luck * shared.standard_normal() + noise * own.standard_normal()
    )
    grid = np.arange(0, steps + 1, 10)
    decay = np.exp(-grid / (steps / 8))
    validation = last + (2.4 - last) * decay
    train = 0.8 * last + (2.4 - 0.8 * last) * decay
    every = np.arange(1, steps + 1)
    jitter = own.standard_normal(steps) * 0.2
    batch = np.interp(every, grid, train) * np.exp(jitter / np.sqrt(BATCH.get(optimizer, 64)))
    if backend == "tensorflow":  # rounding that grows along the way, to 1e-6 at step 100
        batch = batch * (1 + 1e-6 * (every / 100) ** 2)
    accuracy = 1 - validation / 2.6
    reason = "The budget was spent."
    if diverged_at is not None:
        status, reason = (
            "diverged",
            f"The batch loss became nan at step {diverged_at} (learning rate 1); try a smaller one.",
        )
        grown = np.exp(np.minimum(np.arange(steps + 1), diverged_at) / diverged_at * 12)
        batch, train, validation = batch * grown[1:], train * grown[grid], validation * grown[grid]
        kept, early = grid <= diverged_at, every <= diverged_at
        grid, train, validation, accuracy = grid[kept], train[kept], validation[kept], accuracy[kept] * 0 + 0.1
        every, batch = every[early], batch[early]
        batch[-1] = np.nan
    per_step = {"gd": 9e-4, "sgd": 2.1e-4}.get(optimizer, 3e-4) * (1 if backend == "torch" else 0.6)
    per_step *= float(np.exp(0.05 * np.random.default_rng(zlib.crc32(identity.encode())).standard_normal()))
    done = int(every[-1])
    frame = curves(
        {
            "batch_loss": (every, batch),
            "train_loss": (grid, train),
            "validation_loss": (grid, validation),
            "validation_accuracy": (grid, accuracy),
        },
        spec["batch_size"],
        per_step,
    )
    samples = done * spec["batch_size"]
    cost = Cost(steps=done, samples=samples, gradient_evaluations=samples, seconds=done * per_step, compile_seconds=1.4,
                peak_memory_bytes=int(3.1e8 if backend == "torch" else 6.2e8))  # fmt: skip
    facts = {
        "strategy": "stacked",
        "threads": 2,
        "versions": {"torch": "2.13.0"} if backend == "torch" else {"tensorflow": "2.21.0"},
    }
    return Outcome(
        run_id=f"{zlib.crc32(identity.encode()):08x}" * 2,
        specification=spec,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        cost=cost,
        curves=frame,
        record=facts | dict(record or {}),
    )


def study(
    optimizers: Iterable[str] = ("gd", "sgd", "minibatch", "adam"),
    backends: Sequence[str] = ("torch", "tensorflow"),
    replicates: int = 3,
    **settings: Any,
) -> list[Outcome]:
    return [outcome(o, b, r, **settings) for o in optimizers for b in backends for r in range(replicates)]


def sweep(
    rates: Sequence[float],
    optimizers: Sequence[str] = ("adam",),
    backends: Sequence[str] = ("torch",),
    replicates: int = 5,
) -> list[Outcome]:
    """Final loss as a parabola of log rate with its minimum at 0.01; rates from 1 on diverge."""
    return [
        outcome(o, b, r, learning_rate=rate, level=0.2 * float(np.exp(0.3 * np.log10(rate / 0.01) ** 2)) * (1 + i / 4),
                diverged_at=40 if rate >= 1 else None)
        for i, o in enumerate(optimizers) for b in backends for rate in rates for r in range(replicates)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def make_outcome() -> Callable[..., Outcome]:
    return outcome


@pytest.fixture(scope="session")
def make_study() -> Make:
    return study


@pytest.fixture(scope="session")
def make_sweep() -> Make:
    return sweep
