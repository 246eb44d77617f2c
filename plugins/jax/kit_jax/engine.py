"""JAX as a backend of the kit. See `kit.engine.Engine`."""

from __future__ import annotations

import platform
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from kit.engine import DeviceReport, Dtype, Native, Problem, Stack
from kit.errors import InvalidValueError
from kit.rules.rule import Rule
from kit_jax import devices
from kit_jax.criterion import Criterion
from kit_jax.environment import jax, set_threads
from kit_jax.loop import Functions
from kit_jax.native_update import NativeUpdate
from kit_jax.program import JaxProgram
from kit_jax.rule_update import RuleUpdate

STRATEGIES = (JaxProgram.strategy,)
KEPT = 8  # kinds of stacks whose compiled functions are kept
SAMPLES = 2  # that a model is tried on


class JaxEngine:
    """Made once per worker process; keeps what it compiled.

    Deterministic: the same program on the same device gives the same bits. Products are computed in the full precision
    of their type (no TF32).
    """

    name = "jax"

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None:
            set_threads(threads)
        self._kept: OrderedDict[Hashable, Functions] = OrderedDict()

    def versions(self) -> dict[str, str]:
        import jaxlib
        import optax

        found = {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "optax": optax.__version__}
        return {**found, "numpy": np.__version__, "machine": platform.machine()}

    def devices(self) -> list[DeviceReport]:
        return devices.find()

    def strategies(self, problem: Problem, optimizer: Rule | Native, stack: Stack) -> tuple[str, ...]:
        return STRATEGIES

    def compile(
        self,
        problem: Problem,
        optimizer: Rule | Native,
        stack: Stack,
        *,
        device: str,
        dtype: Dtype,
        steps: int,
        strategy: str | None = None,
    ) -> JaxProgram:
        place = devices.device(device, dtype)
        if strategy is not None and strategy not in STRATEGIES:
            raise InvalidValueError(f"strategy='{strategy}' is not valid here; it must be {STRATEGIES[0]}.")
        functions = self._functions(problem, optimizer, stack, place, dtype)
        _check(functions, problem)
        return JaxProgram(problem, stack, functions, place)

    def initial_parameters(self, problem: Problem, seeds: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        criterion = Criterion(problem, "float64" if _sample(problem).dtype == np.float64 else "float32")
        x = _sample(problem)
        starts = [jax.jit(criterion.start, static_argnums=0)(int(seed), x) for seed in seeds]
        return {name: np.stack([np.asarray(start[name]) for start in starts]) for name in criterion.names}, {}

    def peak_memory_bytes(self, device: str) -> int | None:
        return devices.peak_memory_bytes(device)

    def _functions(
        self, problem: Problem, optimizer: Rule | Native, stack: Stack, device: Any, dtype: Dtype
    ) -> Functions:
        key = (_problem_key(problem), _optimizer_key(optimizer), stack.size, stack.decays, stack.clips, device, dtype)
        if key not in self._kept:
            criterion = Criterion(replace(problem, train=None, evaluation={}), dtype)
            update = NativeUpdate(optimizer) if isinstance(optimizer, Native) else RuleUpdate(optimizer, stack)
            self._kept[key] = Functions(criterion, update, stack.size)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


def _block(problem: Problem) -> Any:
    return problem.train or next(iter(problem.evaluation.values()), None)


def _sample(problem: Problem) -> Any:
    """Two samples, to make a user's own model with."""
    block = _block(problem)
    if block is None:
        raise InvalidValueError("A model of your own is made with two samples, but the problem has neither split.")
    return np.asarray(block.x[0, :SAMPLES])


def _check(functions: Functions, problem: Problem) -> None:
    """Raise `InvalidValueError` where model, data and loss do not fit; once for their shapes."""
    block, criterion = _block(problem), functions.criterion
    if block is None:
        return
    x, y = (
        jax.ShapeDtypeStruct((SAMPLES, *v.shape[2:]), criterion.precision if v.dtype.kind == "f" else np.int32)
        for v in (block.x, block.y)
    )
    key = (x.shape, x.dtype, y.shape, y.dtype)
    if key in functions.checked:
        return
    if criterion.own is not None:
        shapes = criterion.learn_structure(np.zeros(x.shape, x.dtype))
    else:
        shapes = {p.name: p.shape for p in problem.parameters or ()}
    if not shapes:
        raise InvalidValueError("The model has no parameters to train.")
    criterion.check({name: jax.ShapeDtypeStruct(shape, criterion.precision) for name, shape in shapes.items()}, x, y)
    functions.checked.add(key)


def _problem_key(problem: Problem) -> Hashable:
    """Everything of a problem but its data, whose shapes the compiled functions are kept by."""
    left_out = ("train", "evaluation")
    values = {each.name: getattr(problem, each.name) for each in fields(problem) if each.name not in left_out}
    # What is not hashable (a dictionary of options) is compared by what it says; functions and models by identity.
    return tuple((name, value if _hashable(value) else repr(value)) for name, value in values.items())


def _optimizer_key(optimizer: Rule | Native) -> Hashable:
    if isinstance(optimizer, Rule):
        return type(optimizer), repr(sorted(optimizer.structure.items()))
    rest = repr(
        [[sorted(each.items()) for each in optimizer.options], optimizer.needs, sorted(optimizer.facts.items())]
    )
    return (optimizer.build if _hashable(optimizer.build) else id(optimizer.build)), rest


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
