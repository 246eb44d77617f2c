"""`kit record`: run notebooks and store their reference outputs."""

from __future__ import annotations

from pathlib import Path

import click

from kit.cli.output import Document, as_json, console, say


@click.command()
@click.argument("notebook", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--framework", help="The answer to the choice at the notebooks' top.  [default: the first installed]")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=120, show_default=True,
              help="The most that one cell may take.")  # fmt: skip
@click.option("--text", is_flag=True, help="Take the prose of the script only; run nothing, keep the outputs.")
@as_json
@click.pass_obj
def record(
    document: Document, as_json: bool, notebook: tuple[Path, ...], framework: str | None, seconds: float, text: bool
) -> None:
    """Run each NOTEBOOK from top to bottom in a fresh kernel and store what it shows as its reference outputs.

    `pytest --nbval NOTEBOOK` compares a later run with them. A notebook whose script stands in ../lessons takes its
    cells from there. A notebook of which a cell fails stays as it was.
    """
    import time

    from kit.guide.recording import record as run_and_store
    from kit.guide.recording import take_text

    done = []
    for path in notebook:
        if text:
            take_text(path)
            continue
        began = time.monotonic()
        shown = run_and_store(path, framework, seconds)
        done.append({"notebook": str(path), "outputs": shown, "seconds": round(time.monotonic() - began, 1)})
        if not as_json:
            say(console(), f"{path}: {shown} cells with outputs, {done[-1]['seconds']:g} s")
    document.set({"recorded": done})
