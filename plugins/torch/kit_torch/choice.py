"""Choosing a loop by timing: a few steps of each candidate from the same state, on the first chunk of the real work.

What the candidates compute is thrown away and the state put back, so that the run's numbers are the winner's from
the first
step on, and a rerun that is given the winner's name makes the very same run. A candidate that fails, or does not agree
with the universal one, is left out.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kit.engine import State

if TYPE_CHECKING:
    from kit_torch.program import TorchProgram

TIMED_STEPS = 6  # of which the first, which allocates, is not counted
COMPILE_SECONDS = 15.0  # what compiling is taken to cost before it was tried
COMPILE_GAIN = 0.4  # share of the time that it is taken to save
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # largest relative difference of the losses of the timed steps


def fastest(
    program: TorchProgram, indices: Any, scalars: Any, samples: Any, noise: Any
) -> tuple[str, dict[str, float]]:
    """(the fastest strategy, µs per step of every candidate that worked)."""
    candidates = [name for name in program.strategies if name != "compiled"]
    timings: dict[str, float] = {}
    if len(candidates) == 1 and not _compiling_may_pay(program, float("inf")):
        return candidates[0], timings
    state = program.state()
    work = _repeated(indices, scalars, samples, noise)
    reference = None
    for name in candidates:
        reference = _try(program, name, state, work, timings, reference)
    if "compiled" in program.strategies and _compiling_may_pay(program, min(timings.values())):
        _try(program, "compiled", state, work, timings, reference)
    return min(timings, key=timings.__getitem__), timings


def _compiling_may_pay(program: TorchProgram, microseconds: float) -> bool:
    """Whether the steps to come are enough for compilation to earn what it costs. g++ is what inductor calls on a
    CPU."""
    if "compiled" not in program.strategies:
        return False
    if program.device.type == "cpu" and shutil.which("g++") is None and shutil.which("clang++") is None:
        return False
    return program.steps_left * microseconds * 1e-6 * COMPILE_GAIN > COMPILE_SECONDS


def _repeated(indices: Any, scalars: Any, samples: Any, noise: Any) -> tuple[Any, Any, Any, Any]:
    """The first steps of the chunk, over again where it has too few."""
    order = np.arange(TIMED_STEPS) % len(scalars)
    return (
        None if indices is None else indices[order],
        scalars[order],
        None if samples is None else (samples[0][order], samples[1][order]),
        None if noise is None else {name: values[order] for name, values in noise.items()},
    )


def _try(program: TorchProgram, name: str, state: State, work: Any, timings: dict[str, float], reference: Any) -> Any:
    """Time one candidate and put the state back. Returns the losses to compare the next ones with."""
    indices, scalars, samples, noise = work
    first = tuple(None if part is None else part[:1] for part in (indices, scalars))
    try:
        one = None if samples is None else (samples[0][:1], samples[1][:1])
        drawn = None if noise is None else {key: value[:1] for key, value in noise.items()}
        program.run(name, first[0], first[1], one, drawn)
        program.load(state)
        began = time.perf_counter()
        losses = program.run(name, indices, scalars, samples, noise)
        elapsed = time.perf_counter() - began
    except Exception as error:
        if reference is None:
            raise  # the universal loop: what it says is the user's to hear
        timings.pop(name, None)
        program.notes.append(f"strategy '{name}' was left out: {type(error).__name__}: {str(error).splitlines()[0]}")
        program.load(state)
        return reference
    program.load(state)
    finite = np.isfinite(losses) if reference is None else np.isfinite(losses) & np.isfinite(reference)
    if reference is not None:
        scale = np.maximum(np.abs(reference), 1e-8)
        difference = np.max(np.where(finite, np.abs(losses - reference) / scale, 0.0))
        if difference > (5e-2 if program.autocast else TOLERANCE[program.dtype]):
            program.notes.append(f"strategy '{name}' was left out: its losses differ by {difference:.1e}")
            return reference
    timings[name] = elapsed / len(scalars) * 1e6
    return losses if reference is None else reference
