"""Which strategy trains a stack: measured on its own first steps.

Every candidate starts from the same state. The universal one, member by member in a graph, comes first: the others must
agree with it over a few steps, and must be able to pay for their compilation in the steps that are to come. The fastest
stays, with its results; what the others computed is thrown away.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kit.engine import State
from kit.errors import KitError
from kit_tensorflow.feed import Chunk
from kit_tensorflow.plan import Plan
from kit_tensorflow.runner import Group, Runner
from kit_tensorflow.strategies import BATCHED, BATCHED_XLA, GRAPH, VECTORIZED, VECTORIZED_XLA, XLA, Strategy

Array = np.ndarray[Any, np.dtype[Any]]
log = logging.getLogger("kit_tensorflow")

CHECKED_STEPS = 4  # over which candidates must agree; more, and past the stability limit none would
SAMPLED_MEMBERS = 2  # of a stack, that the universal strategy is timed on
# A candidate is timed for about so long: over part of the chunk if all takes longer, repeatedly if it is shorter.
LEAST_TIMED_SECONDS, MOST_TIMED_SECONDS = 0.05, 0.5
# Largest differences, relative, of the first loss and of the way that the parameters went, between strategies.
AGREEMENT = {"float64": (1e-8, 1e-5), "float32": (1e-3, 5e-2), "bfloat16": (5e-2, 0.5)}
# Compiling takes about so many times what tracing the universal strategy took; measured on the built-in models.
TRACE_COST = 2.0
XLA_COST = 8.0
LEAST_XLA_SECONDS = 0.5
# The share of the present time that a candidate may save, at best, for all that is known beforehand.
SAVES_AS_STACK, SAVES_BY_XLA, SAVES_MORE = 0.7, 0.5, 0.2


@dataclass
class Choice:
    """What came of it."""

    runner: Runner
    losses: Array  # (K, N), of the first chunk
    seconds: float  # that the first chunk took the runner that was kept
    timings: dict[str, float] = field(default_factory=dict)  # strategy -> µs per step of the whole stack
    left_out: dict[str, str] = field(default_factory=dict)  # strategy -> why it was not tried, or not kept


@dataclass
class Measured:
    """One candidate's few first steps, and its time for a chunk."""

    runner: Runner
    losses: Array  # (checked steps, sampled members)
    after: dict[str, Array]  # their parameters then
    per_step: float  # seconds, of the whole stack
    results: Array | None  # (K, N) where the whole stack took the whole chunk; the runner then stands behind it


