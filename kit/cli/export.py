"""`kit export`: runs in other tools' formats."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from kit.cli.output import Document, as_json
from kit.cli.stored import existing_store, in_store, say_notes
from kit.errors import UnknownNameError

if TYPE_CHECKING:
    from kit.outcome import Outcome


@click.command()
@click.argument("run", nargs=-1)
@click.option("--to", "target", required=True, metavar="mlflow|tensorboard|csv|parquet", help="The format.")
@click.option(
    "--out",
    metavar="PATH",
    help="File of csv and parquet, folder of tensorboard, folder, database or address of mlflow.  "
    "[default: RUN.csv, RUN.parquet, tensorboard, MLFLOW_TRACKING_URI or mlruns]",
)
@in_store
@as_json
@click.pass_obj
def export(
    document: Document, run: tuple[str, ...], target: str, out: str | None, store: str | None, as_json: bool
) -> None:
    """Write runs for another tool. The store stays as it is.

    RUN is an identifier, or as much of its beginning as no other run shares; without any, all that have begun.
    """
    from kit.store.export import export as write

    place = existing_store(store)
    outcomes = place.outcomes([place.find(name) for name in run] if run else None)
    say_notes(place)
    if not outcomes:
        raise UnknownNameError(f"There is no run to export in {place.path}.")
    path = write(outcomes, target, out or default_path(target, outcomes))
    if as_json:
        document.set({"to": target, "path": path, "runs": [outcome.run_id for outcome in outcomes]})
    else:
        click.echo(f"Exported {len(outcomes)} run{'' if len(outcomes) == 1 else 's'} to {path}")


def default_path(target: str, outcomes: list[Outcome]) -> str:
    """Where an export goes without `--out`: where the other tool looks, or a file named as the run."""
    if target == "mlflow":
        return os.environ.get("MLFLOW_TRACKING_URI") or "mlruns"
    if target == "tensorboard":
        return "tensorboard"
    name = outcomes[0].run_id if len(outcomes) == 1 else "runs"
    return f"{name}.{target}"
