"""Keras's own optimizers with all their arguments, beside Keras's own training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import keras  # noqa: E402

from kit.engine import Native, State  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402
from kit.laboratory.arguments import arguments  # noqa: E402
from kit.needs import Needs  # noqa: E402
from kit.registry import Registry  # noqa: E402
from kit_tensorflow import wrapped  # noqa: E402
from kit_tensorflow.native import NATIVE  # noqa: E402

pytestmark = pytest.mark.tensorflow

STEPS, RATE = 7, 0.05


def plain() -> Any:
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3)])


def scaled(learning_rate: float, **options: Any) -> Any:
    return wrapped.loss_scaled(learning_rate, "SGD", initial_scale=1024.0, dynamic_growth_steps=3, **options)


def several(learning_rate: float) -> Any:
    return wrapped.multiple(learning_rate, "Adam", "SGD")


CASES: list[tuple[Any, dict[str, Any]]] = [
    (keras.optimizers.SGD, {"gradient_accumulation_steps": 3, "momentum": 0.9}),
    (keras.optimizers.Adam, {"gradient_accumulation_steps": 2, "clipnorm": 0.05, "weight_decay": 0.1}),
    (keras.optimizers.Adam, {"use_ema": True, "ema_momentum": 0.7}),
    (keras.optimizers.SGD, {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}),
    (keras.optimizers.SGD, {"loss_scale_factor": 64.0, "clipnorm": 0.05}),
    (scaled, {}),
    (several, {}),
]


def by_keras(case: Any, build: Any, options: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What `fit` does, step by step: (parameters after, parameters once the values are final)."""
    model = plain()
    optimizer = build(learning_rate=RATE, **options)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for k in range(STEPS):
        rows = case.order.indices(k, 1)[0, 0]
        x, y = (values[0][rows] for values in (case.block.x, case.block.y))
        with tf.GradientTape() as tape:
            loss = optimizer.scale_loss(loss_of(y, model(x, training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    after = [v.numpy() for v in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    return after, [v.numpy() for v in model.trainable_variables]


def case_of(tf_cases: Any, build: Any, options: dict[str, Any], size: int = 1, **native: Any) -> Any:
    given = Native(build=build, options=(options,) * size, rates=(RATE,) * size, **native)
    case = tf_cases.Case(
        problem=tf_cases.problem(plain(), dtype="float32"),
        rule=given,
        options={"learning_rate": RATE},
        replicates=(0,) * size,
        dtype="float32",
    )
    case.factors = lambda steps: np.ones((steps, size))
    return case


@pytest.mark.parametrize(("build", "options"), CASES, ids=[f"{b.__name__}-{'-'.join(o)}" for b, o in CASES])
def test_every_argument_follows_keras_itself(tf_cases: Any, build: Any, options: dict[str, Any]) -> None:
    case = case_of(tf_cases, build, options)
    program = case.program("graph")
    case.train(program, 3)
    middle = program.state()
    work = case.work(STEPS - 3)
    losses = program.advance(**work)
    after, final = by_keras(case, build, options)
    for found, expected in zip(program.state().parameters.values(), after, strict=True):
        tf_cases.close(found[0], expected, 1e-5)
    for found, expected in zip(program.evaluated_parameters().values(), final, strict=True):
        tf_cases.close(found[0], expected, 1e-5)
    again = case.program("graph", middle)
    assert again.advance(**work).tobytes() == losses.tobytes()
    assert tf_cases.same_state(again.state(), program.state())


def test_a_state_that_begins_at_the_parameters_begins_at_the_runs_own(tf_cases: Any) -> None:
    """ScheduleFreeAdamW's z, beside Defazio et al. 2024 in NumPy. (Keras's own step on `tf.Variable`s is no oracle: it
    reads z again after it has changed it.)"""
    case = case_of(tf_cases, keras.optimizers.ScheduleFreeAdamW, {}, 2)
    program = case.program("graph")
    start = case.start()
    start.parameters = {name: value + np.array([0.0, 0.25])[:, None, None].reshape(2, *[1] * (value.ndim - 1))
                        for name, value in start.parameters.items()}  # fmt: skip
    program.load(start)
    y = {name: value.astype(np.float64) for name, value in program.state().parameters.items()}
    z, v = {name: value.copy() for name, value in y.items()}, {name: 0.0 * value for name, value in y.items()}
    for t in range(1, 5):
        work = case.work(1)
        found = program.gradients(work["indices"][0])
        program.advance(**work)
        for name, g in found.items():
            v[name] = 0.999 * v[name] + 0.001 * g**2
            before = z[name]
            z[name] = before - RATE * g / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
            x = (1 - 1 / t) * (y[name] - 0.1 * before) / 0.9 + z[name] / t
            y[name] = 0.1 * z[name] + 0.9 * x
    for name, value in program.state().parameters.items():
        np.testing.assert_allclose(value, y[name], rtol=2e-4, atol=2e-5)


def test_averages_are_what_is_evaluated(tf_cases: Any) -> None:
    case = case_of(tf_cases, keras.optimizers.SGD, {"use_ema": True, "ema_momentum": 0.9}, 2)
    program = case.program("graph")
    start = program.evaluate("train")["loss"]
    case.train(program, 5)
    trained, reported = program.state().parameters, program.evaluated_parameters()
    assert all(not np.array_equal(trained[name], reported[name]) for name in trained)
    other = case.program("graph", State(parameters=reported, buffers=program.state().buffers))
    np.testing.assert_array_equal(program.evaluate("train")["loss"], other.evaluate("train")["loss"])
    assert (program.evaluate("train")["loss"] < start).all()


def test_what_keras_has_no_form_for_is_said(tf_cases: Any) -> None:
    needs = Needs(closure="after", evaluations=2)
    with pytest.raises(InvalidValueError, match="'SGD' needs gradients, then a closure that takes them again, which"):
        case_of(tf_cases, keras.optimizers.SGD, {}, needs=needs).program("graph").advance(
            **case_of(tf_cases, keras.optimizers.SGD, {}).work(1)
        )


def test_an_optimizer_is_told_what_it_asks(tf_cases: Any) -> None:
    told: dict[str, Any] = {}

    def planned(learning_rate: float, horizon: int) -> Any:
        told["horizon"] = horizon
        return keras.optimizers.SGD(learning_rate)

    case = case_of(tf_cases, planned, {}, needs=Needs(facts={"horizon": "steps"}), facts={"steps": 9})
    case.train(case.program("graph"), 1)
    assert told == {"horizon": 9}


def test_the_records_list_what_the_classes_take() -> None:
    registry = Registry.load()
    for name in NATIVE:
        record = registry.find("optimizer", f"keras.{name}", "tensorflow")
        taken = {found.name: found.default for found in arguments(getattr(keras.optimizers, name))[1:]}
        assert {each.name: each.default for each in record.arguments} == taken
