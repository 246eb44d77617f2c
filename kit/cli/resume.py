"""`kit resume`: take up what was interrupted, from its last checkpoint."""

from __future__ import annotations

import click

from kit.cli.compare import INTERRUPTED
from kit.cli.output import Document, as_json, console, say


@click.command()
@click.argument("run", nargs=-1)
@click.option("--store", type=click.Path(), help="Folder that keeps the runs.  [default: KIT_STORE, or runs]")
@click.option("--executor", default="processes", show_default=True, help="Where the runs are carried out.")
@as_json
@click.pass_obj
def resume(document: Document, as_json: bool, run: tuple[str, ...], store: str | None, executor: str) -> int:
    """Continue runs that were stopped or lost; a run that is named is taken up even if it failed.

    RUN is a run's name or its first letters; without any, every run that was stopped or lost is continued.
    """
    from kit.resume import resume as take_up

    results = take_up(run, store=store, executor=executor)
    runs = [] if results is None else results.runs
    if as_json:
        document.set({"runs": [{"run": r.run_id, "status": r.status, "reason": r.reason} for r in runs]})
    else:
        out = console()
        if not runs:
            say(out, "Nothing to resume: no run was stopped or lost.")
        for r in runs:
            say(out, f"{r.run_id}  {r.status}: {r.reason}")
        for note in [] if results is None else results.notes:
            say(out, note, "yellow")
    if any(r.status == "stopped" for r in runs):
        return INTERRUPTED
    return 0 if all(r.status == "done" for r in runs) and not (results and results.notes) else 1
