"""Choosing a loop by timing: a few steps of each candidate from the same state, on the first chunk of the real work.

What the candidates compute is thrown away and the state put back, so that the run's numbers are the winner's from the
first step on, and a rerun that is given the winner's name makes the very same run. A candidate that fails, or does not
agree with the universal one, is left out, and `program.notes` says why.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from kit.engine import State
from kit_torch.network import Traits

if TYPE_CHECKING:
    from kit_torch.program import TorchProgram

TIMED_STEPS = 6  # at once; of the slow, as many as fit into …
TIMED_SECONDS = 0.5
ENOUGH_SECONDS = 0.03  # timing is repeated until it took so long, and the quickest counts: others use the machine too
REPETITIONS = 5
COMPILE_SECONDS = 15.0  # what compiling is taken to cost before it was tried
COMPILE_GAIN = 0.4  # share of the time that it is taken to save
# Largest difference of the losses of the timed steps, relative.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
TOLERANCE_BFLOAT16 = 5e-2


def strategies(traits: Traits, trials: int, *, native: bool, again: bool = False) -> tuple[str, ...]:
    """The loops that can train such a stack, the universal one first. again: activations are to be computed again:
    `torch.utils.checkpoint` hooks into autograd's own passes, which only the universal loop leaves as they are."""
    if native or traits.draws or again:
        return ("views",)
    if not traits.vectorises:
        return ("views", "compiled") if trials == 1 else ("views",)
    graphed = ("graphed",) if traits.pure and torch.cuda.is_available() else ()
    return ("views", "vmap", *(("recorded",) if traits.pure else ()), "compiled", *graphed)


class Work(NamedTuple):
    """The arguments of some steps."""

    indices: Any
    scalars: Any
    samples: Any
    noise: Any

    def steps(self, order: Any) -> Work:
        """Some of the steps, by number, repeats allowed."""
        return Work(
            None if self.indices is None else self.indices[order],
            self.scalars[order],
            None if self.samples is None else (self.samples[0][order], self.samples[1][order]),
            None if self.noise is None else {name: values[order] for name, values in self.noise.items()},
        )


def fastest(program: TorchProgram, work: Work) -> tuple[str, dict[str, float]]:
    """(the fastest strategy, µs per step of every candidate that worked). Leaves the state as it was."""
    candidates = _candidates(program)
    if len(candidates) == 1 and not _compiling_may_pay(program, float("inf")):
        return candidates[0], {}
    trial = Trial(program, work)
    for name in candidates:
        trial.candidate(name)
    if _compiling_may_pay(program, min(trial.timings.values())):
        trial.candidate("compiled")
    return min(trial.timings, key=trial.timings.__getitem__), trial.timings


def _candidates(program: TorchProgram) -> list[str]:
    if program.setting.stacked.apart and program.setting.device.type == "cpu":
        # A large model spends its time in its matrix products, whatever the loop, and a second copy of its state would
        # be a good part of the memory that the run needs.
        return ["views"]
    left_out = {"compiled", "vmap"} if program.setting.stack.size == 1 else {"compiled"}
    if program.setting.device.type != "cuda":
        left_out.add("graphed")
    return [name for name in program.strategies if name not in left_out]


def _compiling_may_pay(program: TorchProgram, microseconds: float) -> bool:
    """Whether the steps to come are enough for compilation to earn what it costs. g++ is what inductor calls on a
    CPU."""
    if "compiled" not in program.strategies:
        return False
    on_cpu = program.setting.device.type == "cpu"
    if on_cpu and (program.setting.stacked.apart or not (shutil.which("g++") or shutil.which("clang++"))):
        return False
    return program.steps_left * microseconds * 1e-6 * COMPILE_GAIN > COMPILE_SECONDS


class Trial:
    """The candidates' timings, each from the state that the program is in."""

    def __init__(self, program: TorchProgram, work: Work) -> None:
        self.program, self.work = program, work
        self.state: State = program.state()
        self.timings: dict[str, float] = {}
        self.steps = 0  # of a timing; known when the first candidate took its first
        self.expected: Any = None  # the universal loop's losses

    def candidate(self, name: str) -> None:
        try:
            losses, seconds = self._time(name)
        except Exception as error:
            if self.expected is None:
                raise  # the universal loop: what it says is the user's to hear
            self._leave_out(name, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            return
        finally:
            self.program.load(self.state)
        if self.expected is None:
            self.expected = losses
        difference = self._difference(losses)
        bound = TOLERANCE_BFLOAT16 if self.program.setting.autocast else TOLERANCE[self.program.setting.dtype]
        if difference > bound:
            self._leave_out(name, f"its losses differ from those of '{self.program.strategies[0]}' by {difference:.1e}")
            return
        self.timings[name] = seconds / self.steps * 1e6

    def _leave_out(self, name: str, why: str) -> None:
        self.program.forget(name)
        self.program.notes.append(f"strategy '{name}' was left out: {why}")

    def _time(self, name: str) -> tuple[Any, float]:
        """(losses of the first steps, the quickest time of so many)."""
        if not self.steps:
            began = time.perf_counter()
            self._run(name, 1)
            once = time.perf_counter() - began
            self.steps = max(1, min(TIMED_STEPS, int(TIMED_SECONDS / once)))
            self.program.load(self.state)
        losses = self._run(name, self.steps)
        times: list[float] = []
        while not times or (len(times) < REPETITIONS and sum(times) < ENOUGH_SECONDS):
            began = time.perf_counter()
            self._run(name, self.steps)
            times.append(time.perf_counter() - began)
        return losses, min(times)

    def _run(self, name: str, steps: int) -> Any:
        return self.program.run(name, self.work.steps(np.arange(steps) % len(self.work.scalars)))

    def _difference(self, losses: Any) -> float:
        """Largest, relative, over the members that both have finite."""
        both = np.isfinite(losses) & np.isfinite(self.expected)
        scale = np.maximum(np.abs(self.expected), 1e-8)
        with np.errstate(invalid="ignore"):
            return float(np.max(np.where(both, np.abs(losses - self.expected) / scale, 0.0), initial=0.0))