class Chooser:
    """Tries the candidates for one plan."""

    def __init__(self, plan: Plan, state: State, chunk: Chunk, scalars: Array, remaining: int) -> None:
        self.plan, self.start, self.chunk, self.scalars, self.remaining = plan, state, chunk, scalars, remaining
        half = plan.stack.size // 2
        self.sampled = [0] if plan.stack.size == 1 else [0, half]
        self.xla_seconds = 0.0  # of the last compilation by XLA
        self.trace_seconds = 0.0

    def choose(self) -> Choice:
        refusals = self.plan.refusals()
        universal = best = self._measured(GRAPH)
        timings, left_out = {GRAPH.name: 1e6 * universal.per_step}, {}
        for strategy in self._candidates(refusals):
            reason = refusals.get(strategy.name) or self._not_worth(strategy, best)
            if not reason:
                try:
                    found = self._measured(strategy)
                except Exception as error:  # whatever a framework cannot do with a model, another strategy can
                    reason = f"it cannot train this: {_first_line(error)}"
                else:
                    timings[strategy.name] = 1e6 * found.per_step
                    reason = self._disagreement(universal, found)
                    if not reason and found.per_step < best.per_step:
                        best = found
            if reason:
                left_out[strategy.name] = reason
                log.info("Strategy '%s' was left out: %s.", strategy.name, reason)
        losses, seconds = best.results, best.per_step * len(self.scalars)
        if losses is None:
            best.runner.load(self.start)
            began = time.perf_counter()
            losses = best.runner.advance(self.chunk, self.scalars)
            seconds = time.perf_counter() - began
        return Choice(best.runner, losses, seconds, timings, left_out)

    def _candidates(self, refusals: dict[str, str]) -> list[Strategy]:
        """In the order of trying: what costs little first, then what promises most."""
        stacked = (VECTORIZED,) if refusals.get(BATCHED.name) else (BATCHED,)
        compiled = (VECTORIZED_XLA,) if refusals.get(BATCHED.name) else (BATCHED_XLA,)
        return [*(stacked if self.plan.stack.size > 1 else ()), *compiled, XLA]

    def _not_worth(self, strategy: Strategy, best: Measured) -> str:
        """Why a candidate could not earn what making it costs, if so."""
        batch = self.chunk.indices.shape[2] if self.chunk.indices is not None else 0
        if self.chunk.samples is not None:
            batch = self.chunk.samples[0].shape[2]
        if self.plan.problem.full_batch and self.plan.problem.train is not None:
            batch = self.plan.problem.train.x.shape[1]
        if strategy.kind != "single" and self.plan.too_large(batch):
            return "all members' activations at once would take too much memory"
        share = SAVES_AS_STACK
        cost = TRACE_COST * self.trace_seconds
        if strategy.jit:
            cost = self.xla_seconds or max(LEAST_XLA_SECONDS, XLA_COST * self.trace_seconds)
            share = SAVES_MORE if self.xla_seconds else SAVES_BY_XLA
        to_come = best.per_step * self.remaining
        if share * to_come > cost:
            return ""
        return f"making it takes about {cost:.1f} s, and the steps to come {to_come:.1f} s as it is"

    def _measured(self, strategy: Strategy) -> Measured:
        runner = Runner(self.plan, strategy, self.chunk, self.start, self.scalars.shape[2])
        seconds = runner.prepare(self.chunk, self.scalars)
        if strategy is GRAPH:
            self.trace_seconds = seconds / len(runner.loops)
        elif strategy.jit:
            self.xla_seconds = seconds
        groups = self._sampled_groups(runner)
        checked = min(len(self.scalars), CHECKED_STEPS)
        began = time.perf_counter()
        losses = runner.advance(self.chunk, self.scalars[:checked], groups)
        spent = time.perf_counter() - began
        after = runner.state(groups).parameters
        if len(groups) == len(runner.groups) and groups[0].members != [0]:
            picked = np.searchsorted(sorted(n for g in groups for n in g.members), self.sampled)
            losses, after = losses[:, picked], {name: value[picked] for name, value in after.items()}
        if spent > MOST_TIMED_SECONDS:
            return Measured(runner, losses, after, spent / checked * len(runner.groups) / len(groups), None)
        steps = int(np.clip(MOST_TIMED_SECONDS / spent * checked, checked, len(self.scalars)))
        return Measured(runner, losses, after, *self._timed(runner, groups, steps))

    def _sampled_groups(self, runner: Runner) -> list[Group]:
        if len(runner.groups) <= SAMPLED_MEMBERS:
            return runner.groups
        return [runner.groups[n] for n in self.sampled]

    def _timed(self, runner: Runner, groups: list[Group], steps: int) -> tuple[float, Array | None]:
        """The shortest time of a step, for the whole stack, and the results if the whole stack took the whole chunk."""
        shortest, spent = np.inf, 0.0
        while spent < LEAST_TIMED_SECONDS:
            runner.load(self.start)
            began = time.perf_counter()
            losses = runner.advance(self.chunk, self.scalars[:steps], groups)
            took = time.perf_counter() - began
            shortest, spent = min(shortest, took), spent + took
        complete = len(groups) == len(runner.groups) and steps == len(self.scalars)
        return float(shortest) / steps * len(runner.groups) / len(groups), losses if complete else None

    def _disagreement(self, universal: Measured, found: Measured) -> str:
        """Where a candidate's first steps are not the universal strategy's, but for rounding."""
        of_loss, of_way = AGREEMENT[self.plan.dtype]
        for i, n in enumerate(self.sampled):
            expected, given = universal.losses[:, i], found.losses[:, i]
            if not np.isfinite(expected).all():
                continue  # past the stability limit there is nothing to agree on
            if not abs(given[0] - expected[0]) <= of_loss * (1 + abs(expected[0])):
                return f"its loss of member {n} is {given[0]:.6g}, the universal strategy's {expected[0]:.6g}"
            way, apart = 0.0, 0.0
            for name, start in self.start.parameters.items():
                one, other = universal.after[name][i].astype(np.float64), found.after[name][i].astype(np.float64)
                way += float(np.sum((one - start[n]) ** 2)) + float(np.finfo(start.dtype).eps ** 2 * np.sum(one**2))
                apart += float(np.sum((one - other) ** 2))
            if not np.sqrt(apart) <= of_way * np.sqrt(way) + np.finfo(np.float64).tiny:
                return f"its parameters of member {n} differ from the universal strategy's after {len(expected)} steps"
        return ""


def refused(strategy: Strategy, error: Exception) -> str:
    """The sentence for a strategy that was asked for and cannot train a stack."""
    return f"strategy '{strategy.name}' cannot train this: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return said[0] if isinstance(error, KitError) else f"{type(error).__name__}: {said[0]}"
