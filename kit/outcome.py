"""What an experiment came to: the one value that the store yields and that results, figures and reports are made from.

It needs no framework, and a store written on another machine gives the same outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["done", "diverged", "stopped", "failed", "lost"]
STATUSES: tuple[Status, ...] = ("done", "diverged", "stopped", "failed", "lost")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run spent."""

    steps: int = 0  # updates
    samples: int = 0  # training samples seen, repeats counted
    gradient_evaluations: int = 0  # per-sample gradients; equals samples unless an optimizer evaluates more often
    seconds: float = 0.0  # of training alone: evaluation, recording and compilation are not in it
    compile_seconds: float = 0.0  # of building the program and timing the candidate loops
    peak_memory_bytes: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """A run as stored. `curves` has one row per metric and step: columns metric, step, samples, gradient_evaluations,
    seconds, value. `batch_loss` stands at the step whose batch it was taken on, before its update, from 1; the other
    metrics (`train_loss`, `validation_loss`, `validation_accuracy`, probes) after `step` updates, from 0."""

    run_id: str
    specification: dict[str, Any]  # resolved, JSON
    status: Status
    reason: str
    cost: Cost
    curves: pd.DataFrame
    attempts: int = 1
    record: dict[str, Any] = field(default_factory=dict)  # strategy, timings, threads, versions, device, stack size
    final: dict[str, float] = field(default_factory=dict)  # the last value of each metric; empty: read the curves
    lowest: dict[str, float] = field(default_factory=dict)  # of the values that are numbers, likewise
    highest: dict[str, float] = field(default_factory=dict)
    started: float = 0.0  # seconds since 1970; 0: unknown
