"""What a stack promises: members as if alone, neighbours untouched by divergence, chunks and resumption to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

from kit import rules
from kit.engine import InputSpec, Native

pytestmark = pytest.mark.jax

RATES = np.array([0.01, 0.1, 0.3])
ADAM = {"learning_rate": RATES}
IMAGES = InputSpec(shape=(6, 6, 2), outputs=3, task="classification")
TEXT = InputSpec(shape=(5,), outputs=7, task="language", tokens=7)
POINT = InputSpec(shape=(1,), outputs=1, task="objective")
CASES: dict[str, Any] = {
    "even replicates": ({"replicates": 2}, rules.Adam, {"replicates": (1, 0, 1, 0), "options": {"learning_rate": 0.1}}),
    "uneven replicates": ({"replicates": 2}, rules.Adam, {"replicates": (0, 1, 1)}),
    "one replicate": ({}, rules.Momentum, {}),
    "full batch": ({}, rules.GradientDescent, {"full_batch": True}),
    "streamed": ({"replicates": 2}, rules.Adam, {"replicates": (0, 1, 1), "streamed": True}),
    "dropout": ({"dropout": 0.4}, rules.Adam, {"replicates": (0, 1, 1)}),
    "cnn": ({"model": "cnn", "inputs": IMAGES, "channels": (2, 3), "hidden": 4}, rules.Muon, {}),
    "transformer": ({"model": "transformer", "inputs": TEXT, "width": 4, "blocks": 1}, rules.AdamW, {}),
    "averaged": ({}, rules.ScheduleFreeAdamW, {}),
    "clipped": ({}, rules.Adafactor, {"options": {**ADAM, "clip_norm": np.array([0.1, np.inf, 1.0])}}),
    "objective": (
        {"model": "rosenbrock", "inputs": POINT, "loss": "output"}, rules.Momentum,
        {"options": {"learning_rate": RATES * 1e-3}},
    ),
    "optax": ({}, "adamw", {}),
    "optax, each its own": ({}, "sgd", {}),
}  # fmt: skip


def made(c: Any, name: str) -> Any:
    import optax

    problem, rule, more = CASES[name]
    if isinstance(rule, str):
        own = [{"momentum": m} if "own" in name else {"b1": 0.8} for m in (0.5, 0.9, 0.0)]
        rule = Native(build=getattr(optax, rule), options=tuple(own))
    return c.Case(problem=c.problem(**problem), rule=rule, **{"options": ADAM, **more})


@pytest.mark.parametrize("name", CASES)
def test_chunks_and_resumption_change_no_bit(kit_jax_cases: Any, name: str) -> None:
    whole, cut = made(kit_jax_cases, name), made(kit_jax_cases, name)
    program, begun = whole.program(), cut.program()
    losses = whole.train(program, 6)
    assert losses.dtype == np.float64
    assert losses.shape == (6, whole.size)
    np.testing.assert_array_equal(cut.train(begun, 1, 2), losses[:3])
    evaluated = begun.evaluated_parameters()
    resumed = cut.program(begun.state())
    for key, array in resumed.evaluated_parameters().items():
        np.testing.assert_array_equal(array, evaluated[key])
    np.testing.assert_array_equal(cut.train(resumed, 3), losses[3:])
    assert kit_jax_cases.same_state(resumed.state(), program.state())


@pytest.mark.parametrize("name", CASES)
def test_members_are_what_they_are_alone(kit_jax_cases: Any, name: str) -> None:
    case = made(kit_jax_cases, name)
    program = case.program()
    losses, state = case.train(program, 5), program.state()
    noisy = {p.name for p in case.problem.parameters if p.exempt_from_parity}  # their gradient is rounding alone
    for n in (0, case.size - 1):
        alone = case.only(n)
        single = alone.program()
        np.testing.assert_allclose(alone.train(single, 5)[:, 0], losses[:, n], rtol=1e-12)
        for key, value in single.state().parameters.items():
            if key not in noisy:
                np.testing.assert_allclose(value[0], state.parameters[key][n], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("even replicates", np.nan), ("one replicate", np.inf), ("cnn", 1e300), ("transformer", np.nan),
        ("clipped", np.inf), ("optax", np.nan),
    ],
)  # fmt: skip
def test_a_diverged_member_changes_no_bit_of_its_neighbours(kit_jax_cases: Any, name: str, value: float) -> None:
    healthy, sick = made(kit_jax_cases, name), made(kit_jax_cases, name)
    program, other = healthy.program(), sick.program()
    healthy.train(program, 2)
    sick.train(other, 2)
    state = other.state()
    for array in state.parameters.values():
        array[1] = value
    other.load(state)
    expected, found = healthy.train(program, 4), sick.train(other, 4)
    neighbours = [n for n in range(healthy.size) if n != 1]
    assert not np.isfinite(found[-1, 1])
    np.testing.assert_array_equal(found[:, neighbours], expected[:, neighbours])
    one, two = program.state(), other.state()
    for key, array in one.parameters.items():
        np.testing.assert_array_equal(two.parameters[key][neighbours], array[neighbours])
    losses = [each.evaluate("validation")["loss"][neighbours] for each in (program, other)]
    np.testing.assert_array_equal(*losses)


@pytest.mark.parametrize("name", ["even replicates", "streamed", "full batch", "averaged"])
def test_reading_changes_no_bit(kit_jax_cases: Any, name: str) -> None:
    silent, read = made(kit_jax_cases, name), made(kit_jax_cases, name)
    program, other = silent.program(), read.program()
    silent.train(program, 5)
    read.train(other, 2)
    for split in ("train", "validation"):
        other.evaluate(split)
    indices = read.order.indices(0, 1)
    if read.streamed:
        x, y = read.gathered(indices)
        other.gradients(None, (x[0], y[0]))
    else:
        other.gradients(None if read.full_batch else indices[0])
    other.state()
    read.train(other, 3)
    assert kit_jax_cases.same_state(other.state(), program.state())


@pytest.mark.parametrize("name", ["even replicates", "uneven replicates", "streamed", "full batch"])
def test_gradients_are_those_of_the_mean_loss(kit_jax_cases: Any, name: str) -> None:
    """By finite differences of the loss that a step reports."""
    case = made(kit_jax_cases, name)
    program, indices = case.program(), case.order.indices(0, 1)
    work = case.work(1)
    if case.streamed:
        found = program.gradients(None, tuple(v[0] for v in work["samples"]))
    else:
        found = program.gradients(None if case.full_batch else indices[0])
    size = 1e-6
    for name_of, values in case.start().parameters.items():
        direction = np.random.default_rng(0).normal(size=values.shape)
        ends = []
        for sign in (1, -1):
            state = case.start()
            state.parameters[name_of] = values + sign * size * direction
            program.load(state)
            ends.append(program.advance(**work)[0])
        slope = (ends[0] - ends[1]) / (2 * size)
        along = (found[name_of] * direction).reshape(case.size, -1).sum(1)
        np.testing.assert_allclose(along, slope, rtol=1e-6, atol=1e-8)


def test_evaluation_in_slices_is_the_mean_of_all_rows(kit_jax_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = made(kit_jax_cases, "even replicates")
    whole = case.program().evaluate("train")
    monkeypatch.setattr("kit_jax.evaluation.MOST_BYTES", 40_000)
    program = case.program()
    for key, values in program.evaluate("train").items():
        np.testing.assert_allclose(values, whole[key], rtol=1e-12)
    assert 1 < program._rows < 20


def test_more_steps_than_a_call_has_room_for(kit_jax_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, cut = (made(kit_jax_cases, "even replicates") for _ in range(2))
    expected = one.train(one.program(), 7)
    monkeypatch.setattr("kit_jax.feed.MOST_STEPS", 3)
    np.testing.assert_array_equal(cut.train(cut.program(), 7), expected)
