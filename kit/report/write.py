"""The report: one HTML file with everything in it, that makes no request and opens offline.

A content security policy in the page forbids whatever would leave it, so a name in the data that holds markup is
text twice over: escaped, and barred from loading anything.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.resources
import json
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError, WorkError
from kit.report.comparisons import comparisons_section
from kit.report.markup import Html, definitions, paragraphs, section, tag, text
from kit.report.sections import (
    cost_section,
    figures_section,
    glossary_section,
    parity_section,
    status_section,
    table_section,
    tiles,
)
from kit.results.findings import headline
from kit.results.words import listed, plural, value_words

if TYPE_CHECKING:
    from kit.results.results import Results

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
DESCRIBED = ("dataset", "model", "loss", "budget", "dtype", "device")


def write_report(results: Results, path: str | Path, *, title: str | None = None, study: Any = None) -> Path:
    """Write the report and return its path. study: a `kit.Study`, or its JSON as text or data; None: the report lists
    the runs' specifications.

    Raises `InvalidValueError` where there is nothing to report, `WorkError` where the file cannot be written.
    """
    if not any(len(run.outcome.curves) for run in results.runs):
        raise InvalidValueError("There is nothing to report: no run here recorded anything.")
    page = page_of(results, title or _title(results), study)
    place = Path(path)
    partial = place.with_name(place.name + ".partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, place)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise WorkError(f"The report cannot be written to {place}: {error.strerror or error}.") from error
    return place


def page_of(results: Results, title: str, study: Any = None) -> Html:
    """The whole page."""
    sections = [
        ("result", "Result", table_section(results)),
        ("figures", "Figures", figures_section(results)),
        ("comparisons", "Comparisons", comparisons_section(results)),
        ("parity", "Parity", parity_section(results)),
        ("status", "Status", status_section(results)),
        ("cost", "Cost", cost_section(results)),
        ("again", "Run it again", again_section(results, study)),
        ("words", "Words", glossary_section()),
    ]
    links = tag("ul", *(tag("li", text("a", name, href=f"#{key}")) for key, name, _ in sections))
    top = tag(
        "header",
        text("p", "descentkit", class_="eyebrow"),
        text("h1", title),
        tag("div", paragraphs(headline(results)), class_="lead"),
        text("p", _setting(results), class_="meta"),
        tiles(results),
        tag("nav", links, aria_label="Sections"),
        class_="top",
    )
    body = tag("div", top, tag("main", *(content for _, _, content in sections)), _footer(), class_="wrap")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"{text('title', title)}<style>{_file('report.css')}</style>"
    )
    script = f"<script>{_file('report.js')}</script>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}{script}</body></html>\n'


def again_section(results: Results, study: Any) -> Html:
    """What it takes to run all of it again: the study, the versions, the machine."""
    name, document = _document(results, study)
    facts = definitions(_facts(results))
    how = (
        "Save this as study.json; kit compare --from study.json runs it again. What the store holds is not repeated."
        if study is not None
        else "The resolved specification of every run, defaults included."
    )
    listing = tag("details", text("summary", name), text("p", how), text("pre", document, data_copy="", tabindex="0"))
    return section("again", "To run it again", facts, listing)


def _document(results: Results, study: Any) -> tuple[str, str]:
    if study is None:
        runs = [{"run": run.run_id, "specification": run.specification} for run in results.runs]
        return "The runs (JSON)", json.dumps(runs, indent=1, ensure_ascii=False)
    if hasattr(study, "to_json"):
        return "The study (JSON)", str(study.to_json())
    return "The study (JSON)", study if isinstance(study, str) else json.dumps(study, indent=1, ensure_ascii=False)


def _facts(results: Results) -> list[tuple[str, str]]:
    """How it was computed: each fact of the runs' records, with all values that occur."""
    found: dict[str, dict[str, None]] = {"seed": {}, "device": {}, "precision": {}, "threads": {}}
    for run in results.runs:
        found["seed"].setdefault(value_words(run.specification.get("seed")))
        found["device"].setdefault(value_words(run.record.get("device") or run.specification.get("device")))
        found["precision"].setdefault(value_words(run.specification.get("dtype")))
        if run.record.get("threads"):
            found["threads"].setdefault(value_words(run.record["threads"]))
        for package, version in (run.record.get("versions") or {}).items():
            found.setdefault(str(package), {}).setdefault(str(version))
        machine = run.record.get("machine")
        for name, value in (machine if isinstance(machine, dict) else {}).items():
            found.setdefault(str(name).replace("_", " "), {}).setdefault(str(value))
    return [(name, listed(values)) for name, values in found.items() if values]


def _title(results: Results) -> str:
    lanes = results.lanes
    names = {
        name: list(dict.fromkeys(value_words(lane.labels[name]) for lane in lanes)) for name in ("optimizer", "dataset")
    }
    optimizers, datasets = names["optimizer"], names["dataset"]
    what = listed(optimizers) if len(optimizers) <= 5 else plural(len(optimizers), "optimizer")
    return f"{what} on {listed(datasets)}" if len(datasets) <= 3 else what


def _setting(results: Results) -> str:
    """What was run, in a line."""
    specs = [run.specification for run in results.runs]
    parts = []
    for name in DESCRIBED:
        values = list(dict.fromkeys(_said(spec.get(name)) for spec in specs))
        if len(values) <= 4:
            parts.append(f"{name} {listed(values)}" if name in ("dataset", "model", "loss") else listed(values))
    replicates = max(len(lane.runs) for lane in results.lanes)
    return " · ".join([*parts, plural(replicates, "replicate"), plural(len(results.runs), "run")])


def _said(value: Any) -> str:
    if isinstance(value, dict):
        if "name" in value:
            return str(value["name"])
        return ", ".join(
            f"{amount:g} {unit}" if isinstance(amount, int | float) else f"{unit} {amount}"
            for unit, amount in value.items()
        )
    return value_words(value)


def _footer() -> Html:
    import kit

    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return text("footer", f"Made by descentkit {kit.__version__}, {made}. This file needs no network.")


def _file(name: str) -> str:
    return importlib.resources.files("kit.report").joinpath(name).read_text(encoding="utf-8")
