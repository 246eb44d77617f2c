"""Results as a value: lanes and their names, selections, the table, words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from kit.errors import InvalidValueError, UnknownNameError
from kit.results import Results, Run
from kit.results.words import duration, listed, number, p_value, percent, short, size


def test_runs_stand_in_the_order_of_the_outcomes(make_study: Any) -> None:
    outcomes = make_study(("gd", "adam"), ("torch",), 2)
    results = Results(outcomes, axes=["optimizer", "replicate"], notes=["A note."])
    assert [run.run_id for run in results.runs] == [outcome.run_id for outcome in outcomes]
    assert all(isinstance(run, Run) for run in results)
    assert len(results) == 4
    assert results.axes == ("optimizer", "replicate")
    assert results.notes == ("A note.",)
    assert repr(results) == "Results(4 runs, varying optimizer, replicate)"


def test_a_lane_is_named_by_what_tells_it_apart(make_study: Any, make_outcome: Any) -> None:
    assert [lane.name for lane in Results(make_study(("gd", "adam"), ("torch",))).lanes] == ["gd", "adam"]
    assert [lane.name for lane in Results(make_study(("adam",))).lanes] == ["torch", "tensorflow"]
    assert Results(make_study(("gd", "adam"))).lanes[0].name == "gd · torch"
    assert [lane.name for lane in Results([make_outcome("adam")]).lanes] == ["adam"]
    rates = [make_outcome("adam", learning_rate=rate) for rate in (1e-4, 0.01)]
    assert [lane.name for lane in Results(rates).lanes] == ["learning rate 1e-4", "learning rate 0.01"]
    both = [*rates, make_outcome("sgd", learning_rate=0.01)]
    assert [lane.name for lane in Results(both).lanes] == ["adam at 1e-4", "adam at 0.01", "sgd at 0.01"]


def test_select_by_label_list_status_and_option(make_outcome: Any, make_study: Any) -> None:
    outcomes = make_study(("gd", "sgd", "adam"), replicates=2)
    outcomes.append(
        make_outcome("wild", "torch", 0, diverged_at=30, model={"name": "mlp", "options": {"hidden": [64]}})
    )
    results = Results(outcomes)
    assert len(results.select(optimizer="adam")) == 4
    assert len(results.select(optimizer=["adam", "gd"], backend="torch")) == 4
    assert len(results.select(replicate=range(2), optimizer="gd", backend="torch")) == 2
    assert [run.status for run in results.select(status="diverged")] == ["diverged"]
    assert len(results.select(model__hidden=(64,))) == len(results.select(model__hidden=[64])) == 1


def test_select_refuses_what_is_not_there_with_the_nearest(make_study: Any) -> None:
    results = Results(make_study(("adam", "sgd"), ("torch",), 1))
    with pytest.raises(UnknownNameError, match="Did you mean 'optimizer'"):
        results.select(optimiser="adam")
    with pytest.raises(UnknownNameError, match="Did you mean 'adam'"):
        results.select(optimizer="adm")


def test_in_a_notebook_a_table_is_shown_once(make_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There rich prints to the page whatever file it was given."""
    plain = str(Results(make_study(("gd", "adam"))).table())
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert str(Results(make_study(("gd", "adam"))).table()) == plain
    assert "adam" in plain


def test_the_table_has_a_line_per_algorithm_and_framework(make_study: Any) -> None:
    results = Results(make_study())
    table = results.table()
    text = str(table)
    assert text.splitlines()[0].split("  ")[0] == "algorithm"
    columns = ("framework", "batch", "learning rate", "training loss", "validation loss", "95% interval", "accuracy")
    for column in (*columns, "time", "status"):
        assert column in text.splitlines()[0]
    assert len(table.rows) == 8
    lane = results.lanes[-1]
    finals = [run.finals["validation_loss"] for run in lane.runs]
    row = table.frame.iloc[-1]
    assert row["validation_loss"] == pytest.approx(stats.gmean(finals))
    assert row["validation_loss_low"] < row["validation_loss"] < row["validation_loss_high"]
    assert number(row["validation_loss"]) in text
    assert "1,437" in text
    assert text.count("3 done") == 8
    assert text.count("▸ 0.") == 2


def test_the_table_counts_what_did_not_finish_and_leaves_it_out(make_outcome: Any) -> None:
    outcomes = [make_outcome("wild", "torch", r, diverged_at=50 if r else None) for r in range(3)]
    table = Results(outcomes).table()
    assert "1 done, 2 diverged" in str(table)
    kept = Results(outcomes).runs[0].finals["validation_loss"]
    assert table.frame["validation_loss"][0] == pytest.approx(kept)
    assert math.isnan(table.frame["validation_loss_low"][0])


