"""Carrying out the checks of a distribution: one worker per backend for all of them, each check with a time limit.

A check that crashes its process, hangs or raises is a failed check of that component; the others go on in a new worker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.errors import KitError, WorkError
from kit.machine import cores
from kit.pool import Pool, Worker
from kit.registry import Registry
from kit.testing.cases import Case, cases_of, plugins_of
from kit.testing.compare import difference
from kit.testing.every import CHECKS
from kit.testing.report import Report, Result

if TYPE_CHECKING:
    from kit.records import Component

CHECK_SECONDS = 180.0  # for one check: the first may compile for the first time
THREADS = 1  # of each worker: the same numbers on every machine
AGREEMENT = {"optimizer": 1e-10, "model": 1e-9, "loss": 1e-9}  # relative, across backends
Progress = Callable[[int, int, Case], None]  # (how many are done, of how many, the one that was done last)


def check(
    distribution: str,
    *,
    check: str | None = None,
    component: str | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run the conformance checks of an installed distribution. In a notebook the report shows itself as a table.

    check, component, backend: only these. Raises `UnknownNameError` for a name that there is not.
    """
    registry, began = Registry.load(), time.monotonic()
    points = plugins_of(distribution)
    cases = cases_of(registry, points, check=check, component=component, backend=backend)
    pool = Pool()
    try:
        results = results_of(cases, registry, progress, pool=pool)
    finally:
        pool.close()
    return Report(
        distribution=points[0].distribution,
        version=points[0].version,
        results=tuple(results),
        seconds=time.monotonic() - began,
    )


def results_of(
    cases: Sequence[Case], registry: Registry, progress: Progress | None = None, *, pool: Pool
) -> list[Result]:
    """The results of some cases, in their order. Every backend has a worker of its own, for all of them.

    pool: where workers are kept for the next call. They know the plugins that were installed when they started.
    """
    work = Work(total=len(cases), progress=progress, pool=pool)
    lanes: dict[str | None, list[tuple[int, Case]]] = {}
    for n, case in enumerate(cases):
        if case.skip:
            work.note(n, case, {"status": "not applicable", "reason": case.skip})
        for place in dict.fromkeys(place for place, _ in case.traces) if case.traces else (case.backend,):
            if not case.skip:
                lanes.setdefault(place, []).append((n, case))
    starters = ThreadPoolExecutor(max_workers=max(1, cores()))
    try:
        # The longest lane first, so that two cores end together.
        ordered = sorted(lanes, key=lambda place: -len(lanes[place]))
        for future in [starters.submit(work.lane, place, lanes[place]) for place in ordered]:
            future.result()
    finally:
        work.stopped.set()
        for worker in list(work.busy):  # only after an interrupt or an error
            worker.kill()
        starters.shutdown(wait=True, cancel_futures=True)
    return [_judged(case, work.outcomes[n], work.seconds[n], registry) for n, case in enumerate(cases)]


@dataclass(eq=False)
class Work:
    """What the lanes share. outcomes[n]: what came of case n, as `kit.testing.inside.carry_out` gives it."""

    total: int
    progress: Progress | None
    pool: Pool
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)
    traces: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    busy: set[Worker] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lane(self, place: str | None, cases: Sequence[tuple[int, Case]]) -> None:
        """All cases of one place, one after the other, in one worker for as long as it lives."""
        worker: Worker | None = None
        for n, case in cases:
            if self.stopped.is_set():
                return
            try:
                if worker is None or worker.process.poll() is not None:
                    worker = self.pool.take(place, THREADS)
                    self.busy.add(worker)
            except (KitError, OSError) as error:
                outcome = {"status": "failed", "expected": f"a worker for {place or 'the host'}", "got": str(error)}
                self.note(n, case, outcome, place)
                continue
            self._one(worker, place, n, case)
        if worker is not None:
            self.busy.discard(worker)
            self.pool.give(worker)

    def _one(self, worker: Worker, place: str | None, n: int, case: Case) -> None:
        mine = [target for backend, target in case.traces if backend == place] or [case.target]
        partners = tuple(sorted({backend for backend, _ in case.traces}))
        for target in mine:
            began = time.monotonic()
            arguments = (case.check, case.kind, case.distribution, target, place, partners)
            try:
                outcome = worker.call("kit.testing.inside:carry_out", *arguments, seconds=CHECK_SECONDS)
            except WorkError as error:
                outcome = {"status": "failed", "expected": "an answer", "got": str(error)}
            with self.lock:
                self.seconds[n] = self.seconds.get(n, 0.0) + time.monotonic() - began
            self.note(n, case, outcome, place if len(mine) == 1 else f"{place} ({target})")
            if worker.process.poll() is not None:
                self.busy.discard(worker)
                return

    def note(self, n: int, case: Case, outcome: dict[str, Any], place: str | None = None) -> None:
        """An outcome; of a comparison, one side of it: it is judged when all sides are there."""
        with self.lock:
            self.seconds.setdefault(n, 0.0)
            if case.traces:
                sides = self.traces.setdefault(n, {})
                sides[str(place)] = outcome
                if len(sides) < len(case.traces) and outcome["status"] == "passed":
                    return
                outcome = _compared(case, sides)
            if n in self.outcomes:
                return
            self.outcomes[n] = outcome
            if self.progress is not None:
                self.progress(len(self.outcomes), self.total, case)


def _compared(case: Case, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The outcome of a comparison: the first side that did not pass, or the first difference."""
    for place, outcome in sides.items():
        if outcome["status"] != "passed":
            said = f"in {place}: "
            return {**outcome, **{key: said + outcome[key] for key in ("reason", "got") if outcome.get(key)}}
    tolerance = AGREEMENT[case.kind]
    (first, expected), *others = sorted(sides.items())
    for place, outcome in others:
        found = difference(outcome["value"], expected["value"], tolerance)
        if found:
            return {"status": "failed", "expected": f"{place} as {first}, to {tolerance:g}", "got": found}
    return {"status": "passed"}


def _judged(case: Case, outcome: dict[str, Any], seconds: float, registry: Registry) -> Result:
    """The result, held against what the record expects to fail."""
    check = CHECKS[case.check]
    result: dict[str, Any] = {
        "check": case.check,
        "rule": check.rule,
        "component": case.component,
        "backend": case.place,
        "status": outcome["status"],
        "reason": outcome.get("reason", ""),
        "expected": outcome.get("expected", ""),
        "got": outcome.get("got", ""),
        "mend": outcome.get("mend") or (check.mend if outcome["status"] == "failed" else ""),
        "again": case.again,
        "seconds": round(seconds, 3),
    }
    declared = _declared(case, registry)
    if declared and outcome["status"] == "failed":
        result |= {"status": "expected failure", "reason": declared}
    elif declared and outcome["status"] == "passed":
        result |= {
            "status": "failed",
            "reason": declared,
            "expected": "a failure, which its record expects",
            "got": "it passed",
            "mend": f"Take '{case.check}' out of the record's expected_failures.",
        }
    return Result(**result)


def _declared(case: Case, registry: Registry) -> str:
    """The reason for which the record expects this check to fail in this place; "" where it does not."""
    if case.kind == "plugin":
        return ""
    record: Component = next(o.record for o in registry.kind(case.kind) if o.qualified == case.target)
    known = record.expected_failures
    return str(known.get(f"{case.check}@{case.place}") or known.get(case.check) or "")
