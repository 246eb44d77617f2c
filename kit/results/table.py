"""The table that a study ends with: a line per lane, in a terminal, a notebook, a report or plain text."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from kit.results.lanes import Lane
from kit.results.metrics import is_accuracy, metric_names, on_log_scale
from kit.results.pairing import best_of, grouped
from kit.results.statistics import Interval
from kit.results.words import MISSING, duration, label_words, metric_words, number, short, value_words

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

WIDTH = 160  # of the plain text, where there is no terminal to ask
HEADINGS = {"optimizer": "algorithm", "backend": "framework", "batch_size": "batch", "learning_rate": "learning rate"}
MARK = "▸"  # stands at the best value of a framework, which is also bold: colour is never the only sign


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in the table, and the number to sort it by (None: sort by the text)."""

    text: str
    value: float | None = None
    best: bool = False

    @property
    def marked(self) -> str:
        return f"{MARK} {self.text}" if self.best else self.text


class Table:
    """Lanes as lines. `rows` holds cells, `frame` the numbers."""

    def __init__(self, lanes: Sequence[Lane], judged_by: str) -> None:
        self.lanes = tuple(lanes)
        self.judged_by = judged_by
        runs = [run for lane in lanes for run in lane.runs]
        present = metric_names(runs)
        self.losses: list[str] = [name for name in ("train_loss", "validation_loss") if name in present]
        if not self.losses and "batch_loss" in present:
            self.losses = ["batch_loss"]
        self.accuracies = [name for name in present if is_accuracy(name) and name.startswith("validation")]
        self.accuracies = self.accuracies or [name for name in present if is_accuracy(name)]
        self.log = {name: on_log_scale(runs, name) for name in (*self.losses, *self.accuracies, "seconds", judged_by)}
        self.best = {
            id(best)
            for group in grouped(lanes, ("dataset", "loss", "backend"))
            if len(group) > 1 and (best := best_of(group, judged_by, log=self.log[judged_by]))
        }

    @property
    def names(self) -> list[str]:
        """The label columns: algorithm, what else tells the lanes apart, framework; then batch and learning rate."""
        told = {name for lane in self.lanes for name in lane.telling} - {"batch_size", "learning_rate", "backend"}
        order = [name for name in (self.lanes[0].telling if self.lanes else ()) if name in told]
        return list(dict.fromkeys(["optimizer", *order, "backend", "batch_size", "learning_rate"]))

    @property
    def columns(self) -> list[str]:
        heads = [HEADINGS.get(name, name.rpartition("__")[2].replace("_", " ")) for name in self.names]
        for name in self.losses:
            heads += [metric_words(name), *(["95% interval"] if name == self.judged_by else [])]
        accuracies = ["accuracy" if len(self.accuracies) == 1 else metric_words(name) for name in self.accuracies]
        return [*heads, *accuracies, "time", "status"]

    @property
    def right(self) -> list[bool]:
        """Which columns hold numbers."""
        numbers = {"batch", "learning rate", "95% interval", "time"}
        numbers |= {metric_words(name) for name in (*self.losses, *self.accuracies)} | {"accuracy"}
        return [column in numbers for column in self.columns]

    @property
    def rows(self) -> list[list[Cell]]:
        return [self._row(lane) for lane in self.lanes]

    def _row(self, lane: Lane) -> list[Cell]:
        cells = [_label(lane.labels.get(name)) for name in self.names]
        for name in self.losses:
            mean = lane.mean(name, log=self.log[name])
            judged = name == self.judged_by
            cells.append(Cell(text=number(mean.estimate), value=mean.estimate, best=judged and id(lane) in self.best))
            if judged:
                cells.append(Cell(text=interval_text(mean), value=mean.high - mean.low))
        for name in self.accuracies:
            mean = lane.mean(name, log=False)
            cells.append(
                Cell(text=MISSING if math.isnan(mean.estimate) else f"{100 * mean.estimate:.1f}%", value=mean.estimate)
            )
        seconds = lane.mean("seconds", log=self.log["seconds"])
        cells.append(Cell(text=duration(seconds.estimate), value=seconds.estimate))
        return [*cells, Cell(text=lane.status)]

    @property
    def frame(self) -> pd.DataFrame:
        """The labels, the mean and interval (`…_low`, `…_high`) of each metric, the runs in each state."""
        import pandas as pd

        rows = []
        for lane in self.lanes:
            row: dict[str, Any] = {name: lane.labels.get(name) for name in self.names}
            for name in (*self.losses, *self.accuracies, "seconds"):
                mean = lane.mean(name, log=self.log[name])
                row |= {name: mean.estimate, f"{name}_low": mean.low, f"{name}_high": mean.high}
            rows.append(row | {"runs": len(lane.runs), "status": lane.status})
        return pd.DataFrame(rows)

    @property
    def caption(self) -> str:
        """How to read it."""
        replicates = max((len(lane.runs) for lane in self.lanes), default=0)
        if replicates < 2:
            return "One run each, so there are no intervals."
        means = "geometric means" if self.log[self.judged_by] else "means"
        said = f"Losses and times are {means} over finished replicates, with Student's t intervals."
        return f"{said} {MARK} best {metric_words(self.judged_by)} of its framework." if self.best else said

    def __rich__(self) -> RichTable:
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        made = RichTable(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=Text(self.caption), caption_justify="left"
        )
        for column, right in zip(self.columns, self.right, strict=True):
            made.add_column(Text(column), justify="right" if right else "left", overflow="fold")
        for row in self.rows:
            made.add_row(*(Text(cell.marked, style="bold" if cell.best else "") for cell in row))
        return made

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        # In a notebook rich would show the text beside the table that `_repr_html_` makes, and write nothing here.
        Console(file=text, width=WIDTH, color_system=None, force_jupyter=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks: a plain table, which takes the notebook's own colours."""
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in self.columns)
        body = []
        for row in self.rows:
            cells = [
                f'<td style="text-align:{"right" if right else "left"};white-space:nowrap">{_emphasis(cell)}</td>'
                for cell, right in zip(row, self.right, strict=True)
            ]
            body.append(f"<tr>{''.join(cells)}</tr>")
        caption = f'<caption style="caption-side:bottom;text-align:left">{escape(self.caption)}</caption>'
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _label(value: Any) -> Cell:
    if value is None:
        return Cell(text=MISSING)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(text=short(value) if isinstance(value, float) else f"{value:,}", value=float(value))
    return Cell(text=value_words(value))


def _emphasis(cell: Cell) -> str:
    return f"<strong>{escape(cell.marked)}</strong>" if cell.best else escape(cell.text)


def interval_text(mean: Interval) -> str:
    """`0.14 to 0.17`; a dash where there is none."""
    return MISSING if math.isnan(mean.low) else f"{number(mean.low)} to {number(mean.high)}"


def heading(lane: Lane) -> str:
    """A lane's labels in words, for an accessible row heading."""
    return ", ".join(label_words(name, lane.labels[name]) for name in lane.telling) or lane.name
