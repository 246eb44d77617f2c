"""From measurements to the table: ratios, bounds, what failed, and the README."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.figures import Figure, figures
from bench.grid import HIGHEST, LOWEST, learning_rates
from bench.table import BEGIN, END, into_readme, table

MACHINE: dict[str, Any] = {"processor": "a processor", "cores": 2, "versions": {"Python": "3.11"}, "quick": False}


def steady(backend: str, **microseconds: float) -> dict[str, Any]:
    return {"backend": backend, "problem": "mlp", "stack": 32, "microseconds": microseconds}


def found(measured: dict[str, Any], words: str) -> Figure:
    [figure] = [f for f in figures(measured) if words in f"{f.what} {f.against_name}"]
    return figure


def test_a_run_is_compared_with_the_best_loop_by_hand() -> None:
    measured = {"steady": [steady("torch", eager=400.0, fused=350.0, step=100.0, steps=50.0, ours=104.0)]}
    figure = found(measured, "best loop")
    assert (figure.against, figure.ratio, figure.holds) == (100.0, 1.04, True)
    beyond = found(measured, "(steps)")
    assert (beyond.ratio, beyond.bound, beyond.holds) == (104.0 / 50.0, None, None)


def test_a_bound_that_is_missed_is_said() -> None:
    [figure] = figures({"steady": [steady("tensorflow", xla50=100.0, ours=106.0)]})
    assert figure.holds is False
    assert "**missed**" in table([figure], MACHINE, [])


def test_a_stack_is_compared_with_as_many_runs() -> None:
    measured = {"steady": [steady("torch", eager=400.0, fused=350.0, step=100.0, ours=100.0, stack=1000.0)]}
    eager = found(measured, "32 × loop by hand (fused)")
    assert (eager.ratio, eager.bound, eager.sense, eager.holds) == (32 * 350 / 1000, 5.0, "at least", True)
    assert found(measured, "32 × loop by hand (step)").ratio == 3.2


def test_what_failed_gives_no_figure_but_a_sentence() -> None:
    measured = {"steady": [{"failed": "torch: no memory"}], "demo": [{"seconds": 99.0}]}
    [figure] = figures(measured)
    assert figure.holds
    assert "Not measured: torch: no memory" in table([figure], MACHINE, ["torch: no memory"])


def test_memory_and_grids_are_ratios_of_medians() -> None:
    memory = {"backend": "torch", "problem": "mlp", "loop": "step", "bytes": {"raw": [100, 300, 200], "ours": [210]}}
    assert found({"memory": [memory]}, "memory").ratio == pytest.approx(1.05)
    walls = {"ours": [2.0, 4.0, 3.0], "raw": [9.0], "optuna": [], "ray": [30.0, 30.0, 90.0]}
    grid = {"backend": "torch", "loop": "step", "trials": 32, "steps": 1000, "walls": walls}
    assert [figure.ratio for figure in figures({"grid": [grid]})] == [3.0, 10.0]


def test_learning_rates_are_evenly_spaced_on_a_log_scale() -> None:
    rates = learning_rates(32)
    assert (len(rates), rates[0], rates[-1]) == (32, LOWEST, HIGHEST)
    ratios = [b / a for a, b in pairwise(rates)]
    assert max(ratios) - min(ratios) < 1e-4


def test_the_readme_gets_the_table_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    assert into_readme(readme, "| new |\n")
    assert readme.read_text() == f"before\n\n{BEGIN}\n| new |\n{END}\n\nafter\n"
    readme.write_text("no markers")
    assert not into_readme(readme, "| new |\n")
    assert readme.read_text() == "no markers"


def test_a_lever_is_compared_with_the_run_that_has_none() -> None:
    def took(megabytes: int, seconds: float) -> list[dict[str, Any]]:
        return [{"bytes": megabytes * 2**20, "seconds": seconds}]

    measured = {"plain": took(200, 2.0), "bfloat16": took(150, 3.0), "both": took(250, 1.0), "failed": []}
    document = {"levers": [{"backend": "torch", "measured": measured}]}
    figure = found(document, "bfloat16")
    assert (figure.ours, figure.against, figure.ratio, figure.holds) == (150.0, 200.0, 0.75, True)
    assert "1.50 × as long" in figure.what
    assert found(document, "both").holds is False
    assert len(figures(document)) == 2
