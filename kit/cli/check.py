"""`kit check DISTRIBUTION`: the conformance checks of a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kit.cli.output import Document, as_json, console, say, table

if TYPE_CHECKING:
    from rich.console import Console

    from kit.testing.cases import Case
    from kit.testing.report import Report

STYLES = {"failed": "bold red", "expected failure": "yellow", "not applicable": "dim", "passed": "green"}


@click.command()
@click.argument("distribution")
@click.option("--check", help="Only this check, as in optimizer.stays_finite.")
@click.option("--component", help="Only this plugin, model, optimizer, …, by its name.")
@click.option("--backend", help="Only what is looked at there: a backend, host, or across.")
@as_json
@click.pass_obj
def check(
    document: Document,
    distribution: str,
    check: str | None,
    component: str | None,
    backend: str | None,
    as_json: bool,
) -> int:
    """Check an installed plugin as the built-ins are checked: everything that it offers, in every backend here.

    Each failure says the rule, what was expected and found, the likely mend, and the line that runs it again.

    Exit code 1 where a check failed.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from kit.testing.conduct import check as run_checks

    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, case: Case) -> None:
            bar.update(task, completed=done, total=total, description=f"{case.name} {case.check.partition('.')[2]}")

        report = run_checks(distribution, check=check, component=component, backend=backend, progress=progress)
    if as_json:
        document.set(report.document())
    else:
        _print(console(), report)
    return 0 if report.passed or not report.of("failed") else 1


def _print(out: Console, report: Report) -> None:
    from rich.text import Text

    names = tuple(STYLES)
    rows = table("component", "where", *names, right=names)
    for component, where, counts in report.rows():
        cells = (Text(str(counts.get(name) or ""), STYLES[name]) for name in names)
        rows.add_row(component, where, *cells)
    out.print(rows)
    for result in report.of("failed"):
        out.print()
        say(out, result.said(), "red")
    for result in report.of("expected failure"):
        out.print()
        say(out, f"{result.check}, {result.component}, {result.backend}: expected to fail: {result.reason}", "yellow")
    if report.reasons():
        out.print()
        say(out, "Did not apply:")
        for reason, count in report.reasons():
            say(out, f"  {reason}" + (f" ({count}×)" if count > 1 else ""), "dim")
    out.print()
    verdict = "bold red" if report.of("failed") else "bold green"
    say(out, f"{report.distribution} {report.version}: {report.summary()} {report.seconds:.0f} s.", verdict)
