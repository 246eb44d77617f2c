"""Framework against framework: planted differences are found where they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kit.results import Results
from kit.results.parity import relative


def test_a_planted_difference_is_measured(make_study: Any) -> None:
    """The generator multiplies tensorflow's batch loss by 1 + 1e-6 (step / 100)²."""
    parity = Results(make_study(replicates=2)).parity()
    assert len(parity) == 8
    assert parity.holds is True
    for pair in parity.pairs:
        assert pair.backends == ("torch", "tensorflow")
        assert pair.first == pytest.approx(1e-6, rel=1e-3)
        assert pair.last == pytest.approx(2.5e-5, rel=1e-3)
    assert "by at most 1e-6 of its value" in str(parity)
    assert "within the promised 1e-4" in str(parity)


def test_a_broken_promise_is_said(make_study: Any) -> None:
    outcomes = make_study(("adam", "sgd"), replicates=2)
    for outcome in outcomes:
        if outcome.specification["backend"] == "tensorflow" and outcome.specification["optimizer"]["name"] == "sgd":
            outcome.curves.loc[outcome.curves["metric"] == "batch_loss", "value"] *= 1.01
    parity = Results(outcomes).parity()
    assert parity.holds is False
    assert "beyond the promised 1e-4 in 2 pairs of runs (sgd)" in str(parity)


def test_the_bound_is_that_of_the_precision(make_study: Any) -> None:
    assert Results(make_study(("adam",), replicates=1, dtype="float64")).parity().holds is False
    assert Results(make_study(("adam",), replicates=1, dtype="bfloat16")).parity().holds is None


def test_nothing_is_promised_of_native_optimizers(make_study: Any) -> None:
    outcomes = make_study(("Adam",), replicates=1)
    for outcome in outcomes:
        outcome.specification["optimizer"]["kind"] = "native"
    parity = Results(outcomes).parity()
    assert parity.holds is None
    assert "Nothing is promised of Adam" in str(parity)


def test_equal_runs_agree_bit_for_bit(make_outcome: Any) -> None:
    one = make_outcome("adam", "torch", 0)
    other = replace(one, specification=one.specification | {"backend": "tensorflow"})
    parity = Results([one, other]).parity()
    assert "bit for bit" in str(parity)
    assert parity.frame["largest"][0] == 0


def test_one_framework_has_no_parity(make_study: Any) -> None:
    parity = Results(make_study(("adam",), ("torch",))).parity()
    assert len(parity) == 0
    assert parity.holds is None
    assert "no two runs differ in nothing but the framework" in str(parity)
    assert len(parity.frame) == 0


def test_the_frameworks_are_told_in_one_order(make_study: Any) -> None:
    outcomes = make_study(("adam", "sgd"), replicates=1)
    outcomes = [outcomes[0], outcomes[1], outcomes[3], outcomes[2]]
    assert {pair.backends for pair in Results(outcomes).parity().pairs} == {("torch", "tensorflow")}


def test_the_measure_of_a_difference() -> None:
    nan, inf = float("nan"), float("inf")
    found = relative(np.array([1.0, 0.0, -2.0, nan, inf, inf]), np.array([1.1, 0.0, 2.0, 1.0, 1.0, inf]))
    np.testing.assert_allclose(found, [0.1 / 1.1, 0.0, 2.0, 1.0, 1.0, nan], rtol=1e-12)


def test_a_run_that_diverged_is_compared_as_far_as_it_goes(make_outcome: Any) -> None:
    outcomes = [make_outcome("wild", backend, 0, diverged_at=40) for backend in ("torch", "tensorflow")]
    (pair,) = Results(outcomes).parity().pairs
    assert pair.steps[-1] == 39  # the last loss is not a number
