"""A stack that trains in a backend's worker, as the run loop trains it, but step by step in the hands of a check."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.choice import Choice
from kit.testing.checks import NotApplicable
from kit.testing.problems import smallest

if TYPE_CHECKING:
    from kit.data import Data
    from kit.engine import Engine, State
    from kit.job import Job
    from kit.registry import Registry

BUDGET = 1000  # steps that the experiments say they have; the checks take a few of them


def job_of(
    registry: Registry,
    backend: str,
    data: Data,
    *,
    model: str,
    loss: str,
    optimizer: str,
    members: Sequence[Mapping[str, Any]] = ({},),
    dtype: str = "float64",
    batch_size: int = 8,
    probes: Sequence[str] = (),
) -> Job:
    """A stack ready to train, as a worker builds it. members: the optimizer's options of each trial.

    model, loss, optimizer, probes: names, qualified ones for what might be ambiguous.
    """
    import cloudpickle

    from kit.experiment import Experiment
    from kit.job import build
    from kit.resolve import Resolver
    from kit.task import StackTask, TrialTask

    resolver = Resolver(registry)
    resolved = [
        resolver.resolve(
            Experiment(
                dataset=Choice(name="none") if data.task == "objective" else data,
                model=Choice(name=model),
                loss=Choice(name=loss),
                optimizer=Choice(name=optimizer, options=dict(options)),
                backend=backend,
                dtype=dtype,
                batch_size=batch_size,
                budget={"steps": BUDGET},
                validation_fraction=0.25,
                standardise=False,
                probes=tuple(probes),
            )
        )
        for options in members
    ]
    trials = tuple(TrialTask(run_id=str(n), specification=r.specification, folder="") for n, r in enumerate(resolved))
    return build(StackTask(trials=trials, things=cloudpickle.dumps(resolved[0].things)), registry)


def small_job(registry: Registry, backend: str, *, dtype: str = "float64", probes: Sequence[str] = ()) -> Job:
    """A stack of two on the smallest regression of a backend, under the simplest rule that is installed."""
    setting = smallest(registry, (backend,), rank=2)
    return job_of(
        registry,
        backend,
        setting.data(),
        model=setting.models[backend].qualified,
        loss=setting.losses[backend].qualified,
        optimizer=simplest_rule(registry),
        members=({}, {}),
        dtype=dtype,
        probes=probes,
    )


def simplest_rule(registry: Registry) -> str:
    """The qualified name of the rule with the fewest hyperparameters. Raises `NotApplicable` where there is none."""
    rules = [offer for offer in registry.optimizers if offer.record.rule and offer.record.batch == "any"]
    if not rules:
        raise NotApplicable("no rule is installed to train with")
    return min(rules, key=lambda offer: len(offer.record.hyperparameters)).qualified


class Training:
    """A program of a job, with what the host keeps beside it. It trains by the engine's universal strategy."""

    def __init__(self, job: Job, engine: Engine) -> None:
        strategy = engine.strategies(job.problem, job.optimizer, job.stack)[0]
        self.job, self.engine, self.size = job, engine, job.stack.size
        self.program = engine.compile(
            job.problem, job.optimizer, job.stack, device=job.device, dtype=job.dtype, steps=BUDGET, strategy=strategy
        )
        self.restart()

    def restart(self) -> None:
        """Back to the start, by loading it."""
        from kit.job import initial_state
        from kit.run import Loop

        recorder: Any = None  # nothing is written
        self.loop = Loop(self.job, recorder, stopping=lambda: False, pausing=lambda: False)
        self.program.load(initial_state(self.job, self.engine))

    def advance(self, steps: int) -> Any:
        """Train; the losses of each step's batch before its update: (steps, N)."""
        scalars = self.loop.scalars(steps)
        indices, samples = self.loop.batches(steps)
        losses = self.program.advance(indices, scalars, samples=samples, noise=self.loop.noise(steps))
        self.loop.step += steps
        return losses

    def evaluations(self) -> Any:
        """Gradients of a batch that each step of the last call took: (steps, N); None where each took one."""
        return getattr(self.program, "evaluations", None)

    def reported(self) -> dict[str, Any]:
        """The parameters to report, name -> (N, *shape)."""
        return self.program.evaluated_parameters()

    def loss(self) -> Any:
        """The mean loss over the training split, at the reported parameters: (N,)."""
        return self.program.evaluate("train")["loss"]

    def gradients(self) -> dict[str, Any]:
        """The gradient over the coming batch, name -> (N, *shape)."""
        return self.program.gradients(*self.job.probe_batch(self.loop.step))

    def state(self) -> State:
        return self.program.state()

    def snapshot(self) -> Any:
        """Everything that a resumed run gets."""
        return copy.deepcopy((self.program.state(), self.loop.step, self.loop.carry))

    def resume(self, snapshot: Any) -> None:
        state, step, carry = copy.deepcopy(snapshot)
        self.program.load(state)
        self.loop.step, self.loop.carry = step, carry

    def read(self) -> None:
        """Read all that a run's curves and probes read."""
        for split in self.job.problem.evaluation:
            self.program.evaluate(split)
        self.program.evaluated_parameters()
        self.gradients()

    def spoil(self) -> bool:
        """Leave garbage where old gradients would lie; False where the backend keeps none."""
        spoil = getattr(self.program, "spoil", None)
        if spoil is None:
            return False
        spoil()
        return True
