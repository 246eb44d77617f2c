"""`kit lab`: the lab as an application in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from kit.cli.output import console, say
from kit.cli.start import FOLDER, told_apart


@click.command()
@click.argument("folder", metavar="[DIR]", default=FOLDER, type=click.Path(path_type=Path))
@click.argument("options", metavar="[-- VOILÀ'S OPTIONS]", nargs=-1, type=click.UNPROCESSED)
def lab(folder: Path, options: tuple[str, ...]) -> None:
    """Open the lab as an application in the browser, without code, until Ctrl-C.

    Its notebook, lab-app.ipynb, is copied into DIR (kit-notebooks unless given), never over one that you have edited,
    and runs there: what is kept in the lab goes into DIR/runs. Each page is a lab of its own, which ends with the page.
    What follows `--` goes to Voilà, as in `kit lab -- --port=9000 --no-browser`; `--theme=dark` is for dark pages.
    """
    from kit.guide.shipped import APPLICATION, copy
    from kit.laboratory.application import serve

    folder, options = told_apart(folder, options)
    for each in copy(folder, APPLICATION):
        if each.outcome == "kept":
            say(
                console(), f"{folder / each.name} is used as you edited it; rename it and start again to get the kit's."
            )
    serve(folder / APPLICATION, options)
