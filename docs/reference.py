"""The pages that are made from the kit itself: hooks, records, components, commands, the Python names.

`conf.py` writes them into `docs/reference/` before Sphinx reads it; `tests/docs` asks the same functions whether
anything is left undocumented. Docstrings of this project are Markdown, so they stand on the pages as they are.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from kit import hookspecs, needs, records
from kit.cli.group import COMMANDS, group
from kit.hookcalls import record_types
from kit.records import Component, Hyperparameter
from kit.registry import Registry

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE / "examples"
RECORDS: tuple[type, ...] = (*record_types().values(), Hyperparameter, needs.Needs)
KINDS = ("optimizer", "model", "loss", "dataset", "schedule", "probe", "device", "executor", "backend")
PAGE_COLUMNS = 92
PYTHON = ("kit:Experiment", "kit:Budget", "kit:Study", "kit:Results", "kit:Run", "kit:Store", "kit:Registry",
          "kit:compare", "kit:sweep", "kit:lab", "kit:model", "kit:loss", "kit:optimizer", "kit:schedule", "kit:probe",
          "kit:dataset", "kit:log_grid", "kit:open_store")  # fmt: skip


def text_of(thing: Any) -> str:
    """A docstring, its examples and formulas fenced; empty where there is none of its own."""
    paragraphs = inspect.cleandoc(thing.__doc__ or "").split("\n\n")
    return "\n\n".join(map(_fenced, paragraphs))


def _fenced(paragraph: str) -> str:
    """Lines that must stay as they are: a session at the prompt, updates in the formulas' own symbols."""
    lines = paragraph.split("\n")
    if paragraph.startswith((" ", "```")):
        return paragraph
    if paragraph.startswith(">>>"):
        return f"```python\n{paragraph}\n```"
    formula = "`" not in paragraph and all("←" in line or " = " in line for line in lines)
    return f"```text\n{paragraph}\n```" if formula else paragraph


def first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """In Markdown; a bar within a cell is escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


# --- records


def comments(record: type) -> dict[str, str]:
    """field -> the comment beside it, or above it."""
    source = inspect.cleandoc("\n" + inspect.getsource(record))
    found: dict[str, str] = {}
    above: list[str] = []
    line: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not line:
            above.append(token.string.lstrip("# "))
        elif token.type == tokenize.NL and not line:
            continue
        elif token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            names = [t for t in line if t.type != tokenize.COMMENT]
            if len(names) > 1 and names[0].type == tokenize.NAME and names[1].string == ":":
                beside = [t.string.lstrip("# ") for t in line if t.type == tokenize.COMMENT]
                found[names[0].string] = " ".join([*above, *beside])
            above, line = ([], []) if token.type == tokenize.NEWLINE else (above, line)
        else:
            line.append(token)
    return found


def field_words(record: type, name: str) -> str:
    """What a field means: its comment, in whichever base it stands, or the sentences of the docstring that name it."""
    for base in record.__mro__:
        if base is object or name not in vars(base).get("__annotations__", {}):
            continue
        said = comments(base).get(name, "")
        sentences = re.split(r"(?<=[.;])\s+", " ".join(text_of(base).split()))
        named = [s for s in sentences if re.search(rf"`{name}\b", s)]
        return said or " ".join(named)
    return ""


def fields_of(record: type) -> list[tuple[str, str, str, str]]:
    """(name, type, default, what it means)."""
    found = []
    for field in dataclasses.fields(record):
        default = "required"
        if field.default is not dataclasses.MISSING:
            default = f"`{field.default!r}`"
        elif field.default_factory is not dataclasses.MISSING:
            default = f"`{field.default_factory()!r}`"
        kind = str(field.type).replace("Reference", "reference")
        found.append((f"`{field.name}`", f"`{kind}`", default, field_words(record, field.name)))
    return found


def records_page() -> str:
    parts = ["# Records", text_of(records)]
    for record in RECORDS:
        parts += [
            f"## {record.__name__}",
            text_of(record),
            table(("field", "type", "default", "meaning"), fields_of(record)),
        ]
    return "\n\n".join(parts) + "\n"


# --- hooks


def hooks() -> dict[str, Callable[..., Any]]:
    return {name: value for name, value in vars(hookspecs).items() if hasattr(value, "kit_spec")}


def hooks_page() -> str:
    parts = ["# Hooks", text_of(hookspecs)]
    parts.append(
        "Each example is a whole plugin: a module behind an entry point of the group `kit.plugins`. Tests run them."
    )
    for name, hook in hooks().items():
        example = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        record = record_types()[name].__name__
        parts += [
            f"## {name}",
            text_of(hook),
            f"Yields [{record}](records.md#{record.lower()}).",
            f"```python\n{example}```",
        ]
    return "\n\n".join(parts) + "\n"


# --- what is installed


def components_page() -> str:
    parts = [
        "# What comes with it",
        "Made from the records of the plugins that were installed when these pages were made.",
    ]
    registry = Registry.load()
    for kind in KINDS:
        parts.append(f"## {kind.capitalize()}s")
        seen: dict[str, Component] = {}
        where: dict[str, list[str]] = {}
        for offer in registry.kind(kind):
            seen.setdefault(offer.record.name, offer.record)
            where.setdefault(offer.record.name, []).append(offer.record.backend or "every backend")
        for name, record in seen.items():
            parts += list(_component(record, sorted(set(where[name]))))
    return "\n\n".join(parts) + "\n"


def _component(record: Component, backends: list[str]) -> Iterator[str]:
    yield f"### {record.kind} {record.name}"
    rule = getattr(record, "rule", None)
    yield text_of(records.resolve(rule)).partition("\n\nHyperparameters")[0] if rule else record.help
    facts = [f"In {', '.join(backends)}."] if record.kind in ("model", "loss", "device") else []
    facts += [f"Source: {record.source}."] if record.source and not rule else []
    if facts:
        yield " ".join(facts)
    if record.hyperparameters:
        rows = [(f"`{h.name}`", f"`{h.default!r}`", h.range, h.unit, h.help) for h in record.hyperparameters]
        yield table(("hyperparameter", "default", "range", "unit", "meaning"), rows)


# --- the command line


def commands() -> dict[str, click.Command]:
    context = click.Context(group)
    return {name: command for name in COMMANDS if (command := group.get_command(context, name))}


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command, or those of a group: (`new plugin`, command)."""
    if isinstance(command, click.Group):
        for sub, inner in command.commands.items():
            yield from leaves(f"{name} {sub}", inner)
    else:
        yield name, command


