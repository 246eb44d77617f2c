"""Rules as formulas in place, against the rule as it is written in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kit import rules  # noqa: E402
from kit.engine import Stack  # noqa: E402
from kit.rules.reference import Reference  # noqa: E402
from kit.rules.rule import Rule  # noqa: E402
from kit.rules.scalars import schedule_scalars  # noqa: E402
from kit_torch.formula import Formula, Untraceable  # noqa: E402
from kit_torch.rule_update import RuleUpdate  # noqa: E402
from kit_torch.stacked import Stacked  # noqa: E402

pytestmark = pytest.mark.torch

SHAPES = {"scalar": (), "vector": (5,), "matrix": (3, 4), "kernel": (2, 3, 2, 2)}
ELEMENTWISE = [rule for rule in rules.ALL if rule.elementwise]
STEPS = 25


def trained(
    rule: Any, trials: int, options: dict[str, Any], second: float | None = None
) -> tuple[Any, RuleUpdate, Reference]:
    """(stack, update, reference) after some steps of gradients that depend on the parameters, in chunks.

    second: where the second trial begins, in every element.
    """
    chosen = rule.record().options(options)
    made = rule(**{h.name: chosen[h.name] for h in rule.all_hyperparameters() if h.structural})
    floats = {name: np.full(trials, chosen[name]) for name in made.float_names}
    floats["learning_rate"] = floats["learning_rate"] * np.linspace(1, 0.3, trials)
    source = np.random.default_rng(0)
    start = [source.normal(size=(trials, *shape)) for shape in SHAPES.values()]
    for values in start:
        if second is not None:
            values[1] = second
    stacked = Stacked(SHAPES, trials, torch.float64, torch.device("cpu"))
    stacked.write(stacked.flat, dict(zip(SHAPES, start, strict=True)))
    decays, clips = chosen["weight_decay"] > 0, np.isfinite(chosen["clip_norm"])
    stack = Stack(replicates=np.zeros(trials, dtype=int), seeds=np.arange(trials), decays=decays, clips=clips)
    update, reference = RuleUpdate(made, stacked, stack), Reference(made, start, floats)
    carry = made.carry(trials)
    factors = np.repeat(1 / (1 + 0.1 * np.arange(STEPS))[:, None], trials, axis=1)
    done = 0
    for steps in (1, 7, STEPS - 8):
        scalars, carry = schedule_scalars(made, floats, factors[done : done + steps], done, carry)
        for now in update.prepare(scalars):
            stacked.deliver([3 * v + torch.sin(5 * v) for v in stacked.views.values()])
            update.step(now)
        done += steps
    reference.advance(lambda parameters: [3 * p + np.sin(5 * p) for p in parameters], factors)
    return stacked, update, reference


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "clip_norm": 0.7}], ids=str)
@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
def test_a_formula_computes_the_rule(rule: Any, trials: int, options: dict[str, Any]) -> None:
    stacked, update, reference = trained(rule, trials, options)
    assert update._formula is not None, "every built-in elementwise rule is a formula"
    for found, expected in zip(stacked.views.values(), reference.parameters, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)
    reported = stacked.split(update.evaluated(stacked.flat)).values()
    for found, expected in zip(reported, reference.evaluated(), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


class Numbers(Rule):
    """Numbers of its own in the formula, wherever one may stand."""

    name = "numbers"
    slots = ("m",)

    def update(self, xp: Any, p: Any, g: Any, s: Any, h: Any) -> Any:
        m = 0.5 * s["m"] + 0.25 * g * g
        return p - 0.01 * g + -0.001 * (g / (1.0 + xp.abs(m))) - h.learning_rate * 0.1 * g, {"m": m}


@pytest.mark.parametrize("trials", [1, 3])
def test_numbers_of_the_formula_s_own(trials: int) -> None:
    """In a stack too, where hyperparameters are arrays and these are not."""
    stacked, update, reference = trained(Numbers, trials, {})
    assert update._formula is not None
    for name, expected in zip(SHAPES, reference.parameters, strict=True):
        np.testing.assert_allclose(stacked.views[name].numpy(), expected, rtol=1e-12, atol=1e-13)


def test_centered_rmsprop() -> None:
    stacked, _, reference = trained(rules.RMSprop, 2, {"centered": True, "momentum": 0.5})
    for found, expected in zip(stacked.views.values(), reference.parameters, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("trials", [1, 3])
def test_blocks_change_no_bit(trials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = trained(rules.Adam, trials, {"weight_decay": 0.1})
    monkeypatch.setattr("kit_torch.rule_update.BLOCK", 7 * trials)
    cut, update, _ = trained(rules.Adam, trials, {"weight_decay": 0.1})
    assert len(update._work) > 5
    assert torch.equal(whole.flat, cut.flat)


class Lopsided(Rule):
    """Moves twice as far against negative gradients: a choice by value, which no formula here makes.

    p ← p − η g where g > 0, else p − 2 η g.
    """

    name = "lopsided"

    def update(self, xp: Any, p: Any, g: Any, s: Any, h: Any) -> Any:
        return p - h.learning_rate * xp.where(g > 0, g, 2 * g), s


def test_a_rule_that_is_no_formula_runs_as_it_is_written() -> None:
    with pytest.raises(Untraceable):
        Formula(Lopsided(), (), decays=False)
    stacked, update, reference = trained(Lopsided, 2, {"clip_norm": 0.7, "weight_decay": 0.1})
    assert update._formula is None
    for found, expected in zip(stacked.views.values(), reference.parameters, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("rule", [rules.Adam, rules.Momentum, rules.ScheduleFreeAdamW, rules.RMSprop])
def test_a_neighbour_that_is_not_finite_changes_no_bit(rule: Any, value: float) -> None:
    options = {"clip_norm": 0.7, "weight_decay": 0.1}
    healthy, _, _ = trained(rule, 3, options)
    with np.errstate(all="ignore"):
        sick, _, _ = trained(rule, 3, options, second=value)
    assert torch.equal(healthy.flat[[0, 2]], sick.flat[[0, 2]])
    assert not torch.equal(healthy.flat[1], sick.flat[1])
