"""What the command line prints: tables for people, or exactly one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH_OF_A_PIPE = 160  # rich takes 80 columns where there is no terminal, which cuts tables in two
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output and nothing else."
)


def console(*, stderr: bool = False) -> Console:
    """A rich console on standard output or standard error. Only what prints something imports rich."""
    from rich.console import Console
    from rich.segment import Segment

    class Ours(Console):
        def on_broken_pipe(self) -> None:  # rich exits with 1, as if the work had failed
            raise BrokenPipeError

        def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
            for segment in super().render(*arguments, **options):
                yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE
    # Names and reasons come from plugins: square brackets in them are not markup, numbers not to be coloured.
    return Ours(stderr=stderr, markup=False, highlight=False, emoji=False, width=wide)


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """A sign of life on standard error while something takes seconds; nothing where it is no terminal."""
    out = console(stderr=True)
    with out.status(what) if out.is_terminal else contextlib.nullcontext():
        yield


def harmless(text: str) -> str:
    """Text without control characters: a stranger's store could steer the terminal with them."""
    return _CONTROL.sub("�", text)


def say(out: Console, sentence: str | Text, style: str = "") -> None:
    """Print a sentence: broken at words in a terminal, whole where a program such as grep reads it."""
    out.print(sentence, style=style, soft_wrap=not out.is_terminal)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table with a rule under its head. right: the columns that are aligned right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def number(value: Any, digits: int = 4) -> str:
    """A figure for a table: so many significant digits, nothing for what is not there."""
    return "" if value is None else f"{value:.{digits}g}"


def gigabytes(count: int) -> str:
    """A number of bytes in words: `1.5 GB`, powers of ten, as disks and memory tools count by default."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


class Document:
    """The one JSON document of a call with `--json`: a command sets it; it is written when all is done."""

    def __init__(self) -> None:
        self.content: Any = None

    def set(self, content: Any) -> None:
        self.content = content

    def text(self) -> str:
        return json.dumps(plain(self.content), indent=2, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """The value as strict JSON: "nan", "inf" and "-inf" stand as strings, as they do in a run's log."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


@contextlib.contextmanager
def standard_output_for(document: Document) -> Iterator[None]:
    """Until the block ends, all that is written to standard output, by C libraries and child processes too,
    goes to standard error; then the document is written, alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        sys.stdout.write(document.text())
        sys.stdout.flush()
