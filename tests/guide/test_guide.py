"""The teaching API without a kernel: words, predictions, checks, the choice of the framework."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kit
from kit import guide
from kit.errors import InvalidValueError, UnknownNameError, WorkError
from kit.guide.checks import CheckFailed
from kit.guide.exercises import EXERCISES
from kit.guide.formulas import parts
from kit.guide.prediction import Estimate, Prediction
from kit.guide.running import Unfinished


def guide_controls() -> Any:
    from kit.guide import controls

    return controls


def question() -> Prediction:
    return guide.predict("What happens?", {"slow": "It is slow.", "leaves": "It leaves."}, default="slow")


def test_a_prediction_that_nobody_made_is_not_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    asked = question()
    assert asked.value == "slow"
    asked.compare("leaves", "because it must")
    said = capsys.readouterr().out
    assert said == "No prediction was made. What happened: “It leaves”.\nBecause it must.\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("leaves", "You predicted “It leaves”, and so it is.\n"),
        ("slow", "You predicted “It is slow”. What happened: “It leaves”.\n"),
    ],
)
def test_a_prediction_is_compared(answer: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = question()
    asked.say(answer)
    asked.compare("leaves")
    assert capsys.readouterr().out == said


def test_an_answer_or_an_outcome_that_is_no_choice_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'slow'\?"):
        question().say("slwo")
    with pytest.raises(UnknownNameError):
        question().compare("nothing")
    with pytest.raises(UnknownNameError):
        guide.predict("?", {"a": "A", "b": "B"}, default="c")
    with pytest.raises(InvalidValueError, match="at least two"):
        guide.predict("?", {"a": "A"}, default="a")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (0.5, "That is right"),
        (0.6, "That is right"),
        (5, "10 times too large"),
        (0.05, "10 times too small"),
        (-1, "not it"),
    ],
)
def test_an_estimate_is_compared_as_a_factor(answer: float, verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = guide.estimate("How large?", default=1.0, unit="steps")
    asked.say(answer)
    asked.compare(0.5)
    assert verdict in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["", "much", "nan", None, "1,5"])
def test_an_estimate_is_a_number(answer: object) -> None:
    with pytest.raises(InvalidValueError, match="must be a number"):
        guide.estimate("How large?", default=1.0).say(answer)
    assert isinstance(guide.estimate("How large?", default=2), Estimate)


def test_a_check_says_what_to_do_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    guide.check("two is even", 2 % 2 == 0, "buy another two")
    assert capsys.readouterr().out == "✓ Two is even.\n"
    with pytest.raises(CheckFailed, match=r"This does not hold: Three is even\. Take another number\.") as caught:
        guide.check("three is even", 3 % 2 == 0, "take another number")
    assert caught.value._render_traceback_() == [f"✗ {caught.value}"]  # what a notebook shows instead of a traceback


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., "Not answered yet"),
        (64, "✓ Right. 500 · 64 are 32,000."),
        (65, "Not yet. Divide."),
        ("many", "Not yet: ValueError: "),
    ],
)
def test_an_exercise_never_stops_the_notebook(answer: object, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    guide.exercise(answer, lambda given: int(given) == 64, "divide", because="500 · 64 are 32,000")
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_notebooks_own_exercises(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = EXERCISES[name]
    guide.answer(name, ...)
    assert "Not answered yet" in capsys.readouterr().out
    guide.answer(name, (asked.low + asked.high) / 2)
    assert capsys.readouterr().out.startswith("✓ Right.")
    for wrong in (asked.low * 0.9, asked.high * 1.1, "many", None):
        guide.answer(name, wrong)
        assert capsys.readouterr().out.startswith("Not yet")


def test_a_page_sets_the_answer_and_nothing_else() -> None:
    from kit.guide.controls import Choice

    asked = question()
    control = asked.control(guide_controls())
    control._heard(control, {"set": {"answer": "leaves", "question": "Another?"}}, [])
    assert asked.value == "leaves"
    assert control.question == "What happens?"
    control._heard(control, "no dictionary", [])
    assert isinstance(control, Choice)
    number = guide.estimate("How large?", default=1.0)
    field = number.control(guide_controls())
    field._heard(field, {"set": {"text": "1,5"}}, [])
    assert "must be a number" in field.fault
    assert number.answer is None
    field._heard(field, {"set": {"text": "1.5"}}, [])
    assert (field.fault, number.answer) == ("", 1.5)


def test_an_exercise_that_there_is_not() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'centimetres'"):
        guide.answer("centimeters", ...)


def test_a_figure_is_said_in_words_made_from_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = guide.lines(
        {"a": ([0, 1, 2], [4.0, 1.0, float("nan")]), "b": ([0, 1, 2], [1.0, 8.0, 2.0])},
        x="step", y="loss", title="b turns", marks={"limit": 1.5}, levels={"floor": 0.5},
    )  # fmt: skip
    guide.show(drawn)
    assert capsys.readouterr().out == (
        "In words: Loss against step: b turns. a: from 4.0 at 0 to 1.0 at 1. b: from 1.0 at 0 (highest: 8.0 at 1) "
        "to 2.0 at 2. Marked on the horizontal axis: limit at 1.5. Marked on the vertical axis: floor at 0.5.\n"
    )
    texts = {text.get_text() for axes in drawn.axes for text in axes.texts}
    assert {"a", "b", "limit", "floor"} <= texts  # colour is never the only sign


def test_between_two_replicates_there_is_none() -> None:
    drawn = guide.lines(
        {"a": (range(1, 13), [0.5] * 11 + [0.25])}, x="replicate", y="loss", title="a", x_scale="linear"
    )
    [axes] = drawn.axes
    assert all(tick == int(tick) for tick in axes.get_xticks())
    assert any(tick != int(tick) for tick in axes.get_yticks())


def test_a_figure_without_words_or_points_is_refused() -> None:
    from matplotlib.figure import Figure

    with pytest.raises(InvalidValueError, match="not said in words"):
        guide.show(Figure())
    with pytest.raises(InvalidValueError, match="no line has a finite point"):
        guide.lines({"a": ([0.0], [float("inf")])}, x="x", y="y", title="none")


def test_a_formula_is_the_very_code_that_trains() -> None:
    from kit.rules.momentum import Momentum

    mathematics, code, source = parts("momentum")
    assert inspect.cleandoc("\n" + inspect.getsource(Momentum.update)) == code
    assert mathematics.split("\n\n")[1] in inspect.cleandoc(Momentum.__doc__ or "")
    assert source == Momentum.source


def test_the_framework_is_the_environments_else_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    names = guide.frameworks()
    assert set(names) >= {"torch", "tensorflow"}
    assert guide.framework().name == names[0]
    assert guide.framework("torch").name == "torch"
    monkeypatch.setenv("KIT_GUIDE_FRAMEWORK", "tensorflow")
    chosen = guide.framework("torch")
    assert chosen.name == "tensorflow"
    chosen.name = "torch"
    assert kit.Experiment(backend=chosen.name).backend == "torch"
    monkeypatch.setenv("KIT_GUIDE_FRAMEWORK", "tensrflow")
    with pytest.raises(UnknownNameError, match="Did you mean 'tensorflow'"):
        guide.framework()


def test_without_a_framework_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PLUGINS", "builtin")
    with pytest.raises(InvalidValueError, match="Install descentkit-torch or descentkit-tensorflow"):
        guide.framework()


def test_a_run_is_awaited_and_says_how_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = kit.Experiment(dataset="diabetes", model="linear", optimizer="gd", budget=20, backend="torch")
    results = asyncio.run(guide.run(base.vary(learning_rate=[0.1, 1e6]), store=tmp_path))
    assert capsys.readouterr().out == "2 runs: 1 done, 1 diverged.\n"
    assert [run.status for run in results] == ["done", "diverged"]
    run = asyncio.run(guide.run(base.replace(optimizer=kit.optimizer("gd", learning_rate=0.1)), store=tmp_path))
    assert run.run_id == results.runs[0].run_id


def test_a_run_that_was_stopped_halts_the_notebook_and_goes_on_when_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = str(Path(__file__).parents[1] / "numpy_backend")
    monkeypatch.setenv("PYTHONPATH", backend)
    monkeypatch.syspath_prepend(backend)
    experiment = kit.Experiment(
        dataset="iris", model="linear", optimizer="minibatch", backend="numpy", budget=kit.Budget(seconds=2)
    )
    study = kit.Study.over(experiment, {})

    async def stopped(**options: Any) -> Any:
        training = asyncio.ensure_future(guide.run(study, store=tmp_path, **options))
        while not list(tmp_path.rglob("log.jsonl")):
            await asyncio.sleep(0.02)
        study.stop()
        return await training

    with pytest.raises(Unfinished, match=r"^1 run: 1 stopped\. Run this cell again, and what was stopped goes on"):
        asyncio.run(stopped())
    assert capsys.readouterr().out == ""
    assert asyncio.run(stopped(whole=False)).runs[0].status == "stopped"
    assert asyncio.run(guide.run(study, store=tmp_path)).runs[0].status == "done"
    assert capsys.readouterr().out == "1 run: 1 stopped.\n1 run: 1 done.\n"


def test_why_a_run_failed_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = str(Path(__file__).parents[1] / "numpy_backend")
    monkeypatch.setenv("PYTHONPATH", backend)
    monkeypatch.syspath_prepend(backend)
    model = kit.model("faulty", raise_at=3)
    base = kit.Experiment(dataset="iris", model=model, optimizer="minibatch", backend="numpy", budget=20)
    asyncio.run(guide.run(base.vary(replicate=range(2)), store=tmp_path))
    first, *reasons = capsys.readouterr().out.splitlines()
    assert first == "2 runs: 2 failed."
    assert len(reasons) == 1
    assert "the plugin's model raised, as it was asked to" in reasons[0]


def test_a_probe_reads_the_start_even_of_what_then_diverges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_STORE", str(tmp_path))
    base = kit.Experiment(dataset="diabetes", model="linear", loss="mse", optimizer="gd", backend="torch")
    wild = base.replace(optimizer=kit.optimizer("gd", learning_rate=1e9))
    found = [asyncio.run(guide.probe(each, "curvature", iterations=11)) for each in (base, wild)]
    assert found[0]["largest_curvature"] == found[1]["largest_curvature"] == pytest.approx(8.23, abs=0.01)
    with pytest.raises(WorkError, match=r"The probe 'trajectory' read nothing: .*at most 16 parameters"):
        asyncio.run(guide.probe(base.replace(dataset="digits", loss=None), "trajectory"))


def test_writing_a_notebook_loads_no_framework_and_no_widgets() -> None:
    code = (
        "import sys; from kit import guide\n"
        "[getattr(guide, name) for name in guide.__all__]\n"
        "print({'torch', 'tensorflow', 'ipywidgets', 'nbformat', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