def test_the_table_escapes_names_in_html_and_keeps_brackets_in_text(make_outcome: Any) -> None:
    outcome = make_outcome("<b>[red]bold", "torch", 0)
    table = Results([outcome]).table()
    assert "<b>" not in table._repr_html_()
    assert "&lt;b&gt;[red]bold" in table._repr_html_()
    assert "<b>[red]bold" in str(table)
    assert Results([outcome])._repr_html_() == table._repr_html_()


def test_an_objective_function_is_judged_by_its_training_loss(make_outcome: Any) -> None:
    outcomes = [replace(make_outcome("adam", "torch", r), final={"train_loss": 0.1 + r}) for r in range(2)]
    results = Results(outcomes)
    assert results.metric == "train_loss"
    assert "validation" not in str(results.table())


def test_no_finished_run_has_no_best_one(make_outcome: Any) -> None:
    results = Results([make_outcome("wild", "torch", 0, diverged_at=20)])
    with pytest.raises(InvalidValueError, match="No run finished"):
        results.best()
    assert results.sentences()[0] == "No run finished: 1 diverged."
    assert "diverged" in str(results.table())


def test_a_stopped_run_is_not_a_result(make_outcome: Any) -> None:
    outcomes = [make_outcome("adam", "torch", r, level=1.0) for r in range(2)]
    outcomes += [make_outcome("sgd", "torch", r, level=0.1, status="stopped") for r in range(2)]
    results = Results(outcomes)
    assert results.best().name == "adam"
    assert "No run of sgd finished (2 stopped)." in " ".join(results.sentences())


def test_notes_stand_apart_from_the_sentences(make_study: Any) -> None:
    results = Results(make_study(("adam",), ("torch",), 2), notes=["The worker was replaced."])
    assert "The worker was replaced." not in results.sentences()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (number(0.15432), "0.154"),
        (number(12345.6), "12,346"),
        (number(3.14e-6), "3.14e-6"),
        (number(-0.5), "−0.500"),
        (number(math.nan), "–"),
        (number(math.inf), "∞"),
        (number(9.996, 2), "10"),
        (short(1e-4), "1e-4"),
        (short(0.0005), "5e-4"),
        (short(64.0), "64"),
        (duration(0.0123), "12 ms"),
        (duration(125), "2 min 5 s"),
        (duration(3840), "1 h 4 min"),
        (duration(2e-5), "20 µs"),
        (size(3.4e8), "340 MB"),
        (size(0), "–"),
        (percent(0.123), "12%"),
        (percent(0.0003), "0.030%"),
        (p_value(0.0123), "p = 0.012"),
        (p_value(1e-9), "p < 0.001"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (listed([]), ""),
    ],
)
def test_numbers_are_said_as_people_read_them(said: str, expected: str) -> None:
    assert said == expected


def test_a_store_of_many_kinds_can_be_told_and_reported(make_outcome: Any, make_study: Any, tmp_path: Any) -> None:
    """Two datasets, a regression without accuracy, a run that recorded nothing, one that was lost halfway."""
    outcomes = make_study(("gd", "adam"), replicates=2)
    outcomes += [
        make_outcome("adam", "torch", r, dataset={"name": "iris", "options": {}}, level=0.05) for r in range(2)
    ]
    nothing = replace(make_outcome("sgd", "torch", 0), status="failed", reason="The device is not there.")
    outcomes.append(replace(nothing, curves=nothing.curves.iloc[:0]))
    lost = make_outcome("lion", "torch", 0)
    outcomes.append(replace(lost, status="lost", reason="The worker is gone.", curves=lost.curves.iloc[:120]))
    regression = make_outcome("adam", "torch", 0, dataset={"name": "diabetes", "options": {}}, loss={"name": "mse"})
    outcomes.append(
        replace(regression, curves=regression.curves[~regression.curves["metric"].str.contains("accuracy")])
    )
    results = Results(outcomes)
    said = " ".join(results.sentences())
    assert "The device is not there." in said
    assert "The worker is gone." in said
    assert "iris" in str(results.table())
    assert len(results.summary) == len(outcomes)
    assert results.report(tmp_path / "report.html").stat().st_size > 0
    for item in results.compare(pairs="all"):
        assert item.a.labels["dataset"] == item.b.labels["dataset"]