def options_of(command: click.Command) -> list[tuple[str, str]]:
    """(how it is written, its help) of every option."""
    context = click.Context(command)
    return [
        (", ".join([*option.opts, *option.secondary_opts]), (option.get_help_record(context) or ("", ""))[1])
        for option in command.params
        if isinstance(option, click.Option)
    ]


def commands_page() -> str:
    parts = ["# The command line", "Exit codes: 0 done, 1 the work failed, 2 the request was wrong."]
    for top, command in commands().items():
        for name, leaf in leaves(top, command):
            arguments = " ".join(
                p.make_metavar(click.Context(leaf)) for p in leaf.params if isinstance(p, click.Argument)
            )
            parts += [
                f"## kit {name}",
                f"`kit {name} {arguments}`".replace(" `", "`"),
                inspect.cleandoc(leaf.help or ""),
            ]
            parts.append(table(("option", "meaning"), [(f"`{option}`", said) for option, said in options_of(leaf)]))
    return "\n\n".join(parts) + "\n"


# --- Python


def members(thing: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class, its own and those of its bases in the kit."""
    for name in dir(thing):
        base = next((c for c in thing.__mro__ if name in vars(c)), None)
        if name.startswith("_") or base is None or not base.__module__.startswith("kit"):
            continue
        value = inspect.getattr_static(thing, name)
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and function.__module__.startswith("kit"):
            yield name, value


def python_page() -> str:
    parts = ["# Python"]
    for reference in PYTHON:
        module, _, name = reference.partition(":")
        thing = getattr(importlib.import_module(module), name)
        parts += [f"## kit.{name}", _signature(f"kit.{name}", thing), text_of(thing)]
        if inspect.isclass(thing):
            for member, value in members(thing):
                parts.append(f"### {name}.{member}")
                function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                parts += [_signature(member, function) if not isinstance(value, property) else "", text_of(function)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _signature(name: str, thing: Any) -> str:
    """As it is written: an argument a line where one line is too long for a page."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    kept = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    text = name + re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature.replace(parameters=kept)))
    if len(text) > PAGE_COLUMNS:
        inner, _, after = text.partition("(")[2].rpartition(")")
        parts = re.split(r", (?=[*\w]+(?:: |, |$)|\*)", inner)
        text = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){after}"
    return f"```python\n{text}\n```"


PAGES: dict[str, Callable[[], str]] = {
    "hooks": hooks_page,
    "records": records_page,
    "components": components_page,
    "commands": commands_page,
    "python": python_page,
}


def write(folder: Path = HERE / "reference") -> None:
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (folder / f"{name}.md").write_text(page(), encoding="utf-8")


def undocumented() -> list[str]:
    """Every hook without words or example, record field without a meaning, option without help, name without a text."""
    found = [f"hook {name}: no docstring" for name, hook in hooks().items() if not text_of(hook)]
    found += [f"hook {name}: no example" for name in hooks() if not (EXAMPLES / f"{name}.py").exists()]
    for record in RECORDS:
        found += [f"{record.__name__}.{name.strip('`')}" for name, _, _, meaning in fields_of(record) if not meaning]
    for top, command in commands().items():
        for name, leaf in leaves(top, command):
            found += [] if leaf.help else [f"kit {name}: no help"]
            found += [f"kit {name} {option}: no help" for option, said in options_of(leaf) if not said]
    for offer in Registry.load().offers:
        found += [f"{offer.qualified}: no help"] if not offer.record.help else []
        found += [f"{offer.qualified}: {h.name} has no help" for h in offer.record.hyperparameters if not h.help]
    for reference in PYTHON:
        module, _, name = reference.partition(":")
        thing = getattr(importlib.import_module(module), name)
        inner = list(members(thing)) if inspect.isclass(thing) else []
        functions = {m: v.fget if isinstance(v, property) else getattr(v, "__func__", v) for m, v in inner}
        found += [f"kit.{name}.{m}: no docstring" for m, function in functions.items() if not text_of(function)]
        found += [] if text_of(thing) else [f"kit.{name}: no docstring"]
    return found
