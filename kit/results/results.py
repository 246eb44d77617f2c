"""What a study came to: its runs, their frames, and what can be said about them.

    results = study.run()
    results.table()                                  # algorithm × framework
    results.compare()                                # which differences are real
    results.select(backend="torch").plot_curves()
    results.report("report.html")

It is made from outcomes alone and needs no framework. pandas, scipy and matplotlib are imported when first used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError, unknown
from kit.outcome import Outcome
from kit.results.drawing import Drawn
from kit.results.lanes import Lane, lanes_of
from kit.results.metrics import checked, on_log_scale
from kit.results.run import Run

if TYPE_CHECKING:
    import pandas as pd
    import xarray

    from kit.results.comparison import Comparisons
    from kit.results.pairing import Pairs
    from kit.results.parity import Parity
    from kit.results.sensitivity import RateSearch
    from kit.results.table import Table
    from kit.store import Store


class Results(Drawn):
    """Runs to be compared. `axes` names what varies in the study; `notes` are sentences that belong to no run."""

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        axes: Sequence[str] | None = None,
        store: Store | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.runs = [Run(outcome, store) for outcome in outcomes]
        self.axes = tuple(axes or ())
        self.store = store
        self.notes = tuple(notes)
        self._palette: tuple[str, ...] | None = None  # of the results that these were selected from

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Tidy: one row per run, metric and step. Columns: run, the labels (dataset, model, loss, optimizer,
        learning_rate, schedule, batch_size, backend, device, dtype, seed, replicate, and whatever else varies, such as
        `model__hidden`), metric, step, samples, gradient_evaluations, seconds, value."""
        from kit.results.frames import curves_frame

        return curves_frame(self.runs)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per run: run, labels, status, reason, the last value of each metric, `best_…`, cost, strategy."""
        from kit.results.frames import summary_frame

        return summary_frame(self.runs)

    @cached_property
    def lanes(self) -> list[Lane]:
        """Runs that differ in nothing but seed and replicate, together; in the order of the study."""
        return lanes_of(self.runs)

    @property
    def metric(self) -> str:
        """What these results are judged by: the validation loss, or the training loss where nothing was held out."""
        return checked(None, self.runs)

    def log_scale(self, metric: str) -> bool:
        """Whether a metric is averaged on the log scale: positive losses, times; not accuracies."""
        return on_log_scale(self.runs, metric)

    def to_xarray(self) -> xarray.Dataset:
        """(run, step): a variable per metric, the labels as coordinates. Raises `MissingPackageError` without it."""
        from kit.results.frames import labelled_array

        return labelled_array(self.runs)

    def to_parquet(self, path: str | Path) -> Path:
        """Write `curves` as Parquet."""
        from kit.results.frames import parquet_ready

        parquet_ready(self.curves).to_parquet(path, index=False)
        return Path(path)

    def select(self, **labels: Any) -> Results:
        """The runs with these labels: `select(optimizer="adam", backend=["torch"], status="done")`. A list means any.

        Raises `UnknownNameError` for a label that no run has, or a value that none takes.
        """
        known = [run.labels | {"status": run.status, "run": run.run_id} for run in self.runs]
        keep = [True] * len(self.runs)
        for name, wanted in labels.items():
            names = {label for each in known for label in each}
            if self.runs and name not in names:
                raise unknown("label in these results", name, names)
            hits = [_matches(each.get(name), wanted) for each in known]
            if self.runs and not any(hits):
                values = {str(each.get(name)) for each in known}
                raise unknown(f"run here whose {name} is that, and none", str(wanted), values)
            keep = [kept and hit for kept, hit in zip(keep, hits, strict=True)]
        chosen = [run.outcome for run, kept in zip(self.runs, keep, strict=True) if kept]
        selected = Results(chosen, self.axes, self.store, self.notes)
        selected._palette = self.palette
        return selected

    @property
    def palette(self) -> tuple[str, ...]:
        """The methods in the order in which they take their colours: the same in every figure and selection."""
        from kit.plot.palette import colour_keys

        return self._palette or colour_keys(self.lanes)

    def table(self) -> Table:
        """Algorithm × framework: batch size used, learning rate, losses, accuracy, interval, time, status."""
        from kit.results.table import Table

        return Table(self.lanes, self.metric)

    def compare(self, metric: str | None = None, pairs: Pairs = "best") -> Comparisons:
        """Paired comparisons with 95% intervals, corrected by Holm's method: methods within each framework, then
        framework against framework.

        metric: a curve's last value, or a cost such as "seconds"; None: what these results are judged by.
        pairs: "best", each method against the best; or "all".
        Raises `UnknownNameError` for a metric that no run has, `InvalidValueError` for other pairs.
        """
        from kit.results.comparison import Comparisons, compare_lanes
        from kit.results.findings import remarks

        if pairs not in ("best", "all"):
            raise InvalidValueError(f"pairs={pairs!r} is not valid; it must be 'best' or 'all'.")
        chosen = checked(metric, self.runs)
        items = compare_lanes(self.lanes, chosen, pairs, judged_by=self.metric)
        settings = list({id(item.setting): item.setting for item in items}.values())
        return Comparisons(items, chosen, remarks(self, settings))

    def parity(self) -> Parity:
        """Framework against framework: how far the losses of runs alike in all else differ."""
        return self._parity

    @cached_property
    def _parity(self) -> Parity:
        from kit.results.parity import parity_of

        return parity_of(self.runs)

    def best(self, metric: str | None = None) -> Lane:
        """The lane with the best mean; one of whose runs some did not finish comes after all that did.

        Raises `InvalidValueError` when no run finished.
        """
        from kit.results.pairing import best_of

        chosen = checked(metric, self.runs)
        found = best_of(self.lanes, chosen, log=self.log_scale(chosen))
        if found is None:
            raise InvalidValueError("No run finished, so there is no best one.")
        return found

    def searches(self, metric: str | None = None, within: float = 0.1) -> list[RateSearch]:
        """The learning-rate searches in these results, one per method and setting."""
        from kit.results.sensitivity import rate_searches

        chosen = checked(metric, self.runs)
        return rate_searches(self.lanes, chosen, log=self.log_scale(chosen), within=within)

    def sensitivity(self, metric: str | None = None, within: float = 0.1) -> pd.DataFrame:
        """Learning rate against final value, with intervals; which rates are within a share of the best; the edges."""
        from kit.results.sensitivity import sensitivity_frame

        return sensitivity_frame(self.searches(metric, within))

    def sentences(self) -> list[str]:
        """All that can be said, made from the data: headline, verdicts, what did not finish, parity."""
        from kit.results.findings import all_sentences

        return all_sentences(self)

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __repr__(self) -> str:
        axes = f", varying {', '.join(self.axes)}" if self.axes else ""
        return f"Results({len(self.runs)} runs{axes})"

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())


def _matches(value: Any, wanted: Any) -> bool:
    """Equal, or equal to any of a list."""
    wanted = _as_label(wanted)
    if value == wanted:
        return True
    return isinstance(wanted, tuple | set | frozenset | range) and any(value == _as_label(item) for item in wanted)


def _as_label(wanted: Any) -> Any:
    return tuple(_as_label(item) for item in wanted) if isinstance(wanted, list | tuple) else wanted
