"""Reading probes, and what some of them ask for: gradients at other parameters and over other rows than a step's own.

The program is put at the parameters asked about and put back, bit for bit, when the probes have read, so that training
never notices.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.engine import State
from kit.errors import InvalidValueError
from kit.probes import Snapshot

if TYPE_CHECKING:
    from kit.engine import Program
    from kit.job import Job


class Asking:
    """Asks one program, between two chunks of its training. Used as a context: leaving it puts everything back.

    rows: of each replicate's training split. replicates: R, whose rows a batch names.
    """

    def __init__(self, job: Job, program: Program) -> None:
        if job.data.streamed:
            raise InvalidValueError(
                "Probes that ask for gradients over the training data need it in memory, and this dataset is streamed; "
                "leave out 'curvature' and 'gradient_noise', or train on a part of the data."
            )
        self.job, self.program = job, program
        self.rows, self.replicates = job.data.rows, len(job.replicates)
        self.kept: State | None = None
        self.moved = False

    def __enter__(self) -> Asking:
        self.kept = self.program.state()
        return self

    def __exit__(self, *error: Any) -> None:
        assert self.kept is not None
        if self.moved:
            self.program.load(self.kept)

    def gradient(self, rows: Any = None, at: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The gradient of the mean loss: name -> (N, *shape), in the program's precision.

        rows: (R, B), of each replicate's training split; None: all. at: name -> (N, *shape); None: where the run is.
        """
        assert self.kept is not None
        if at is not None or self.moved:
            parameters = dict(self.kept.parameters if at is None else at)
            self.program.load(State(parameters=parameters, slots=self.kept.slots, buffers=self.kept.buffers))
            self.moved = at is not None
        if rows is None and not self.job.problem.full_batch:
            rows = np.tile(np.arange(self.rows), (self.replicates, 1))
        return dict(self.program.gradients(rows))


def read_probes(
    job: Job, program: Program, step: int, previous: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run's probes read after `step` updates: (curve name -> (N,), the parameters now).

    previous: the parameters at the last reading.
    """
    needs = frozenset().union(*(probe.needs for probe in job.probes))
    parameters = dict(program.evaluated_parameters())
    gradients = program.gradients(*job.probe_batch(step)) if "gradients" in needs else None
    with Asking(job, program) if "asking" in needs else nullcontext() as asking:
        snapshot = Snapshot(step=step, parameters=parameters, gradients=gradients, previous=previous, asking=asking)
        return {name: value for probe in job.probes for name, value in probe.read(snapshot).items()}, parameters
