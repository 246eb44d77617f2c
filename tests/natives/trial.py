"""Tries native optimizers one after the other, in one process of one framework, each with its own defaults.

On the digits (an MLP of 32 units) and on a function of two numbers, an optimizer must take some steps, stay finite and
lower the loss; be the same to the last bit after it was stored and taken up again, and after it was evaluated in
between; and take as many gradients as its needs say.

    python -m tests.natives.trial torch 60        # one JSON document: name -> what was found
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import kit
from kit import native
from kit.job import Job, build, initial_state
from kit.records import OptimizerSpec, resolve
from kit.registry import Registry
from kit.resolve import Resolver
from kit.task import StackTask, TrialTask

DIGITS = {"dataset": "digits", "model": kit.model("mlp", hidden=(32,)), "batch_size": 64}
PROBLEMS = {
    "digits": {**DIGITS, "optimizer": "minibatch"},
    "function": {"model": "quadratic", "batch_size": 1, "optimizer": "minibatch"},
    "whole": {**DIGITS, "optimizer": "gd"},  # the digits, all of them in every step
}
LOWERED = 0.999  # of the loss at the start
# What an optimizer is tried with until it does well: (share of its own learning rate, problem).
ATTEMPTS = ((1.0, "digits"), (0.1, "digits"), (0.01, "digits"), (10.0, "digits"), (1.0, "whole"), (0.1, "whole"))


@dataclass
class Found:
    """What came of a trial. `fault`: the first thing that is wrong, or nothing."""

    share: float = 1.0  # of its own learning rate
    whole: bool = False  # the digits all at once in every step
    before: dict[str, float] = field(default_factory=dict)  # problem -> loss at the start
    after: dict[str, float] = field(default_factory=dict)
    evaluations: float = 1.0  # gradients a step, on the digits
    seconds: float = 0.0
    fault: str = ""


class Trials:
    """Everything that the trials of one backend share: its engine, the problems with their data."""

    def __init__(self, backend: str, steps: int) -> None:
        self.registry, self.backend, self.steps = Registry.load(), backend, steps
        self.engine = resolve(self.registry.find("backend", backend).engine)(threads=1)
        self.jobs: dict[str, Job] = {}
        for name, fields in PROBLEMS.items():
            plain = kit.Experiment(backend=backend, budget=kit.Budget(steps=steps), **fields)  # type: ignore[arg-type]
            resolved = Resolver(self.registry).resolve(plain)
            trial = TrialTask(run_id=resolved.run_id, specification=resolved.specification, folder="")
            self.jobs[name] = build(StackTask(trials=(trial,), things=b""), self.registry)

    def records(self) -> list[OptimizerSpec]:
        """The native optimizers of the backend."""
        found = [offer.record for offer in self.registry.optimizers if offer.record.native]
        return [record for record in found if record.backend == self.backend]

    def of(self, record: OptimizerSpec) -> Found:
        """The first attempt without a fault, or the very first."""
        first = None
        for share, digits in ATTEMPTS:
            found = self._at(record, share, digits)
            if not found.fault or first is None:
                first = found
            if not found.fault or not found.after:  # another learning rate would not mend an error
                break
        assert first is not None
        return first

    def _at(self, record: OptimizerSpec, share: float, digits: str) -> Found:
        found, began = Found(share=share, whole=digits == "whole"), time.perf_counter()
        try:
            self._problem(record, "digits", self.jobs[digits], found)
            if not found.fault and record.needs.matrices != "only":  # the function has none
                self._problem(record, "function", self.jobs["function"], found)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            found.fault = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else place.name}"
        found.seconds = time.perf_counter() - began
        return found

    def _problem(self, record: OptimizerSpec, name: str, job: Job, found: Found) -> None:
        run = Run(self, record, job, found.share)
        found.before[name] = run.loss()
        half = self.steps // 2
        run.advance(half)
        state = run.program.state()
        run.advance(self.steps - half)
        found.after[name] = run.loss()
        if name == "digits":
            found.evaluations = run.gradients / self.steps
        found.fault = self._fault(record, name, found, run, state)
        if not found.fault:
            found.fault = self._resumed(record, job, run, state, half)

    def _fault(self, record: OptimizerSpec, name: str, found: Found, run: Run, state: Any) -> str:
        before, after, needs = found.before[name], found.after[name], record.needs
        if not math.isfinite(after):
            return f"the loss of '{name}' becomes {after}"
        if not after < LOWERED * before:
            return f"the loss of '{name}' goes from {before:.4g} to {after:.4g} in {self.steps} steps"
        if state.unsaved:
            return str(state.unsaved)
        if needs.evaluations is not None and run.gradients != needs.evaluations * self.steps:
            return f"{run.gradients} gradients in {self.steps} steps, where its needs say {needs.evaluations} each"
        return ""

    def _resumed(self, record: OptimizerSpec, job: Job, run: Run, state: Any, half: int) -> str:
        again = Run(self, record, job, run.share, state, half)
        again.loss()
        again.advance(1)
        again.loss()  # an evaluation changes nothing
        again.advance(self.steps - half - 1)
        one, other = run.program.evaluated_parameters(), again.program.evaluated_parameters()
        differs = [name for name in one if one[name].tobytes() != other[name].tobytes()]
        return f"taken up from its stored state, it ends elsewhere ({differs[0]})" if differs else ""


class Run:
    """One training of one optimizer, from the start or from a state."""

    def __init__(
        self,
        trials: Trials,
        record: OptimizerSpec,
        job: Job,
        share: float,
        state: Any = None,
        position: int = 0,
    ) -> None:
        first, self.share = job.first, share
        options = record.options({})
        options["learning_rate"] *= share
        document = {**first, "optimizer": {"name": record.name, "kind": "native", "options": options}}
        task = StackTask(trials=(replace(job.task.trials[0], specification=document),), things=b"")
        optimizer = native.made(resolve(str(record.native)), record.needs, task, job.data)
        self.program = trials.engine.compile(
            job.problem,
            optimizer,
            job.stack,
            device="cpu",
            dtype="float32",
            steps=trials.steps,
            strategy=trials.engine.strategies(job.problem, optimizer, job.stack)[0],
        )
        self.program.load(state or initial_state(job, trials.engine))
        self.order = job.order
        self.rate, self.position, self.gradients = float(options["learning_rate"]), position, 0

    def advance(self, steps: int) -> None:
        indices = None if self.order is None else self.order.indices(self.position, steps)
        self.program.advance(indices, np.full((steps, 1, 1), self.rate))
        self.position += steps
        taken = getattr(self.program, "evaluations", None)
        self.gradients += steps if taken is None else int(taken.sum())

    def loss(self) -> float:
        """Over the training data, at the parameters that are reported."""
        return float(self.program.evaluate("train")["loss"][0])


def main(backend: str, steps: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # some optimizers print
        trials = Trials(backend, int(steps))
        found = {record.name: vars(trials.of(record)) for record in trials.records()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
