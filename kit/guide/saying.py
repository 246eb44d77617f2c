"""Outputs that are words: sentences, and figures with the sentences that say what they show.

An output's plain text is what nbval compares and what a terminal shows; its HTML is what people read. Pictures are
shown beside them and compared by nobody: their bytes depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARAGRAPH = '<p style="max-width: 46em; margin: 0.3em 0">{}</p>'
WIDGET = "application/vnd.jupyter.widget-view+json"


def bundle(sentences: Sequence[str], widget: Any = None) -> dict[str, Any]:
    """Sentences as plain text and HTML, and a widget that stands in their place where a kernel runs."""
    said: dict[str, Any] = {
        "text/plain": "\n".join(sentences),
        "text/html": "".join(PARAGRAPH.format(escape(sentence)) for sentence in sentences),
    }
    if widget is not None:
        said[WIDGET] = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return said


def put(bundle: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Show a bundle in the notebook; its plain text where there is none."""
    if in_notebook():
        _shell().display_pub.publish(data=bundle, metadata=metadata or {})
    else:
        print(bundle["text/plain"])


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    import sys

    if "ipykernel" not in sys.modules or "IPython" not in sys.modules:
        return False
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:
    """IPython's shell; None in a plain Python."""
    from IPython.core.getipython import get_ipython

    return get_ipython()


def controls() -> Any:
    """The module `kit.guide.controls` where widgets can be shown; else None."""
    if not in_notebook():
        return None
    try:
        from kit.guide import controls
    except ModuleNotFoundError:  # anywidget
        return None
    return controls


def say(*sentences: str | Iterable[str]) -> None:
    """Show sentences, a paragraph each; lists of them are taken apart."""
    flat: list[str] = []
    for sentence in sentences:
        flat += [sentence] if isinstance(sentence, str) else list(sentence)
    put(bundle(flat))


def show(figure: Figure, words: str = "") -> None:
    """Show a figure, and below it what it shows, in words.

    figure: one of the kit's, which says itself, or any of matplotlib's, with `words`. Raises `InvalidValueError` for a
    figure that nothing says in words.
    """
    from kit.errors import InvalidValueError

    said = words or str(getattr(figure, "words", ""))
    if not said:
        raise InvalidValueError("This figure is not said in words; pass them: guide.show(figure, 'what it shows').")
    if in_notebook():
        across, down = figure.get_size_inches()
        size = {"image/png": {"width": round(across * 96), "height": round(down * 96)}}
        put({"image/png": picture(figure), "text/plain": said}, size)
    put(bundle([f"In words: {said}"]))


def picture(figure: Figure) -> str:
    """As PNG, in base64, with a background of its own, so that it is legible on a dark page too."""
    import base64
    import io

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=144, facecolor=figure.get_facecolor())
    return base64.b64encode(data.getvalue()).decode("ascii")


def table(rows: Sequence[Sequence[Any]], columns: Sequence[str], caption: str) -> None:
    """Show a small table with a caption and a header row; numbers to three digits.

    rows: of cells, as many as `columns`. caption: what it shows, in a sentence.
    """
    from kit.results.words import number

    cells = [[number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in [columns, *cells]]
    head = "".join(f'<th scope="col" style="text-align: left">{escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in row) + "</tr>" for row in cells
    )
    style = "caption-side: top; text-align: left; padding: 0.3em 0"
    html = f'<table><caption style="{style}">{escape(caption)}</caption><thead><tr>{head}</tr></thead>{body}</table>'
    put({"text/plain": "\n".join([caption, *(line.rstrip() for line in lines)]), "text/html": html})
