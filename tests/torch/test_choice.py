"""The loop chosen by timing: it changes no number, fails no run, and compiling is tried only where it can pay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kit import rules  # noqa: E402
from kit_torch.engine import TorchEngine  # noqa: E402

pytestmark = pytest.mark.torch

RATES = np.array([0.01, 0.1, 0.3])


def case_of(c: Any, rule: Any = rules.Adam) -> Any:
    return c.Case(problem=c.problem(replicates=2), rule=rule, options={"learning_rate": RATES}, replicates=(0, 1, 1))


def chosen(case: Any, steps: int) -> Any:
    program = case.compile(None, steps=steps)
    program.load(case.start())
    return program


@pytest.mark.parametrize("rule", [rules.Adam, rules.GradientDescent, rules.ScheduleFree])
def test_the_choice_changes_no_bit(kit_torch_cases: Any, rule: Any) -> None:
    case, again = case_of(kit_torch_cases, rule), case_of(kit_torch_cases, rule)
    program = chosen(case, 10)
    assert program.strategy == ""
    losses = case.train(program, 3, 4)
    assert program.strategy in program.timings
    assert set(program.timings) <= set(TorchEngine().strategies(case.problem, case.optimizer, case.stack))
    assert all(value > 0 for value in program.timings.values())
    assert program.strategy == min(program.timings, key=program.timings.get)
    assert program.compile_seconds > 0
    named = again.program(program.strategy)
    np.testing.assert_array_equal(again.train(named, 7), losses)
    assert kit_torch_cases.same_state(named.state(), program.state())
    assert named.compile_seconds == 0 or named.strategy in ("recorded", "compiled")


def test_a_short_run_compiles_nothing(kit_torch_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("something was compiled")

    monkeypatch.setattr(torch, "compile", refused)
    monkeypatch.setattr("kit_torch.inductor.compiled", refused)
    case = case_of(kit_torch_cases)
    program = chosen(case, 200)
    case.train(program, 5)
    assert "compiled" not in program.timings


def test_without_a_compiler_nothing_is_compiled(kit_torch_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    case = case_of(kit_torch_cases)
    program = chosen(case, 10**9)
    case.train(program, 5)
    assert "compiled" not in program.timings


def test_a_candidate_that_fails_is_left_out(kit_torch_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr("kit_torch.inductor.compiled", broken)
    case, plain = case_of(kit_torch_cases), case_of(kit_torch_cases)
    program = chosen(case, 10**9)
    losses = case.train(program, 5)
    assert "compiled" not in program.timings
    assert any("compiled" in note and "no such kernel" in note for note in program.notes)
    np.testing.assert_array_equal(plain.train(plain.program(program.strategy), 5), losses)


def test_diverging_trials_do_not_upset_the_choice(kit_torch_cases: Any) -> None:
    c = kit_torch_cases
    case = c.Case(
        problem=c.problem(),
        rule=rules.GradientDescent,
        options={"learning_rate": np.array([0.1, np.inf, 1e300])},
    )
    losses = case.train(chosen(case, 10), 5)
    assert np.isfinite(losses[:, 0]).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, within its compiler
def test_inductor_computes_what_the_universal_loop_computes(
    kit_torch_cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one test that runs the real compiler: 10 s. Programs of one step and of two."""
    import shutil

    monkeypatch.setattr("kit_torch.strategies.compiled.SEVERAL", 2)
    monkeypatch.setattr("kit_torch.strategies.compiled.SHORT_SECONDS", float("inf"))

    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler")
    case, plain = case_of(kit_torch_cases), case_of(kit_torch_cases)
    program = case.program("compiled")
    losses = case.train(program, 3, 4)
    np.testing.assert_allclose(losses, plain.train(plain.program("views"), 7), rtol=1e-12)
    assert program.compile_seconds > 0
    again = case_of(kit_torch_cases)
    np.testing.assert_array_equal(again.train(again.program("compiled"), 1, 6), losses)
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inductor_trains_on_a_full_batch(kit_torch_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """x and y stand there once for all steps, also in the program of several."""
    import shutil

    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler")
    monkeypatch.setattr("kit_torch.strategies.compiled.SEVERAL", 2)
    monkeypatch.setattr("kit_torch.strategies.compiled.SHORT_SECONDS", float("inf"))
    c = kit_torch_cases

    def full() -> Any:
        options = {"learning_rate": RATES}
        return c.Case(problem=c.problem(), rule=rules.GradientDescent, options=options, full_batch=True)

    case, cut, plain = full(), full(), full()
    losses = case.train(case.program("compiled"), 5)
    np.testing.assert_array_equal(cut.train(cut.program("compiled"), 1, 4), losses)
    np.testing.assert_allclose(losses, plain.train(plain.program("views"), 5), rtol=1e-12)
