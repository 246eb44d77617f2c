"""What the checks found: a result each, and a report of all, as a table, as JSON, in a notebook."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["passed", "failed", "not applicable", "expected failure"]
STATUSES: tuple[Status, ...] = ("failed", "expected failure", "not applicable", "passed")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One check of one component in one place."""

    check: str  # "optimizer.stays_finite"
    rule: str  # in a sentence
    component: str  # "optimizer lion2", or "plugin lion2"
    backend: str  # where: a backend's name, "host" (a process without a framework), "across" (backends side by side)
    status: Status
    reason: str = ""  # why it does not apply, or why it is expected to fail
    expected: str = ""
    got: str = ""
    mend: str = ""  # the likely mend
    again: str = ""  # the one line that runs it again
    seconds: float = 0.0

    def said(self) -> str:
        """A failure in full: the rule, expected and got, the likely mend, the line that runs it again."""
        lines = [
            f"{self.check}, {self.component}, {self.backend}: {self.status}",
            f"  rule      {self.rule}",
            f"  expected  {self.expected}",
            f"  got       {self.got}",
        ]
        lines += [f"  reason    {self.reason}"] if self.reason else []
        lines += [f"  mend      {self.mend}"] if self.mend else []
        return "\n".join([*lines, f"  again     {self.again}"])


@dataclass(frozen=True, eq=False)
class Report:
    """All results of a distribution. In a notebook it shows itself as a table."""

    distribution: str
    version: str
    results: tuple[Result, ...]
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and something ran."""
        return bool(self.results) and not self.of("failed") and bool(self.of("passed"))

    def of(self, status: Status) -> list[Result]:
        return [result for result in self.results if result.status == status]

    def counts(self) -> dict[str, int]:
        """How many ran (passed or failed, as expected or not), and how each ended."""
        found = Counter(result.status for result in self.results)
        return {"ran": len(self.results) - found["not applicable"], **{status: found[status] for status in STATUSES}}

    def summary(self) -> str:
        """`41 checks ran: 41 passed, 0 failed, 0 failed as expected; 3 did not apply.`"""
        n = self.counts()
        return (
            f"{n['ran']} checks ran: {n['passed']} passed, {n['failed']} failed, {n['expected failure']} failed as "
            f"expected; {n['not applicable']} did not apply."
        )

    def reasons(self) -> list[tuple[str, int]]:
        """Why checks did not apply, most frequent first: (check and reason, how often)."""
        found = Counter(f"{r.check}: {r.reason}" for r in self.of("not applicable"))
        return found.most_common()

    def rows(self) -> list[tuple[str, str, dict[str, int]]]:
        """One row per component and place: (component, place, how many of each status)."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for result in self.results:
            found.setdefault((result.component, result.backend), Counter())[result.status] += 1
        return [(component, where, dict(counter)) for (component, where), counter in found.items()]

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "passed": self.passed,
            "counts": self.counts(),
            "seconds": round(self.seconds, 3),
            "results": [asdict(result) for result in self.results],
        }

    def __repr__(self) -> str:
        failures = "".join(f"\n\n{result.said()}" for result in self.of("failed"))
        return f"{self.distribution} {self.version}: {self.summary()}{failures}"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("component", "where", *STATUSES))
        body = "".join(
            f"<tr><td>{html.escape(component)}</td><td>{html.escape(where)}</td>{_cells(counts)}</tr>"
            for component, where, counts in self.rows()
        )
        failures = "".join(f"<pre>{html.escape(result.said())}</pre>" for result in self.of("failed"))
        expected = _listing([f"{r.check}, {r.component}, {r.backend}: {r.reason}" for r in self.of("expected failure")])
        reasons = _listing([f"{reason} ({count}×)" for reason, count in self.reasons()])
        return (
            f"<p><b>{html.escape(self.distribution)} {html.escape(self.version)}</b>: {html.escape(self.summary())}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{failures}"
            + (f"<p>Expected to fail:</p>{expected}" if expected else "")
            + (f"<details><summary>What did not apply, and why</summary>{reasons}</details>" if reasons else "")
        )


def _cells(counts: dict[str, int]) -> str:
    return "".join(f"<td style='text-align:right'>{counts.get(status) or ''}</td>" for status in STATUSES)


def _listing(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""
