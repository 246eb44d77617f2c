"""The figures and the report of results: drawn in `kit.plot` and `kit.report`, offered where one looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from kit.plot.chart import Chart
    from kit.results.results import Results

Clock = Literal["step", "samples", "gradient_evaluations", "seconds"]
Scale = Literal["log", "linear"]


class Drawn:
    """What `Results` can draw of itself. Each figure is a `matplotlib.figure.Figure` that a notebook shows and
    `savefig` writes; `.words` says it in words. theme: "light" or "dark". narrow: panels one below the other."""

    def plot_curves(
        self,
        metric: str | None = None,
        *,
        against: Clock = "step",
        x_scale: Scale | None = None,
        y_scale: Scale | None = None,
        facet: str | None = "backend",
        theme: str = "light",
        narrow: bool = False,
    ) -> Chart:
        """Mean curves with 95% bands, against step, samples, gradient_evaluations or seconds; a panel per framework.
        See `kit.plot.curves.plot_curves`."""
        from kit.plot import plot_curves

        return plot_curves(
            _results(self),
            metric,
            against=against,
            x_scale=x_scale,
            y_scale=y_scale,
            facet=facet,
            theme=theme,
            narrow=narrow,
        )

    def plot_sensitivity(
        self,
        metric: str | None = None,
        *,
        within: float = 0.1,
        theme: str = "light",
        narrow: bool = False,
    ) -> Chart:
        """Final value against learning rate, with intervals; the good range is marked. See
        `kit.plot.sensitivity.plot_sensitivity`."""
        from kit.plot import plot_sensitivity

        return plot_sensitivity(_results(self), metric, within=within, theme=theme, narrow=narrow)

    def plot_cost(
        self,
        metric: str | None = None,
        *,
        cost: str = "seconds",
        theme: str = "light",
        narrow: bool = False,
    ) -> Chart:
        """Final value against cost, with intervals and the lanes that none beats in both. See
        `kit.plot.cost.plot_cost`."""
        from kit.plot import plot_cost

        return plot_cost(_results(self), metric, cost=cost, theme=theme, narrow=narrow)

    def plot_trajectories(
        self,
        function: Callable[[Any, Any], Any] | None = None,
        *,
        parameters: tuple[str, str] | None = None,
        minima: tuple[tuple[float, float], ...] | None = None,
        theme: str = "light",
        narrow: bool = False,
    ) -> Chart:
        """The paths of a two-parameter model over the contours of `function(x0, x1)`, which takes NumPy arrays; None:
        of the test function that was minimised. See `kit.plot.trajectories.plot_trajectories`."""
        from kit.plot import plot_trajectories

        return plot_trajectories(
            _results(self), function, parameters=parameters, minima=minima, theme=theme, narrow=narrow
        )

    def plot_parity(self, *, theme: str = "light", narrow: bool = False) -> Chart:
        """Framework against framework: losses on the diagonal, and their relative difference by step. See
        `kit.plot.parity.plot_parity`."""
        from kit.plot import plot_parity

        return plot_parity(_results(self), theme=theme, narrow=narrow)

    def report(self, path: str | Path, title: str | None = None, study: Any = None) -> Path:
        """Write one self-contained HTML file. study: what is needed to run it again (a `Study`, or its JSON).

        Raises `StoreError` where it cannot be written.
        """
        from kit.report import write_report

        written: Path = write_report(_results(self), path, title=title, study=study)
        return written


def _results(drawn: Drawn) -> Results:
    """`Results` is the one class that is made of `Drawn`."""
    return cast("Results", drawn)
