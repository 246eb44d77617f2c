"""The run loop: one loop trains everything. It knows no framework, no widget and no database.

A chunk of steps is advanced in one call of the program, cut at the steps where something is read; what a chunk gave is
written to each trial's log, and with the write it is acknowledged. How steps are cut into chunks changes no number.
"""

from __future__ import annotations

import math
import os
import platform
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.crew import Crew
from kit.engine import Native, State, TellsLoss
from kit.errors import DeviceLostError, KitError, MemberError, StoreError
from kit.job import Job, build, initial_state
from kit.memory import reset_peak
from kit.ranks import Conducted, Launch, engine_for
from kit.recorder import Recorder, Report, resumed
from kit.rules.scalars import schedule_scalars
from kit.store import AttemptLog
from kit.task import StackTask

if TYPE_CHECKING:
    from kit.engine import Engine, Program
    from kit.registry import Registry

CHUNK_SECONDS = 0.2  # a chunk is at most this long, so that stopping takes under a second
FIRST_STEPS = 16  # of the first chunk, before it is known how long a step takes
HANDED_BYTES = 2**26  # of samples and random draws, at most, that one chunk hands to the engine
REST_SECONDS = 0.05  # how often a paused run looks whether it may go on
DIVERGED_RATIO = 1e6  # a loss this many times above its start (plus one) has left for good, though still finite


Asked = Callable[[], bool]  # whether whoever watches wants it


