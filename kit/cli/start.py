"""`kit start`: a copy of the guided notebooks, and JupyterLab on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from kit.cli.output import Document, as_json, console, say

FOLDER = "kit-notebooks"
# For JupyterLab: no question about its news over a beginner's first page, and no host is asked for news or updates.
SETTINGS = Path(__file__).parents[1] / "guide" / "jupyter"


@click.command()
@click.argument("folder", metavar="[DIR]", default=FOLDER, type=click.Path(path_type=Path))
@click.argument("options", metavar="[-- JUPYTERLAB'S OPTIONS]", nargs=-1, type=click.UNPROCESSED)
@click.option("--no-open", is_flag=True, help="Copy only; do not open JupyterLab.")
@as_json
@click.pass_obj
def start(document: Document, as_json: bool, folder: Path, options: tuple[str, ...], no_open: bool) -> int:
    """Copy the guided notebooks into DIR (kit-notebooks unless given) and open JupyterLab there.

    A notebook that you have edited is never written over. They come without outputs: yours appear as you run them. What
    follows `--` goes to JupyterLab, as in `kit start DIR -- --port=9000`.
    """
    from kit.guide.shipped import copy

    folder, options = told_apart(folder, options)
    done = copy(folder)
    if as_json:
        document.set({"folder": str(folder), "notebooks": {each.name: each.outcome for each in done}})
        return 0
    out = console()
    new = sum(each.outcome in ("copied", "updated") for each in done)
    say(out, f"{folder}: {len(done)} notebooks, {new} of them new.")
    for each in done:
        if each.outcome == "kept":
            say(out, f"{each.name} is kept as you edited it; rename it and start again to get the kit's own.")
    return 0 if no_open else open_lab(folder, options)


def told_apart(folder: Path, options: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    """The folder and another program's options, where what stands after `--` was taken for the folder."""
    return (Path(FOLDER), (str(folder), *options)) if str(folder).startswith("-") else (folder, options)


def open_lab(folder: Path, options: tuple[str, ...]) -> int:
    """JupyterLab at the hub, until its user ends it; returns its exit code.

    Raises `MissingPackageError` where it is not installed.
    """
    from kit.errors import MissingPackageError
    from kit.guide.shipped import HUB
    from kit.packages import pip

    if find_spec("jupyterlab") is None:
        raise MissingPackageError(
            f"JupyterLab is not installed: {pip('jupyterlab', 'ipywidgets', 'anywidget')}. "
            f"The notebooks are in {folder}; any other program that opens notebooks does too."
        )
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", f"--LabApp.default_url=/lab/tree/{HUB}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # JupyterLab refuses root otherwise; in a container there is nobody else
    places = os.pathsep.join(filter(None, [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")]))
    # Ctrl-C is for JupyterLab, which asks whether it is meant. A handler, unlike SIG_IGN, is not inherited.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.Popen([*command, *options], env={**os.environ, "JUPYTER_CONFIG_PATH": places}).wait()
    finally:
        signal.signal(signal.SIGINT, before)
