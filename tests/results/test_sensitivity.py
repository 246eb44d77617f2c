"""The search for a learning rate: a parabola with its minimum at 0.01, that diverges from 1 on."""

from __future__ import annotations

from typing import Any

from kit.results import Results

RATES = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0]


def test_the_known_optimum_is_found_with_its_range(make_sweep: Any) -> None:
    results = Results(make_sweep(RATES))
    (search,) = results.searches()
    assert search.best is not None
    assert search.best.labels["learning_rate"] == 0.01
    assert [lane.labels["learning_rate"] for lane in search.good] == [3e-3, 1e-2, 3e-2]
    assert search.edge == ""
    assert "0.01 is the best of 7 learning rates" in search.sentence
    assert "all rates from 0.003 to 0.03 come within 10%" in search.sentence
    assert search.sentence.endswith("It diverges at 1.")


def test_the_frame_has_a_row_per_rate(make_sweep: Any) -> None:
    frame = Results(make_sweep(RATES)).sensitivity()
    assert list(frame["learning_rate"]) == RATES
    assert list(frame["n"]) == [5] * 6 + [0]
    assert list(frame["diverged"]) == [0] * 6 + [5]
    assert frame["best"].sum() == 1
    done = frame[frame["n"] > 0]
    assert (done["low"] < done["mean"]).all()
    assert (done["mean"] < done["high"]).all()


def test_a_wider_tolerance_takes_more_rates(make_sweep: Any) -> None:
    results = Results(make_sweep(RATES))
    assert results.sensitivity(within=0.5)["good"].sum() > results.sensitivity(within=0.1)["good"].sum()


def test_the_best_at_an_edge_is_a_warning(make_sweep: Any) -> None:
    (low,) = Results(make_sweep([1e-2, 3e-2, 1e-1])).searches()
    (high,) = Results(make_sweep([1e-4, 1e-3, 1e-2])).searches()
    assert (low.edge, high.edge) == ("lowest", "highest")
    assert "widen the grid" in low.sentence


def test_a_rate_that_diverged_in_part_is_not_good(make_outcome: Any) -> None:
    outcomes = [make_outcome("adam", "torch", r, learning_rate=0.01, level=0.2) for r in range(3)]
    outcomes += [
        make_outcome("adam", "torch", r, learning_rate=0.1, level=0.01, diverged_at=None if r == 0 else 30)
        for r in range(3)
    ]
    (search,) = Results(outcomes).searches()
    assert search.best is not None
    assert search.best.labels["learning_rate"] == 0.01
    assert [lane.labels["learning_rate"] for lane in search.good] == [0.01]


def test_every_rate_diverged(make_sweep: Any) -> None:
    results = Results(make_sweep([1.0, 2.0], replicates=2))
    (search,) = results.searches()
    assert "no learning rate led to a finished run" in search.sentence
    assert results.sentences()[0] == "No run finished: 4 diverged."


def test_no_search_without_two_rates(make_study: Any) -> None:
    assert Results(make_study()).searches() == []
    assert len(Results(make_study()).sensitivity()) == 0


def test_a_search_in_two_frameworks_is_said_once(make_sweep: Any) -> None:
    results = Results(make_sweep(RATES, ("adam", "sgd"), ("torch", "tensorflow"), 2))
    assert len(results.searches()) == 4
    assert sum("learning rates tried" in sentence for sentence in results.sentences()) == 2
