"""From the logs of a run's attempts to what the run came to: status, sentence, cost and curves.

An attempt that continues from step s stands on what an earlier attempt recorded up to s; what that one recorded later
is left out, because it was done again. So a run interrupted twice reads as one that was never interrupted:

    attempt 1   0 ─────── checkpoint 200 ───── 320 †         kept: 0…200
    attempt 2             200 ── checkpoint 300 ──── 390 †   kept: 201…300
    attempt 3                    300 ─────────────── 500     kept: 301…500

A run whose record is damaged where it matters counts as lost, whatever it ended as: no number is shown as that of a
finished run unless every record up to it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kit.errors import StoreError
from kit.outcome import Cost
from kit.store.checkpoint import load_checkpoint
from kit.store.curves import Series, is_curve, merge, span
from kit.store.encoding import Record
from kit.store.layout import Layout, Signature
from kit.store.log import LOG, LogContents, has_writer, scan_log

_START_FACTS = {"kind", "attempt", "from_step", "time", "crc"}


@dataclass(frozen=True, kw_only=True)
class AttemptHistory:
    """What one attempt recorded."""

    number: int
    folder: Path
    contents: LogContents
    live: bool  # a process holds its log open

    def first(self, kind: str) -> Record | None:
        """The first record of a kind. The first ending counts: a second one was written by who thought it lost."""
        return next((record for record in self.contents.records if record["kind"] == kind), None)

    @cached_property
    def from_step(self) -> int:
        if start := self.first("start"):
            return int(start["from_step"])
        return min((span(record)[0] for record in self.contents.records if is_curve(record)), default=0)

    @cached_property
    def reach(self) -> int:
        """The last step recorded."""
        return max((span(record)[1] for record in self.contents.records if is_curve(record)), default=self.from_step)

    @property
    def told(self) -> bool:
        """Whether it recorded anything of its own but an ending."""
        return any(record["kind"] == "start" or is_curve(record) for record in self.contents.records)

    @property
    def lost(self) -> Record | None:
        """Its ending, where its worker went before it had one."""
        end = self.first("end")
        return end if end and end["status"] == "lost" else None

    @property
    def vanished(self) -> bool:
        """Whether its worker went without ending it."""
        return not self.live and (self.lost is not None or self.first("end") is None)

    def holds(self, step: int) -> bool:
        """Whether it could be continued from there: it began there, or left a checkpoint and all records up to it."""
        records = self.contents.records
        if self.told and step == self.from_step:
            return True
        if any(record["kind"] == "checkpoint" and record["step"] == step for record in records):
            return True
        try:  # killed between the checkpoint and its record
            checkpoint = load_checkpoint(self.folder / f"checkpoint-{step}.safetensors")
        except (OSError, StoreError):
            return False
        return checkpoint.offset <= self.contents.size

    def damage(self, cut: int | None) -> int:
        """Damaged lines that may have stood before what follows step `cut`; None: all."""
        if cut is None:
            return len(self.contents.damaged)
        beyond = len(self.contents.records)
        for position, record in enumerate(self.contents.records):
            passed = record["kind"] == "checkpoint" and record["step"] >= cut
            if passed or (is_curve(record) and span(record)[1] > cut):
                beyond = position
                break
        return sum(position <= beyond for position in self.contents.damaged)


Lineage = list[tuple[AttemptHistory, int | None]]  # oldest first: an attempt, and the last of its steps that counts


@dataclass(frozen=True, kw_only=True)
class History:
    """A run as its logs tell it."""

    status: str  # kit.outcome.STATUSES, or "running"
    reason: str
    cost: Cost
    attempts: int
    started: float  # seconds since 1970; 0 when unknown
    record: dict[str, Any]
    series: dict[str, Series]
    ended: bool  # the attempt that counts has its ending
    damaged: bool = False
    signature: Signature = field(default_factory=list)

    @property
    def final(self) -> dict[str, float]:
        """The last value of each metric."""
        return {name: float(series.value[-1]) for name, series in self.series.items() if len(series.value)}

    def extremes(self, which: Literal["fmin", "fmax"]) -> dict[str, float]:
        """The lowest or the highest value of each metric, those that are no numbers left out (as NumPy's fmin has
        it)."""
        import numpy as np

        choose = getattr(np, which)
        return {name: float(choose.reduce(series.value)) for name, series in self.series.items() if len(series.value)}


def read_attempts(layout: Layout, run_id: str) -> list[AttemptHistory]:
    """The attempts that have a log, oldest first."""
    found = []
    for attempt in layout.attempts(run_id):
        live = has_writer(attempt.folder)  # asked first: what ended between the two questions has its ending
        try:
            contents = scan_log(attempt.folder / LOG)
        except OSError:
            continue
        found.append(AttemptHistory(number=attempt.number, folder=attempt.folder, contents=contents, live=live))
    return found


def lineage(
    attempts: Sequence[AttemptHistory], last: AttemptHistory, cut: int | None = None
) -> tuple[Lineage, list[str]]:
    """What `last` stands on, up to step `cut`, and a sentence for each fault in it."""
    chain: Lineage = [(last, cut)]
    faults = []
    if not last.told:  # it ended before it began: what was there before still stands
        earlier = [a for a in attempts if a.number < last.number and a.told]
        chain = [(earlier[-1], None)] if earlier else chain
    while (step := chain[-1][0].from_step) > 0:
        child = chain[-1][0]
        parents = [a for a in attempts if a.number < child.number and a.holds(step)]
        if not parents:
            faults.append(f"what attempt {child.number} continued from, at step {step}, is missing")
            break
        chain.append((parents[-1], step))
    for attempt, kept in chain:
        if lines := attempt.damage(kept):
            faults.append(f"{lines} of the lines of attempt {attempt.number} cannot be read")
    return chain[::-1], faults


def run_history(layout: Layout, run_id: str, batch_size: int) -> History | None:
    """What a run came to, from its logs alone; None if nothing was recorded."""
    signature = layout.signature(run_id)
    attempts = read_attempts(layout, run_id)
    if not attempts:
        return None
    last, chain, faults = _counting(attempts)
    end = last.first("end")
    status, reason = _ending(last, end, faults, chain[-1][0].reach)
    series = merge([(attempt.contents.records, cut) for attempt, cut in chain])
    start = chain[-1][0].first("start") or {}
    record = {key: value for key, value in start.items() if key not in _START_FACTS}
    for attempt, _ in chain:
        if strategy := attempt.first("strategy"):
            record |= {"strategy": strategy.get("name"), "timings": strategy.get("timings", {})}
        if unsaved := attempt.first("unsaved"):
            record["unsaved"] = str(unsaved.get("reason", ""))
    if end and "traceback" in end:
        record["traceback"] = end["traceback"]
    losses = [(attempt.number, attempt.lost) for attempt in attempts if attempt is not last]
    if interruptions := [f"attempt {number}: {loss['reason']}" for number, loss in losses if loss]:
        record["interruptions"] = interruptions
    if faults:
        record["damage"] = faults
    return History(
        status=status,
        reason=reason,
        cost=_cost(end, series, batch_size),
        attempts=len(attempts),
        started=next((_number(s.get("time", 0.0)) for attempt in attempts if (s := attempt.first("start"))), 0.0),
        record=record,
        series=series,
        ended=end is not None,
        damaged=bool(faults),
        signature=signature,
    )


def _counting(attempts: Sequence[AttemptHistory]) -> tuple[AttemptHistory, Lineage, list[str]]:
    """The attempt whose ending counts, what the curves are read from, and the faults in that.

    The newest that is done and whole; else the newest. Of a run whose workers vanished the curves are those of the
    attempt that got furthest: what was acknowledged does not disappear because a later attempt was killed earlier.
    """
    newest = attempts[-1]
    for attempt in reversed(attempts):
        end = attempt.first("end")
        if end and end["status"] == "done":
            chain, faults = lineage(attempts, attempt)
            if not faults:
                return attempt, chain, faults
    own, damage = lineage(attempts, newest)
    vanished = [attempt for attempt in attempts if attempt.vanished] if newest.vanished and not damage else []
    for attempt in sorted(vanished, key=lambda attempt: (attempt.reach, attempt.number), reverse=True):
        chain, faults = lineage(attempts, attempt)
        if not faults:
            return newest, chain, faults
    return newest, own, damage


def _ending(last: AttemptHistory, end: Record | None, faults: list[str], reach: int) -> tuple[str, str]:
    if faults:
        had = f" It had ended as {end['status']}." if end else ""
        return "lost", f"Its record is damaged: {'; '.join(faults)}.{had} Run it again to mend it."
    if end:
        return end["status"], end["reason"]
    if last.live:
        return "running", f"It is training, and has reached step {last.reach}."
    return "lost", f"Its worker went without an ending after step {reach}. Run it again to continue."


def _cost(end: Record | None, series: dict[str, Series], batch_size: int) -> Cost:
    """As the ending says; what it leaves out, as far as the curves tell."""
    steps = max((int(s.step[-1]) for s in series.values() if len(s.step)), default=0)
    seconds = max((float(s.seconds[-1]) for s in series.values() if len(s.seconds)), default=0.0)
    known: dict[str, Any] = {"steps": steps, "seconds": seconds}
    known["samples"] = steps * batch_size
    counts = [int((s.step if s.gradients is None else s.gradients)[-1]) for s in series.values() if len(s.step)]
    known["gradient_evaluations"] = max(counts, default=0) * batch_size
    said = end.get("cost") if end else None
    for item in fields(Cost):
        if isinstance(said, dict) and item.name in said:
            value = _number(said[item.name])
            known[item.name] = value if isinstance(item.default, float) else int(value)
    return Cost(**known)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else 0.0
