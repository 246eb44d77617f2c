"""The rule that the kit runs, beside its mathematics: read from the very class that trains."""

from __future__ import annotations

import inspect
from html import escape

from kit.guide.saying import put

LISTING = (  # JupyterLab would else break a line in the middle of a word
    '<pre style="padding: 0.5em 0.8em; border-left: 3px solid currentcolor; white-space: pre-wrap; word-break: normal">'
    "{}</pre>"
)


def formula(optimizer: str) -> None:
    """Show a rule's formula (from its docstring), its reference, and the lines that compute it.

    Raises `UnknownNameError` for an optimizer that nobody offers, `InvalidValueError` for one that is no rule of ours.
    """
    mathematics, code, source = parts(optimizer)
    text = f"{mathematics}\n\n{code}\n\nSource: {source}"
    html = f"{LISTING.format(escape(mathematics))}{LISTING.format(escape(code))}<p>Source: {escape(source)}</p>"
    put({"text/plain": text, "text/html": html})


def parts(optimizer: str) -> tuple[str, str, str]:
    """(idea and formula, the source of `update`, the reference) of a rule."""
    from kit.errors import InvalidValueError
    from kit.records import resolve
    from kit.registry import Registry

    record = Registry.load().find("optimizer", optimizer)
    if not record.rule:
        raise InvalidValueError(f"optimizer '{optimizer}' is a class of its framework, so there is no rule to show.")
    rule = resolve(record.rule)
    paragraphs = inspect.cleandoc(rule.__doc__ or "").split("\n\n")
    code = inspect.cleandoc("\n" + inspect.getsource(rule.update))
    return "\n\n".join(paragraphs[:2]), code, rule.source
