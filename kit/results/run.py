"""A run as its user sees it: how it ended, its curves, its parameters, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kit.errors import StoreError, unknown
from kit.outcome import Cost, Outcome
from kit.results.labels import labels_of
from kit.results.metrics import COSTS

if TYPE_CHECKING:
    import pandas as pd

    from kit.store import Store

CLOCKS = ("step", "samples", "gradient_evaluations", "seconds")


class Run:
    """An experiment carried out."""

    def __init__(self, outcome: Outcome, store: Store | None = None) -> None:
        self.outcome = outcome
        self._store = store

    @property
    def run_id(self) -> str:
        """The hash of the resolved specification, which names the run in its store."""
        return self.outcome.run_id

    @property
    def specification(self) -> dict[str, Any]:
        """The resolved specification: everything that was chosen, defaults included."""
        return self.outcome.specification

    @cached_property
    def labels(self) -> dict[str, Any]:
        """The specification laid flat: every choice by the name that `Experiment.vary` takes. Not to be changed."""
        return labels_of(self.specification)

    @property
    def status(self) -> str:
        """`done`, `diverged`, `stopped`, `failed` or `lost`; `reason` says it in a sentence."""
        return self.outcome.status

    @property
    def reason(self) -> str:
        """Why it ended as it did, in a sentence."""
        return self.outcome.reason

    @property
    def cost(self) -> Cost:
        """Steps, samples, gradient evaluations, seconds of training, peak memory in bytes."""
        return self.outcome.cost

    @property
    def record(self) -> dict[str, Any]:
        """How it was computed: strategy, timings of the candidates, threads, versions."""
        return self.outcome.record

    @property
    def metrics(self) -> list[str]:
        """The names of its curves."""
        return sorted({*map(str, self.outcome.curves["metric"].unique()), "seconds"})

    def curve(self, metric: str, against: str = "step") -> pd.Series:
        """A curve as a series by step, or against `samples`, `gradient_evaluations` or `seconds`.

        `seconds` is a curve too: training time by step. Raises `UnknownNameError` for a metric that the run has not.
        """
        if against not in CLOCKS:
            raise unknown("clock to read a curve against", against, CLOCKS)
        curves = self.outcome.curves
        if metric == "seconds":
            rows = curves.drop_duplicates("step").sort_values("step")
            return rows.set_index(against)["seconds"].rename("seconds")
        rows = curves[curves["metric"] == metric]
        if rows.empty:
            raise unknown("curve", metric, self.metrics)
        return rows.sort_values("step").set_index(against)["value"].rename(metric)

    @cached_property
    def finals(self) -> dict[str, float]:
        """The last value of every curve, and every field of the cost: read off once, without the curves where the
        store has noted them."""
        found = dict(self.outcome.final)
        if not found and len(curves := self.outcome.curves):
            last = curves.loc[curves.groupby("metric", sort=False)["step"].idxmax()]
            found = {str(metric): float(value) for metric, value in zip(last["metric"], last["value"], strict=True)}
        cost = self.cost
        return found | {name: float(getattr(cost, name)) for name in COSTS}

    @cached_property
    def points(self) -> Mapping[str, Mapping[str, Any]]:
        """Metric -> column of `Outcome.curves` -> array, steps ascending: sorted out once, for what reads often."""
        import numpy as np

        curves = self.outcome.curves
        metrics = curves["metric"].to_numpy(dtype=object)
        columns = {name: curves[name].to_numpy() for name in (*CLOCKS, "value")}
        found = {}
        for metric in dict.fromkeys(metrics):
            rows = np.flatnonzero(metrics == metric)
            rows = rows[np.argsort(columns["step"][rows], kind="stable")]
            found[str(metric)] = {name: values[rows] for name, values in columns.items()}
        return found

    def final(self, metric: str) -> float:
        """The last value of a curve."""
        return float(self.curve(metric).iloc[-1])

    def parameters(self) -> dict[str, Any]:
        """Canonical name -> array, as the run ended; the rule's averages where it has them.

        Raises `StoreError` for a run that left no checkpoint (it diverged or failed).
        """
        if self._store is None:
            raise StoreError("These results do not come from a store, so there are no parameters with them.")
        return self._store.parameters(self.run_id)

    def __repr__(self) -> str:
        optimizer, backend = self.specification["optimizer"]["name"], self.specification["backend"]
        said = "" if self.status == "done" else f": {self.reason}"
        return f"Run({self.run_id}: {optimizer} on {backend}, {self.status} after {self.cost.steps} steps{said})"
