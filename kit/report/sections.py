"""The parts of the report, each a section made from results."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from kit.plot import plot_cost, plot_curves, plot_parity, plot_sensitivity
from kit.report.glossary import GLOSSARY
from kit.report.markup import Html, definitions, figure, paragraphs, section, table, tag, text
from kit.results.findings import status_sentences
from kit.results.frames import strategy_of
from kit.results.metrics import COUNTED
from kit.results.words import MISSING, counted, duration, metric_words, number, plural, size, value_words

if TYPE_CHECKING:
    from kit.plot.chart import Chart
    from kit.results.results import Results
    from kit.results.run import Run

CLOCKS = {
    "step": "by step",
    "samples": "by samples",
    "gradient_evaluations": "by gradient evaluations",
    "seconds": "by time",
}
MOST_RUNS = 1000  # lines of the table of runs; more make a page that no browser scrolls
OVERLAP = (
    "Bands and intervals hold what replicates have in common too, such as a hard split. Comparisons are paired, so "
    "they can tell methods apart whose bands overlap."
)


def tiles(results: Results) -> Html:
    """The few numbers to take away."""
    found: list[tuple[str, str]] = []
    metric = results.metric
    done = [run for run in results.runs if run.status == COUNTED]
    if done:
        best = results.best()
        mean = best.mean(metric, log=results.log_scale(metric))
        found.append((f"{number(mean.estimate)}", f"best {metric_words(metric)}: {best.name}"))
    parity = results.parity()
    if parity.pairs:
        worst = max((pair.first for pair in parity.pairs if not math.isnan(pair.first)), default=math.nan)
        names = " and ".join(parity.pairs[0].backends)
        found.append((number(worst, 2), f"largest relative difference of {names} over the first 100 steps"))
    found.append((f"{len(done)} of {len(results.runs)}", "runs finished"))
    spent = sum(run.cost.seconds for run in results.runs)
    found.append((duration(spent), "of training, all runs together"))
    return tag("ul", *(tag("li", text("strong", value), text("span", words)) for value, words in found), class_="tiles")


def table_section(results: Results) -> Html:
    made = results.table()
    rows = []
    for row in made.rows:
        cells = []
        for i, (cell, right) in enumerate(zip(row, made.right, strict=True)):
            value = None if cell.value is None or math.isnan(cell.value) else repr(cell.value)
            number_class = "number" if right else None
            content = text("strong", cell.marked) if cell.best else escape(cell.text)
            cells.append(
                tag("th", content, scope="row", class_=number_class, data_value=value)
                if i == 0
                else tag("td", content, class_=number_class, data_value=value)
            )
        rows.append(tag("tr", *cells, class_="best" if any(cell.best for cell in row) else None))
    return section("result", "Result", table(made.columns, made.right, rows, caption=made.caption))


def figures_section(results: Results) -> Html:
    """Curves by every clock, the learning-rate search, cost against quality."""
    parts = [tag("div", *_curves(results), class_="clocks")]
    if results.searches():
        parts.append(text("h3", "Learning rates"))
        parts.append(
            _drawn_twice(lambda narrow: plot_sensitivity(results, theme="report", narrow=narrow), "sensitivity")
        )
    if len(results.lanes) > 1 and any(run.status == COUNTED for run in results.runs):
        parts.append(_drawn_twice(lambda narrow: plot_cost(results, theme="report", narrow=narrow), "cost"))
    return section("figures", "Figures", text("p", OVERLAP, class_="muted"), *parts)


def _curves(results: Results) -> list[Html]:
    """A figure per clock; the page shows one at a time where it can. Gradient evaluations are a clock of their own only
    for optimizers that take more than one per sample."""
    alike = all(run.cost.gradient_evaluations == run.cost.samples for run in results.runs)
    clocks = {key: name for key, name in CLOCKS.items() if not (alike and key == "gradient_evaluations")}
    return [
        _drawn_twice(
            lambda narrow, clock=clock: plot_curves(results, against=clock, theme="report", narrow=narrow),  # type: ignore[misc]
            f"curves-{clock}",
            title,
        )
        for clock, title in clocks.items()
    ]


def _drawn_twice(draw: Callable[[bool], Chart], name: str, title: str = "") -> Html:
    """A figure for wide pages, with a drawing of its own for phones."""
    return figure(draw(False), draw(True), name, title=title)


def parity_section(results: Results) -> Html:
    parity = results.parity()
    parts = [paragraphs(parity.sentences)]
    if parity.pairs:
        parts.append(_drawn_twice(lambda narrow: plot_parity(results, theme="report", narrow=narrow), "parity"))
    return section("parity", "Do the frameworks agree?", *parts)


def status_section(results: Results) -> Html:
    """What did not finish, and why; and what the study had to say besides."""
    counts: dict[str, int] = {}
    for run in results.runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    sentences = status_sentences(results)
    opening = f"Of {plural(len(results.runs), 'run')}: {counted(counts)}." if sentences else "All runs finished."
    return section("status", "What finished", text("p", opening), paragraphs(sentences), paragraphs(results.notes))


def cost_section(results: Results) -> Html:
    """What each run cost."""
    total = {name: sum(getattr(run.cost, name) for run in results.runs) for name in ("seconds", "compile_seconds")}
    peak = max((run.cost.peak_memory_bytes for run in results.runs), default=0)
    opening = (
        f"{duration(total['seconds'])} of training and {duration(total['compile_seconds'])} of compiling and timing "
        f"programs, all runs together; at most {size(peak)} of memory in one process. Runs that trained as one stack "
        "share its time evenly."
    )
    columns = (
        "run",
        "algorithm",
        "framework",
        "replicate",
        "steps",
        "gradients",
        "time",
        "compiling",
        "memory",
        "loop",
        "status",
    )
    right = (False, False, False, True, True, True, True, True, True, False, False)
    shown = results.runs[:MOST_RUNS]
    caption = (
        f"Each run's cost{f', the first {MOST_RUNS} of {len(results.runs)}' if len(shown) < len(results.runs) else ''}."
    )
    whole = table(columns, right, [_run_row(run) for run in shown], caption=caption)
    listing = tag("details", text("summary", f"Every run ({len(results.runs)})"), whole)
    return section("cost", "What it cost", text("p", opening), listing)


def _run_row(run: Run) -> Html:
    spec, cost = run.specification, run.cost
    numbers = (
        (f"{spec.get('replicate', 0)}", float(spec.get("replicate", 0))),
        (f"{cost.steps:,}", cost.steps),
        (f"{cost.gradient_evaluations:,}", cost.gradient_evaluations),
        (duration(cost.seconds), cost.seconds),
        (duration(cost.compile_seconds), cost.compile_seconds),
        (size(cost.peak_memory_bytes), cost.peak_memory_bytes),
    )
    rate = spec["optimizer"].get("options", {}).get("learning_rate")
    name = str(spec["optimizer"]["name"]) + (f" ({value_words(rate)})" if rate is not None else "")
    cells = [text("th", run.run_id, scope="row"), text("td", name), text("td", str(spec["backend"]))]
    cells += [text("td", said, class_="number", data_value=repr(value)) for said, value in numbers]
    status = run.status if run.status == COUNTED else f"{run.status}: {run.reason}"
    return tag("tr", *cells, text("td", strategy_of(run) or MISSING), text("td", status, class_="words"))


def glossary_section() -> Html:
    return section("words", "Words", definitions(GLOSSARY))
