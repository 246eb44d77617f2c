"""Every strategy against a loop in NumPy: rules of every kind, stacks of several replicates, every way of feeding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kit import rules
from kit.engine import InputSpec, State

pytestmark = pytest.mark.tensorflow

STRATEGIES = ("graph", "xla", "vectorized", "vectorized_xla", "batched", "batched_xla")
RATES = np.array([0.01, 0.1, 0.3])
RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "gd": (rules.GradientDescent, {"learning_rate": RATES}),
    "momentum": (rules.Momentum, {"learning_rate": RATES, "momentum": np.array([0.5, 0.9, 0.0])}),
    "adam": (rules.Adam, {"learning_rate": RATES, "epsilon": 1e-3}),
    "coupled decay": (rules.Adam, {"learning_rate": RATES, "weight_decay": np.array([0.0, 0.1, 0.3])}),
    "adamw": (rules.AdamW, {"learning_rate": RATES, "weight_decay": np.array([0.0, 0.1, 0.3])}),
    "amsgrad": (rules.AMSGrad, {"learning_rate": RATES}),
    "muon": (rules.Muon, {"learning_rate": RATES / 3, "weight_decay": 0.1}),
    "adafactor": (rules.Adafactor, {"learning_rate": RATES}),
    "lamb": (rules.LAMB, {"learning_rate": RATES}),
    "schedule-free": (rules.ScheduleFree, {"learning_rate": RATES}),
    "clipped": (rules.Momentum, {"learning_rate": RATES, "clip_norm": np.array([np.inf, 0.1, 0.5])}),
    "clipped muon": (rules.Muon, {"learning_rate": RATES / 3, "clip_norm": np.array([np.inf, 0.1, 0.5])}),
}
# Under XLA, whose compilation takes a second or two: an elementwise rule that decays and clips, and a matrix rule.
PAIRS = [(rule, strategy) for rule in RULES for strategy in ("graph", "vectorized", "batched")]
PAIRS += [(rule, f"{kind}xla") for rule in ("adamw", "clipped muon") for kind in ("", "vectorized_", "batched_")]


@pytest.mark.parametrize(("name", "strategy"), PAIRS)
def test_a_stack_follows_the_loop_by_hand(tf_cases: Any, name: str, strategy: str) -> None:
    rule, options = RULES[name]
    case = tf_cases.Case(problem=tf_cases.problem(replicates=2), rule=rule, options=options, replicates=(0, 1, 1))
    losses, parameters = case.by_hand(tf_cases.mlp_gradient(), 12)
    program = case.program(strategy)
    tf_cases.close(case.train(program, 5, 4, 3), losses)
    tf_cases.close(program.evaluated_parameters(), parameters)
    assert program.strategy == strategy


# Members of one replicate, of two in any order and equally many, and unequally many. Under XLA the one hardest case.
SPREADS = ((0, 0, 0, 0), (0, 1, 0, 1), (1, 0, 0))
SPREAD_PAIRS = [(spread, strategy) for spread in SPREADS for strategy in ("graph", "vectorized", "batched")]
SPREAD_PAIRS += [(SPREADS[1], f"{kind}_xla") for kind in ("vectorized", "batched")]


@pytest.mark.parametrize(("replicates", "strategy"), SPREAD_PAIRS)
def test_members_find_their_own_samples(tf_cases: Any, replicates: tuple[int, ...], strategy: str) -> None:
    rates = np.linspace(0.1, 0.4, len(replicates))
    case = tf_cases.Case(
        problem=tf_cases.problem(replicates=2),
        rule=rules.Momentum,
        options={"learning_rate": rates},
        replicates=replicates,
    )
    losses, parameters = case.by_hand(tf_cases.mlp_gradient(), 6)
    program = case.program(strategy)
    tf_cases.close(case.train(program, 6), losses)
    tf_cases.close(program.state().parameters, parameters)
    found = program.evaluate("validation")
    assert found["loss"].shape == found["accuracy"].shape == (len(replicates),)


WAYS = ("shared", "full_batch", "streamed", "dropout", "streamed dropout")
WAY_PAIRS = [(way, strategy) for way in WAYS for strategy in ("graph", "vectorized", "batched")]
WAY_PAIRS += [(way, "batched_xla") for way in ("full_batch", "streamed dropout")]


@pytest.mark.parametrize(("way", "strategy"), WAY_PAIRS)
def test_every_way_of_feeding(tf_cases: Any, way: str, strategy: str) -> None:
    problem = tf_cases.problem(replicates=1 if way == "shared" else 2, dropout=0.3 if "dropout" in way else 0.0)
    case = tf_cases.Case(
        problem=problem,
        rule=rules.Momentum,
        options={"learning_rate": RATES},
        replicates=(0, 1, 1),
        full_batch=way == "full_batch",
        streamed="streamed" in way,
    )
    losses, parameters = case.by_hand(tf_cases.mlp_gradient(0.3), 7)
    program = case.program(strategy)
    tf_cases.close(case.train(program, 3, 4), losses)
    tf_cases.close(program.state().parameters, parameters)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cutting_a_run_into_calls_changes_no_bit(tf_cases: Any, strategy: str) -> None:
    case = tf_cases.Case(
        problem=tf_cases.problem(replicates=2, dtype="float32"),
        rule=rules.AdamW,
        options={"learning_rate": RATES, "weight_decay": 0.1},
        replicates=(0, 1, 1),
        dtype="float32",
    )
    program, start, ends = case.program(strategy), case.start(), []
    for chunks in ((300,), (1,) * 20 + (280,), (7, 250, 43)):  # compiled loops have room for 256 steps a call
        case.position, case.carry = 0, case.optimizer.carry(case.size)
        program.load(start)
        ends.append((case.train(program, *chunks).tobytes(), program.state()))
    for losses, state in ends[1:]:
        assert losses == ends[0][0]
        assert tf_cases.same_state(state, ends[0][1])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_diverged_member_changes_no_bit_of_its_neighbours(tf_cases: Any, strategy: str) -> None:
    problem = tf_cases.problem(replicates=2, dtype="float32")

    def trained(rate: float) -> tuple[Any, State]:
        options = {"learning_rate": np.array([0.1, rate, 0.2])}
        case = tf_cases.Case(
            problem=problem, rule=rules.Momentum, options=options, replicates=(0, 1, 1), dtype="float32"
        )
        program = case.program(strategy)
        return case.train(program, 40), program.state()

    (calm, before), (wild, after) = trained(0.1), trained(3e38)
    assert not np.isfinite(wild[-1, 1])
    assert np.isfinite(calm).all()
    for n in (0, 2):
        assert wild[:, n].tobytes() == calm[:, n].tobytes()
        for name, value in tf_cases.leaves(before).items():
            assert value[n].tobytes() == tf_cases.leaves(after)[name][n].tobytes(), name


@pytest.mark.parametrize("strategy", ["vectorized", "batched", "vectorized_xla", "batched_xla"])
def test_members_of_a_stack_as_alone(tf_cases: Any, strategy: str) -> None:
    case = tf_cases.Case(
        problem=tf_cases.problem(replicates=2),
        rule=rules.Adam,
        options={"learning_rate": RATES / 3},
        replicates=(0, 1, 1),
    )
    together = case.train(case.program(strategy), 30)
    for n in range(3) if strategy.endswith("ed") else (2,):
        alone = case.only(n)
        program = alone.program("graph" if strategy.startswith("vectorized") else strategy, _member(case.start(), n))
        tf_cases.close(alone.train(program, 30)[:, 0], together[:, n])


def _member(state: State, n: int) -> State:
    return State(parameters={name: value[n : n + 1] for name, value in state.parameters.items()})


@pytest.mark.parametrize("strategy", ["graph", "vectorized", "batched"])
@pytest.mark.parametrize(
    ("loss", "task", "outputs"),
    [("mse", "regression", 1), ("huber", "regression", 3), ("binary_cross_entropy", "binary", 1)],
)
def test_other_losses_and_targets_train_alike(tf_cases: Any, loss: str, task: str, outputs: int, strategy: str) -> None:
    inputs = InputSpec(shape=(6,), outputs=outputs, task=task)
    problem = tf_cases.problem(inputs=inputs, loss=loss, replicates=2)
    options = {"learning_rate": RATES}
    case = tf_cases.Case(problem=problem, rule=rules.Adagrad, options=options, replicates=(0, 1, 1))
    losses = case.train(case.program(strategy), 6)
    alone = case.only(1)
    expected = alone.train(alone.program("graph", _member(case.start(), 1)), 6)
    tf_cases.close(losses[:, 1:2], expected)
    found = case.program(strategy).evaluate("train")
    assert ("accuracy" in found) == (task == "binary")


@pytest.mark.parametrize("strategy", ["graph", "batched", "batched_xla"])
def test_objective_functions_descend(tf_cases: Any, strategy: str) -> None:
    """Gradient descent on ½ (x² + κ y²) is known in closed form: x (1 − η)^t, y (1 − η κ)^t."""
    inputs = InputSpec(shape=(1,), outputs=1, task="objective")
    problem = tf_cases.problem("quadratic", inputs=inputs, loss="output", condition=10.0, start=(4.0, 1.0), rows=1)
    case = tf_cases.Case(
        problem=problem,
        rule=rules.GradientDescent,
        options={"learning_rate": np.array([0.05, 0.1])},
        replicates=(0, 0),
        full_batch=True,
        batch=1,
    )
    case.factors = lambda steps: np.ones((steps, 2))
    program = case.program(strategy)
    losses = case.train(program, 20)
    rates = np.array([0.05, 0.1])
    x, y = (start * (1 - curvature * rates) ** np.arange(21)[:, None] for start, curvature in ((4.0, 1), (1.0, 10)))
    tf_cases.close(losses, (0.5 * (x * x + 10 * y * y))[:20])
    tf_cases.close(program.state().parameters["position"], np.stack([x[-1], y[-1]], axis=1))
