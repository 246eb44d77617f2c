"""`kit runs`, `kit show`, `kit reindex`: what a store holds. No framework is needed, and none is loaded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from kit.cli.output import Document, as_json, console, gigabytes, harmless, number, say, table
from kit.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

    from kit.outcome import Outcome
    from kit.store import RunSummary, Store

in_store = click.option("--store", type=click.Path(), help="Folder that keeps the runs.  [default: KIT_STORE, or runs]")


def existing_store(path: str | None) -> Store:
    """The store that the option or KIT_STORE names. Raises `InvalidValueError` where there is none."""
    from kit.conduct import store_at

    store = store_at(path)
    if not store.layout.marker.exists() and not store.layout.runs.is_dir():
        raise InvalidValueError(f"There is no store at {store.path}. `kit compare` makes one; --store names another.")
    return store


def say_notes(store: Store) -> None:
    """What the store passed over, on standard error."""
    for note in store.notes:
        click.echo(f"note: {harmless(note)}", err=True)


@click.command()
@in_store
@click.option("--status", help="Only runs that ended so: done, diverged, stopped, failed, lost; or running.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only runs of which this holds: optimizer=adam, backend=torch, learning_rate=0.1, …",
)
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the N newest of them.")
@as_json
@click.pass_obj
def runs(
    document: Document,
    store: str | None,
    status: str | None,
    conditions: tuple[str, ...],
    last: int | None,
    as_json: bool,
) -> None:
    """List what the store holds, oldest first."""
    place = existing_store(store)
    filters = dict(_condition(condition) for condition in conditions)
    if status is not None:
        filters["status"] = status
    found = place.runs(**filters)[-(last or 0) :]
    say_notes(place)
    if as_json:
        document.set({"store": str(place.path), "runs": [_summary(run) for run in found]})
        return
    out = console()
    if len(found) > MANY:
        for line in _runs_lines(found, out.width):
            click.echo(line)
    elif found:
        out.print(_runs_table(found, out.width))
    say(out, f"{len(found)} run{'' if len(found) == 1 else 's'} in {place.path}.")


def _condition(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidValueError(f"--where {text}: it must read NAME=VALUE, e.g. optimizer=adam.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _summary(run: RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "status": run.status,
        "reason": run.reason,
        "specification": run.specification,
        "cost": vars(run.cost),
        "final": run.final,
        "attempts": run.attempts,
        "started": run.started or None,
        "record": run.record,
    }


def _runs_table(found: list[RunSummary], width: int) -> Any:
    columns = [column for column in COLUMNS if width >= WIDE or not column[1]]
    rows = table(*(title for title, _, _ in columns), right=FIGURES)
    rows.columns[0].no_wrap = True
    rows.columns[0].min_width = max(len(run.run_id) for run in found)  # it is what one copies
    for run in found:
        rows.add_row(*(said(run) for _, _, said in columns))
    return rows


def _runs_lines(found: list[RunSummary], width: int) -> Iterator[str]:
    """The table as plain lines: rich takes a second for every thousand rows."""
    columns = [column for column in COLUMNS if width >= WIDE or not column[1]]
    rows = [[title for title, _, _ in columns], *([harmless(said(run)) for _, _, said in columns] for run in found)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        aligned = zip(row, widths, columns, strict=True)
        cells = (cell.rjust(wide) if title in FIGURES else cell.ljust(wide) for cell, wide, (title, _, _) in aligned)
        yield "  ".join(cells).rstrip()


def _name(specification: dict[str, Any], component: str) -> str:
    return str((specification.get(component) or {}).get("name", ""))


def _rate(run: RunSummary) -> str:
    return number(run.specification.get("optimizer", {}).get("options", {}).get("learning_rate"))


MANY = 500  # rows that nobody reads one by one
FIGURES = ("steps", "train", "validation", "seconds")
WIDE = 112  # columns of a terminal that has room for all of these
COLUMNS: tuple[tuple[str, bool, Callable[[RunSummary], str]], ...] = (  # title, only where it is wide, value
    ("run", False, lambda run: run.run_id),
    ("status", False, lambda run: run.status or "not begun"),
    ("optimizer", False, lambda run: _name(run.specification, "optimizer")),
    ("rate", False, _rate),
    ("model", True, lambda run: _name(run.specification, "model")),
    ("dataset", True, lambda run: _name(run.specification, "dataset")),
    ("backend", False, lambda run: str(run.specification.get("backend", ""))),
    ("seed", True, lambda run: "/".join(str(run.specification.get(name, "")) for name in ("seed", "replicate"))),
    ("steps", True, lambda run: str(run.cost.steps)),
    ("train", True, lambda run: number(run.final.get("train_loss"))),
    ("validation", False, lambda run: number(run.final.get("validation_loss"))),
    ("seconds", True, lambda run: number(run.cost.seconds, 3)),
)


@click.command()
@click.argument("run")
@in_store
@click.option("--curves", is_flag=True, help="With --json: every recorded point too.")
@as_json
@click.pass_obj
def show(document: Document, run: str, store: str | None, curves: bool, as_json: bool) -> None:
    """Show a run: how it ended, what it was, what it cost, where its curves ended.

    RUN is its identifier, or as much of its beginning as no other run shares.
    """
    place = existing_store(store)
    run_id = place.find(run)
    summary = place.summary(run_id)
    outcome = place.outcome(run_id) if summary.status is not None else None
    if as_json:
        described = _summary(summary) | {"store": str(place.path)}
        if curves:
            described["curves"] = [] if outcome is None else outcome.curves.to_dict("records")
        document.set(described)
    else:
        _print_run(summary, outcome)
    say_notes(place)


def _print_run(summary: RunSummary, outcome: Outcome | None) -> None:
    out = console()
    reason = f": {summary.reason}" if summary.reason else ""
    say(out, f"Run {summary.run_id}, {summary.status or 'not begun'}{reason}")
    facts = table("what", "value")
    for name, value in summary.specification.items():
        facts.add_row(name, _said(value))
    cost = summary.cost
    facts.add_row("cost", f"{cost.steps} steps, {cost.samples} samples, {number(cost.seconds, 3)} s of training")
    if cost.compile_seconds:
        facts.add_row("to prepare", f"{number(cost.compile_seconds, 3)} s of compiling and timing loops")
    if cost.peak_memory_bytes:
        facts.add_row("peak memory", gigabytes(cost.peak_memory_bytes))
    if summary.started:
        facts.add_row("started", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(summary.started)))
    facts.add_row("attempts", str(summary.attempts))
    for name, value in summary.record.items():
        facts.add_row(name, _said(value))
    out.print(facts)
    if outcome is not None and len(outcome.curves):
        out.print()
        out.print(_curves_table(outcome.curves))


def _curves_table(curves: pd.DataFrame) -> Any:
    figures = ("points", "first", "last", "lowest", "highest")
    rows = table("metric", *figures, "", right=figures)
    for metric, points in curves.groupby("metric", sort=True):
        values = points.sort_values("step")["value"]
        low, high = number(values.min()), number(values.max())
        ends = number(values.iloc[0]), number(values.iloc[-1])
        rows.add_row(str(metric), str(len(values)), *ends, low, high, sparkline(values.tolist()))
    return rows


def sparkline(values: list[float], width: int = 32) -> str:
    """A curve in one line of text, lowest to highest; × where a value is not finite."""
    import math

    bars = "▁▂▃▄▅▆▇█"
    count = min(width, len(values))
    chosen = [values[round(i * (len(values) - 1) / max(1, count - 1))] for i in range(count)]
    finite = [value for value in chosen if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = high - low or 1.0
    return "".join(
        bars[round((value - low) / span * (len(bars) - 1))] if math.isfinite(value) else "×" for value in chosen
    )


def _said(value: Any) -> str:
    """A part of a specification or record in words: a component by its name and options."""
    if isinstance(value, dict) and "name" in value:
        options = value.get("options") or {}
        told = ", ".join(f"{name}={_said(option)}" for name, option in options.items())
        return f"{value['name']}({told})" if told else str(value["name"])
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_said, value))})"
    if value is None:
        return "none"
    return number(value) if isinstance(value, float) else str(value)


@click.command()
@in_store
@as_json
@click.pass_obj
def compact(document: Document, store: str | None, as_json: bool) -> None:
    """Make a store smaller: throw away what no run needs any more.

    Of a run that is done, the optimizer's state (only its final parameters are kept); of every run that has ended, the
    checkpoints of attempts that a later one replaced. No curve, no log and no final parameter is touched.
    """
    place = existing_store(store)
    before, after = place.compact()
    say_notes(place)
    if as_json:
        document.set({"store": str(place.path), "bytes_before": before, "bytes_after": after, "notes": place.notes})
    else:
        click.echo(f"Freed {gigabytes(before - after)} of {gigabytes(before)} in {place.path}.")


@click.command()
@in_store
@as_json
@click.pass_obj
def reindex(document: Document, store: str | None, as_json: bool) -> None:
    """Rebuild the store's index from the runs' logs, after a crash or a copy."""
    place = existing_store(store)
    found = place.reindex()
    say_notes(place)
    if as_json:
        document.set({"store": str(place.path), "runs": len(found), "notes": place.notes})
    else:
        click.echo(f"Indexed {len(found)} run{'' if len(found) == 1 else 's'} in {place.path}.")
