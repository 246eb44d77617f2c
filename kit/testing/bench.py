"""Where an optimizer is tried: a stack that trains on a small problem, in NumPy or in a backend, behind one interface.

    session = bench.session(({}, {"learning_rate": 0.1}))     # two members, at its defaults and at a rate of one's own
    losses = session.advance(20)                              # (20, 2)

In NumPy the problem is ½ Σ a (p − c)² over a scalar, a vector, two matrices and a kernel, and the rule may run with any
of its structural choices. In a backend it is the smallest regression that is installed, which is as convex.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kit.errors import InvalidValueError
from kit.records import resolve
from kit.testing.problems import smallest
from kit.testing.training import Training, job_of

if TYPE_CHECKING:
    from kit.records import Hyperparameter, OptimizerSpec
    from kit.testing.subject import Subject

ALL_ROWS = 18  # of the training split: a batch without noise, so that a step is judged by what it does
Members = Sequence[Mapping[str, Any]]


class Session(Protocol):
    """A stack that trains. `Training` is one in a backend."""

    size: int

    def advance(self, steps: int) -> Any: ...
    def reported(self) -> dict[str, Any]: ...
    def loss(self) -> Any: ...
    def gradients(self) -> dict[str, Any]: ...
    def restart(self) -> None: ...
    def snapshot(self) -> Any: ...
    def resume(self, snapshot: Any) -> None: ...
    def read(self) -> None: ...
    def spoil(self) -> bool: ...


class Bench(Protocol):
    """Makes sessions of one optimizer. `dtype` is the precision of a session where none is asked for."""

    record: OptimizerSpec
    dtype: str
    variants: tuple[dict[str, Any], ...]  # structural choices to try, the defaults first

    def session(
        self,
        members: Members = ({},),
        *,
        dtype: str | None = None,
        still: bool = False,
        fresh: bool = False,
        structure: Mapping[str, Any] | None = None,
    ) -> Session:
        """A stack at its start. still: on data that leave a parameter without a gradient. fresh: not one that trained
        before. structure: structural hyperparameters, of all members."""


def bench_for(subject: Subject) -> Bench:
    from kit.testing.numpy_bench import NumpyBench

    return NumpyBench(subject.record) if subject.backend is None else BackendBench(subject)


def spread(record: OptimizerSpec, size: int) -> Members:
    """Options that differ in every float hyperparameter from member to member, within their ranges.

    A native class has arguments of its own, of which the record need not know more than the learning rate.
    """
    if record.rule is None:
        rate = float(record.defaults()["learning_rate"])
        return [{"learning_rate": rate * 0.5**n} for n in range(size)]
    given: dict[str, list[float]] = {
        "weight_decay": [0.0, 0.1, 0.02, 0.3][:size],
        "clip_norm": [float("inf"), 3.0, 100.0, 0.5][:size],
    }
    for h in record.hyperparameters:
        if not h.structural and h.name not in given:
            given[h.name] = [_shrunk(h, share) for share in (1.0, 0.9, 0.7, 0.5)[:size]]
    return [{name: values[n] for name, values in given.items()} for n in range(size)]


def _shrunk(h: Hyperparameter, share: float) -> float:
    low = float("-inf") if h.low is None else h.low
    value = max(low, share * (h.default or 0.1))
    try:
        return float(h.check(value, h.name))
    except InvalidValueError:
        return float(h.default)


def no_decay(record: OptimizerSpec, still: bool) -> dict[str, Any]:
    """The option that turns weight decay off, where there is one: a hyperparameter, or a native class's argument."""
    if not still:
        return {}
    known = {h.name for h in record.hyperparameters}
    if record.native:
        known |= inspect.signature(resolve(record.native)).parameters.keys()
    return {"weight_decay": 0.0} if "weight_decay" in known else {}


class BackendBench:
    """An optimizer in a backend, on the smallest regression there. Programs are kept, and loaded anew."""

    variants: tuple[dict[str, Any], ...] = ({},)

    def __init__(self, subject: Subject) -> None:
        assert subject.engine is not None
        self.subject, self.record, self.engine = subject, subject.record, subject.engine
        self.backend = str(subject.backend)
        self.dtype = "float64" if self.record.rule else "float32"  # what a class that is not ours must compute in
        self._jobs: dict[Any, Any] = {}
        self._kept: dict[Any, Training] = {}

    def session(
        self,
        members: Members = ({},),
        *,
        dtype: str | None = None,
        still: bool = False,
        fresh: bool = False,
        structure: Mapping[str, Any] | None = None,
        rank: int = 2,
    ) -> Training:
        """rank: the model is the smallest that has a parameter with so many axes."""
        dtype = dtype or self.dtype
        given = [{**no_decay(self.record, still), **(structure or {}), **member} for member in members]
        key = (repr(given), dtype, still, rank)
        if key not in self._jobs:
            setting = smallest(self.subject.registry, self.subject.partners or (self.backend,), rank=rank)
            self._jobs[key] = job_of(
                self.subject.registry,
                self.backend,
                setting.data(still=still),
                model=setting.models[self.backend].qualified,
                loss=setting.losses[self.backend].qualified,
                optimizer=self.subject.offer.qualified,
                members=given,
                dtype=dtype,
                batch_size=ALL_ROWS,
            )
        if fresh:
            return Training(self._jobs[key], self.engine)
        if key in self._kept:
            self._kept[key].restart()
        else:
            self._kept[key] = Training(self._jobs[key], self.engine)
        return self._kept[key]