class Loop:
    """Trains one stack. `train` runs it to its end; the attributes are the state that a checkpoint holds."""

    def __init__(self, job: Job, recorder: Recorder, stopping: Asked, pausing: Asked) -> None:
        self.job, self.recorder, self.stopping, self.pausing = job, recorder, stopping, pausing
        trials = job.stack.size
        self.step = job.task.trials[0].from_step
        self.seconds = 0.0  # of the whole stack's training
        self.carry: dict[str, Any] = {} if isinstance(job.optimizer, Native) else job.optimizer.carry(trials)
        self.alive = np.ones(trials, dtype=bool)
        self.first_loss: Any = None  # (N,)
        self.gradients: Any = np.zeros(trials, dtype=np.int64)  # of a batch, that each trial took
        self.previous: dict[str, Any] = {}  # parameters at the last reading, for probes
        self.per_step = 0.0  # seconds, measured
        self.fitting = max(1, HANDED_BYTES // max(1, job.handed_bytes))  # steps whose samples and draws fit
        self.planned = 0  # steps of the next chunk, where it had to be known beforehand

    def train(self, program: Program) -> None:
        """Train until the budget is spent, all have diverged, or someone asks to stop; every trial gets its ending."""
        if self.step == 0:
            self.evaluate(program)
        while self.alive.any() and not self.spent():
            if self.pausing():
                self.rest()
            if self.stopping():
                self.finish(program, "stopped", "Stopped on request; everything so far is kept.")
                return
            self.advance(program, self.planned or self.chunk(self.step))
            if self.due():
                self.evaluate(program)
            self.recorder.checkpoint_if_due(self.step, lambda: self.snapshot(program))
        self.finish(program, "done", "The budget was spent.")

    def rest(self) -> None:
        """Wait, holding no core, until the run may go on or shall end. What was trained is written before; the time is
        not training time, and no number depends on it."""
        self.recorder.flush()
        while self.pausing() and not self.stopping():
            time.sleep(REST_SECONDS)

    def spent(self) -> bool:
        budget = self.job.first["budget"]
        if "seconds" in budget:
            return bool(self.seconds >= budget["seconds"])
        return bool(self.step >= budget["steps"])

    def due(self) -> bool:
        """Whether this step is one where the curves are read: the interval, and the last."""
        return self.step % self.job.first["evaluate_every"] == 0 or self.spent()

    def chunk(self, step: int) -> int:
        """From a step to the next reading, or as many steps as fit into the time in which a stop must be answered."""
        every = self.job.first["evaluate_every"]
        steps = every - step % every
        if self.job.task.steps is not None:
            steps = min(steps, self.job.task.steps - step)
        steps = min(steps, self.fitting)
        if not self.per_step:
            steps = min(steps, FIRST_STEPS)
        else:
            # A power of two, so that a backend that compiles for each length meets few of them.
            fitting = max(1, int(CHUNK_SECONDS / self.per_step))
            steps = min(steps, 2 ** int(math.log2(fitting)))
        return int(max(1, steps)) if self.job.task.steps is None or step < self.job.task.steps else 0

    def advance(self, program: Program, steps: int) -> None:
        scalars = self.scalars(steps)
        indices, samples = self.batches(steps)
        before, began = program.compile_seconds, time.perf_counter()
        losses = program.advance(indices, scalars, samples=samples, noise=self.noise(steps))
        elapsed = time.perf_counter() - began - (program.compile_seconds - before)
        self.per_step = elapsed / steps
        self.recorder.note_strategy(program)
        after = self.seconds + max(elapsed, 0.0)
        evaluations = getattr(program, "evaluations", None)
        taken = np.ones(losses.shape, dtype=np.int64) if evaluations is None else evaluations
        gradients = self.gradients + np.cumsum(taken, axis=0)  # (K, N)
        self.judge(losses, "batch loss", self.step, gradients, (self.seconds, after))
        self.recorder.points(self.step, losses, gradients, self.seconds, after)
        self.seconds, self.step, self.gradients = after, self.step + steps, gradients[-1]

    def batches(self, steps: int) -> tuple[Any, Any]:
        """(indices, samples) of the next steps: rows of data that are resident, or samples read from where they are."""
        if self.job.order is None:
            return None, None
        indices = self.job.order.indices(self.step, steps)
        if not self.job.data.streamed:
            return indices, None
        samples = self.job.data.gather(indices)
        # While these train, the next are read: so how many they are is decided now.
        self.planned = self.chunk(self.step + steps)
        if self.planned > 0:
            self.job.data.prefetch(self.job.order.indices(self.step + steps, self.planned))
        return None, samples

    def scalars(self, steps: int) -> Any:
        """(K, N, S): the hyperparameters and coefficients of the next steps."""
        factors = self.job.factors(self.step, steps)
        if isinstance(self.job.optimizer, Native):
            return (factors * self.job.hyperparameters["learning_rate"])[..., None]
        scalars, self.carry = schedule_scalars(
            self.job.optimizer, self.job.hyperparameters, factors, self.step, self.carry
        )
        return scalars

    def noise(self, steps: int) -> Mapping[str, Any] | None:
        """Uniform draws for the model, a pure function of seed, replicate and step: name -> (K, R, B, *shape)."""
        if not self.job.problem.noise:
            return None
        from kit.seeds import generator

        first, batch = self.job.first, self.job.first["batch_size"]
        drawn: dict[str, list[list[Any]]] = {name: [] for name, _ in self.job.problem.noise}
        for step in range(self.step, self.step + steps):
            for name in drawn:
                drawn[name].append([])
            for replicate in self.job.replicates:
                source = generator(first["seed"], "noise", replicate, step)
                for name, shape in self.job.problem.noise:
                    drawn[name][-1].append(source.random((batch, *shape)))
        return {name: np.array(values) for name, values in drawn.items()}

    def judge(self, losses: Any, what: str, first: int, gradients: Any, seconds: tuple[float, float]) -> None:
        """End the trials that diverged, at the step where they did, so that no number depends on how steps are cut.

        losses: (K, N), of the steps after `first`; gradients: (K, N), taken by then; seconds: the stack's training time
        at both ends of them.
        """
        if self.first_loss is None:
            self.first_loss = np.abs(losses[0])
        limit = DIVERGED_RATIO * (self.first_loss + 1)
        beyond = ~np.isfinite(losses) | (losses > limit)
        for n in np.flatnonzero(beyond.any(axis=0) & self.alive).tolist():
            taken = int(np.argmax(beyond[:, n])) + 1
            value = float(losses[taken - 1, n])
            rate = float(self.job.hyperparameters["learning_rate"][n])
            said = f"became {value}" if not math.isfinite(value) else f"rose to {value:.3g}"
            step = first + taken
            reason = f"The {what} {said} at step {step} (learning rate {rate:g}); try a smaller one."
            at = seconds[0] + (seconds[1] - seconds[0]) * taken / len(losses)
            self.alive[n] = False
            self.recorder.flush()
            if seconds[1] > seconds[0]:
                self.recorder.points_of(n, first, losses[:taken, n], gradients[:taken, n], seconds[0], at)
            self.recorder.end(n, "diverged", reason, step, int(gradients[taken - 1, n]), at, None)

    def evaluate(self, program: Program) -> None:
        """Read losses, accuracies and probes of every trial that is alive."""
        metrics: dict[str, Any] = {}
        for split in self.job.problem.evaluation:
            for name, values in program.evaluate(split).items():
                metrics[f"{split}_{name}"] = values
        metrics |= self.probe(program)
        if self.first_loss is None and "train_loss" in metrics:
            self.first_loss = np.abs(metrics["train_loss"])
        self.recorder.evaluation(self.step, self.gradients, self.seconds, metrics, self.alive)
        if "train_loss" in metrics:
            now = (self.seconds, self.seconds)
            self.judge(metrics["train_loss"][None], "training loss", self.step - 1, self.gradients[None], now)

    def probe(self, program: Program) -> dict[str, Any]:
        if not self.job.probes:
            return {}
        from kit.asking import read_probes

        values, self.previous = read_probes(self.job, program, self.step, self.previous or None)
        return values

    def snapshot(self, program: Program) -> tuple[State, dict[str, Any], dict[str, Any]]:
        """(state, parameters to report, what else a resumed run needs per trial: name -> (N,) or scalar)."""
        extra = {
            "seconds": self.seconds,
            "carry": self.carry,
            "first_loss": self.first_loss,
            "gradients": self.gradients,
        }
        return program.state(), program.evaluated_parameters(), extra

    def finish(self, program: Program, status: str, reason: str) -> None:
        # Killed between its last checkpoint and its ending, or stopped at once: there is nothing new to keep, and a
        # program that has not made a step may not know yet what a rule's averages depend on.
        idle = self.step == self.job.task.trials[0].from_step > 0
        snapshot = None if idle else self.snapshot(program)
        for n in np.flatnonzero(self.alive).tolist():
            self.recorder.end(n, status, reason, self.step, int(self.gradients[n]), self.seconds, snapshot)


UNPLANNED_STEPS = 10_000  # what a program is told to expect when the budget is in seconds


def carry_out(
    task: StackTask,
    engine: Engine,
    registry: Registry,
    report: Report,
    stopping: Asked,
    pausing: Asked = lambda: False,
    launch: Launch = Crew,
) -> None:
    """Train a stack in this process, from the start or from its checkpoints, and leave every trial with an ending.

    stopping, pausing: asked between chunks, hence several times a second. launch: starts the ranks of a run that is
    divided among devices.

    What goes wrong becomes the status `failed` with a sentence, or `lost` where it is the store that cannot be written;
    only the process's own death leaves a trial without one. Raises `DeviceLostError` where that is what it should do.
    """
    reset_peak()
    recorder: Recorder | None = None
    try:
        engine = engine_for(task, engine, registry, launch)
        job = build(task, registry)
        recorder = Recorder(job, engine, report)
        recorder.start(
            {
                "threads": task.threads,
                "device": job.device,
                "host": platform.node(),
                "pid": os.getpid(),
                "versions": versions(engine),
            }
        )
        continued = resumed(job)
        asked = job.first["strategy"]
        strategy = continued[2] if continued else ""  # none, where the attempt before ended while compiling
        program = engine.compile(
            job.problem,
            job.optimizer,
            job.stack,
            device=job.device,
            dtype=job.dtype,
            steps=task.steps or UNPLANNED_STEPS,
            strategy=strategy or (task.strategy if asked == "auto" else asked),
        )
        loop = Loop(job, recorder, stopping, pausing)
        if continued:
            state, extra, _ = continued
            recorder.strategy = strategy
            loop.seconds, loop.carry, loop.first_loss = extra["seconds"], extra["carry"], extra["first_loss"]
            loop.gradients = extra["gradients"]
            program.load(state)
        else:
            state = initial_state(job, engine)
            program.load(state)
        recorder.expect(state)
        loop.train(program)
        program.close()
    except (Exception, SystemExit) as error:  # a plugin that calls sys.exit fails its run, not its process
        if isinstance(engine, TellsLoss) and engine.lost_device(error):
            device = task.trials[0].specification["device"]
            raise DeviceLostError(f"Device '{device}' was lost: {str(error).partition(chr(10))[0]}") from error
        fail(task, recorder, report, error)
    finally:
        if recorder is not None:
            recorder.close()
        if isinstance(engine, Conducted):
            engine.close()


def versions(engine: Engine) -> dict[str, str]:
    """The engine's versions as plain text. A framework's own type of string (PyTorch has one) would make whoever
    receives it import the framework."""
    return {str(name): str(version) for name, version in engine.versions().items()}


def fail(task: StackTask, recorder: Recorder | None, report: Report, error: BaseException) -> None:
    """An ending for every trial that has none. A user's mistake is said as it is; anything else with its place.

    A store that cannot be written is no fault of the run: it is `lost`, and continues once there is space again. Nor is
    what one of its company may have raised: a stack's trials are `lost` and marked to be tried `apart`. A user's
    mistake that is everybody's in the stack is not tried again.
    """
    everybody_s = isinstance(error, KitError) and not isinstance(error, MemberError)
    apart = len(task.trials) > 1 and not everybody_s
    status = "lost" if apart or isinstance(error, StoreError) else "failed"
    record: dict[str, Any] = {"kind": "end", "status": status, "reason": sentence_of(error), "cost": {}}
    if apart:
        said = str(record["reason"]).rstrip(".")  # an exception's own words end as they like
        record |= {"reason": f"{said}. It trained in a stack of {len(task.trials)}.", "apart": True}
    if not isinstance(error, KitError):
        record["traceback"] = "".join(traceback.format_exception(error))
    for n, trial in enumerate(task.trials):
        if recorder is not None and recorder.ended[n]:
            continue
        try:
            if recorder is None:
                log = AttemptLog(Path(trial.folder))
                log.append(record)
                log.close()
            else:
                recorder.ended[n] = True
                recorder.logs[n].append(record)
        except StoreError:
            pass  # a full disk: the run will count as lost, and whoever watches still hears why
        report(trial.run_id, record)


def sentence_of(error: BaseException) -> str:
    """What went wrong, for the run's reason."""
    if isinstance(error, KitError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"Memory ran out ({error or 'MemoryError'}): try a smaller batch or model, or fewer trials at once."
    return f"{type(error).__name__}: {error}"
