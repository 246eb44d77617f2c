"""A single large model, whose gradients are not joined in a buffer: here small ones are taken for large."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from kit import rules  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit_torch.stacked.JOINED", 1)
    monkeypatch.setattr("kit_torch.rule_update.BLOCK", 8)
    monkeypatch.setattr("kit_torch.inductor.BACKEND", "eager")
    monkeypatch.setattr("kit_torch.strategies.compiled.SEVERAL", 2)


def forward(parameters: dict[str, Any], x: Any) -> Any:
    hidden = torch.tanh(x @ parameters["layers.0.weight"].T + parameters["layers.0.bias"])
    return hidden @ parameters["layers.1.weight"].T + parameters["layers.1.bias"]


def made(c: Any, rule: Any, **options: Any) -> Any:
    return c.Case(problem=c.problem(), rule=rule, options={"learning_rate": 0.05, **options}, replicates=(0,))


@pytest.mark.parametrize("strategy", ["views", "vmap", "recorded", "compiled"])
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (rules.Momentum, {}),
        (rules.Adam, {"weight_decay": 0.1, "clip_norm": 0.3}),
        (rules.ScheduleFree, {}),
        (rules.Muon, {"clip_norm": 0.3}),
    ],
    ids=["momentum", "adam", "schedule-free", "muon"],
)
def test_it_follows_the_loop_by_hand_and_continues_to_the_bit(
    kit_torch_cases: Any, rule: Any, options: dict[str, Any], strategy: str
) -> None:
    case, first = (made(kit_torch_cases, rule, **options) for _ in range(2))
    losses, parameters = made(kit_torch_cases, rule, **options).by_hand(forward, F.cross_entropy, 7)
    program = case.program(strategy)
    assert program.setting.stacked.apart
    found = case.train(program, 3, 4)
    np.testing.assert_allclose(found, losses, rtol=1e-12)
    for name, value in program.evaluated_parameters().items():
        np.testing.assert_allclose(value, parameters[name], rtol=1e-11, atol=1e-13)
    begun = first.program(strategy)
    first.train(begun, 3)
    second = first.program(strategy, begun.state())
    np.testing.assert_array_equal(first.train(second, 4), found[3:])
    assert kit_torch_cases.same_state(second.state(), program.state())


def test_no_candidates_are_timed(kit_torch_cases: Any) -> None:
    """A second copy of the state would be a good part of what the run needs."""
    case = made(kit_torch_cases, rules.Adam)
    program = case.program(None)
    case.train(program, 3)
    assert program.strategy == "views"
    assert program.timings == {}
