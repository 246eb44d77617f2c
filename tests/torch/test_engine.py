"""The engine against a loop written by hand: every strategy, rules of every kind, stacks of several replicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from kit import rules  # noqa: E402

pytestmark = pytest.mark.torch

RATES = np.array([0.01, 0.1, 0.3])
RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "gd": (rules.GradientDescent, {"learning_rate": RATES}),
    "momentum": (rules.Momentum, {"learning_rate": RATES, "momentum": np.array([0.5, 0.9, 0.0])}),
    "adam": (rules.Adam, {"learning_rate": RATES, "epsilon": 1e-3}),
    "coupled decay": (rules.Adam, {"learning_rate": RATES, "weight_decay": np.array([0.0, 0.1, 0.3])}),
    "adamw": (rules.AdamW, {"learning_rate": RATES, "weight_decay": np.array([0.0, 0.1, 0.3])}),
    "muon": (rules.Muon, {"learning_rate": RATES / 3, "weight_decay": 0.1}),
    "adafactor": (rules.Adafactor, {"learning_rate": RATES}),
    "lamb": (rules.LAMB, {"learning_rate": RATES}),
    "schedule-free": (rules.ScheduleFree, {"learning_rate": RATES}),
    "clipped": (rules.Momentum, {"learning_rate": RATES, "clip_norm": np.array([np.inf, 0.1, 0.5])}),
    "clipped muon": (rules.Muon, {"learning_rate": RATES / 3, "clip_norm": np.array([np.inf, 0.1, 0.5])}),
}
STEPS = 12


def forward(parameters: dict[str, Any], x: Any) -> Any:
    """An mlp of one hidden layer, as the textbook has it."""
    hidden = torch.tanh(x @ parameters["layers.0.weight"].T + parameters["layers.0.bias"])
    return hidden @ parameters["layers.1.weight"].T + parameters["layers.1.bias"]


def close(found: Any, expected: Any, bound: float = 1e-12) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            close(found[name], expected[name], bound)
        return
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)


@pytest.mark.parametrize("strategy", ["views", "vmap", "recorded"])
@pytest.mark.parametrize("name", RULES)
def test_a_stack_follows_the_loop_by_hand(kit_torch_cases: Any, name: str, strategy: str) -> None:
    rule, options = RULES[name]
    case = kit_torch_cases.Case(
        problem=kit_torch_cases.problem(replicates=2), rule=rule, options=options, replicates=(0, 1, 1)
    )
    losses, parameters = case.by_hand(forward, F.cross_entropy, STEPS)
    program = case.program(strategy)
    close(case.train(program, 5, 4, 3), losses)
    close(program.evaluated_parameters(), parameters)


def test_a_lost_device_is_told_from_memory_that_ran_out() -> None:
    from kit.engine import TellsLoss
    from kit_torch.engine import TorchEngine

    engine = TorchEngine(threads=1)
    assert isinstance(engine, TellsLoss)
    assert engine.lost_device(torch.AcceleratorError("CUDA error: unspecified launch failure"))
    assert not engine.lost_device(torch.OutOfMemoryError("CUDA out of memory."))
    assert not engine.lost_device(RuntimeError("shapes do not fit"))
