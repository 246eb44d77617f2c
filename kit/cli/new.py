"""`kit new plugin NAME`: a complete third-party plugin project."""

from __future__ import annotations

from pathlib import Path

import click

from kit.cli.output import Document, as_json, console, say


@click.group()
def new() -> None:
    """Begin something of your own."""


@new.command()
@click.argument("name")
@click.option(
    "--kind",
    default="rule",
    show_default=True,
    help="rule (an optimizer for every backend), native (a class of one backend), model, loss, dataset, probe, device.",
)
@click.option(
    "--backend", help="torch or tensorflow, for a native optimizer, a model, a loss or a device.  [default: torch]"
)
@click.option("--out", type=click.Path(path_type=Path), help="The folder to make.  [default: NAME, here]")
@as_json
@click.pass_obj
def plugin(document: Document, name: str, kind: str, backend: str | None, out: Path | None, as_json: bool) -> None:
    """Write a plugin's project: it installs, trains and passes `kit check` as it stands. Nothing is overwritten.

    NAME is that of the optimizer, model, … which it offers, as in lion2. Needs no network.
    """
    from kit.scaffold import new_plugin

    project = new_plugin(name, out or Path(name), kind=kind, backend=backend)
    if as_json:
        document.set({"folder": str(project.folder), "distribution": project.distribution, "files": project.files})
        return
    lines = console()
    say(lines, f"Wrote {len(project.files)} files into {project.folder}/. Next:")
    say(lines, f"  pip install -e {project.folder}    (without a network: --no-build-isolation --no-deps)", "bold")
    say(lines, f"  kit check {project.distribution}", "bold")
    say(lines, f"  {project.trial}", "bold")
