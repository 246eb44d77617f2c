"""Gradient accumulation and activation checkpointing: the trajectory stays, and what is held at a time shrinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
import keras  # noqa: E402

from kit import rules  # noqa: E402
from kit.engine import InputSpec, Native  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402

pytestmark = pytest.mark.tensorflow
STEPS = 5
CHARACTERS = InputSpec(shape=(7,), outputs=11, task="language", tokens=11)
IMAGES = InputSpec(shape=(8, 8, 1), outputs=3, task="classification")


def case(c: Any, problem: Any, rule: Any = rules.Adam, replicates: Any = (0,), **levers: Any) -> Any:
    options = {"learning_rate": 0.02} if isinstance(rule, Native) else {"learning_rate": 0.02, "clip_norm": 0.5}
    return c.Case(problem=replace(problem, **levers), rule=rule, options=options, replicates=replicates, batch=6)


def trained(made: Any, strategy: str) -> tuple[Any, Any]:
    program = made.program(strategy)
    return made.train(program, 2, STEPS - 2), program.state()


def agree(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one[0], other[0], rtol=1e-10)
    for part in ("parameters", "buffers"):
        for name, value in getattr(one[1], part).items():
            np.testing.assert_allclose(value, getattr(other[1], part)[name], rtol=0, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("strategy", ["graph", "xla", "vectorized", "batched", "batched_xla"])
def test_accumulation_keeps_the_trajectory(tf_cases: Any, strategy: str) -> None:
    """Six samples in parts of two, and of four and two; with dropout, whose draws go with their samples."""
    problem = tf_cases.problem(dropout=0.3)
    replicates = (0,) if strategy == "xla" else (0, 1, 1)
    whole = trained(case(tf_cases, problem, replicates=replicates), "graph")
    for count in (3, 2):
        made = case(tf_cases, problem, replicates=replicates, gradient_accumulation=count)
        agree(trained(made, strategy), whole)


def test_accumulation_of_the_full_batch_and_of_what_the_host_reads(tf_cases: Any) -> None:
    """Twenty samples in six parts of four, the last of two."""
    problem = tf_cases.problem()
    for kind in ({"full_batch": True}, {"streamed": True}):
        made = [
            tf_cases.Case(
                problem=replace(problem, gradient_accumulation=count),
                rule=rules.Momentum,
                options={"learning_rate": 0.05},
                replicates=(0,),
                batch=6,
                **kind,
            )
            for count in (1, 6)
        ]
        agree(trained(made[1], "graph"), trained(made[0], "graph"))


def test_keras_optimizers_accumulate(tf_cases: Any) -> None:
    native = Native(build=keras.optimizers.Adam, options=({},), rates=(0.02,))
    problem = tf_cases.problem()
    whole = trained(case(tf_cases, problem, native), "graph")
    agree(trained(case(tf_cases, problem, native, gradient_accumulation=3), "graph"), whole)


def test_probes_take_gradients_in_parts(tf_cases: Any) -> None:
    problem = tf_cases.problem()
    rows = np.arange(7)[None]
    whole, parts = (
        case(tf_cases, problem, gradient_accumulation=count).program("graph").gradients(rows) for count in (1, 3)
    )
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, atol=1e-14)


def sequential() -> Any:
    """With batch normalisation, a dropout of its own, and penalties of both kinds."""
    keras.utils.set_random_seed(3)
    parts: list[Any] = [keras.Input((6,))]
    for _ in range(3):
        parts += [
            keras.layers.Dense(8, "gelu", kernel_regularizer="l2", activity_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
        ]
    return keras.Sequential([*parts, keras.layers.Dense(3)])


@keras.saving.register_keras_serializable("kit_tests")
class Block(keras.layers.Layer):
    """Layers within a layer."""

    def build(self, shape: Any) -> None:
        self.wide, self.narrow = keras.layers.Dense(9, "gelu"), keras.layers.Dense(shape[-1])
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 9))
        self.drop = keras.layers.Dropout(0.2)

    def call(self, x: Any) -> Any:
        return x + self.narrow(self.drop(self.wide(x)))


def functional() -> Any:
    keras.utils.set_random_seed(3)
    start = keras.Input((6,))
    x = keras.layers.Dense(5)(start)
    for _ in range(3):
        x = Block()(x)
    return keras.Model(start, keras.layers.Dense(3)(x))


def problems(c: Any) -> dict[str, Any]:
    return {
        "mlp": c.problem(hidden=(8, 7, 6, 5), dropout=0.2),
        "cnn": c.problem("cnn", inputs=IMAGES, channels=(3, 4)),
        "transformer": c.problem("transformer", inputs=CHARACTERS, width=8, heads=2, blocks=3),
        "sequential": c.problem(sequential),
        "functional": c.problem(functional),
    }


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer", "sequential", "functional"])
def test_checkpointing_keeps_the_trajectory(tf_cases: Any, name: str) -> None:
    """Moving means, a dropout's own draws and penalties too."""
    problem = problems(tf_cases)[name]
    plain, again = (case(tf_cases, problem, activation_checkpointing=again) for again in (False, True))
    agree(started(again), started(plain))


def started(made: Any) -> tuple[Any, Any]:
    if made.problem.parameters:
        return trained(made, "graph")
    program = made.compile("graph")
    program.load(own_start(made))
    return made.train(program, 2, STEPS - 2), program.state()


def own_start(made: Any) -> Any:
    """Of a model of the user's."""
    from kit.engine import State
    from kit_tensorflow.engine import TensorFlowEngine

    parameters, buffers = TensorFlowEngine().initial_parameters(made.problem, made.stack.seeds)
    return State(parameters=parameters, buffers=buffers)


def test_a_block_is_computed_twice_in_a_step_and_a_part_is_what_it_sees(tf_cases: Any) -> None:
    """Counted as the graph runs."""
    sizes: list[int] = []

    def counted(x: Any) -> Any:
        def note(value: Any) -> Any:
            sizes.append(len(value))
            return value

        result = tf.numpy_function(note, [x], x.dtype)
        result.set_shape(x.shape)

        return x + tf.stop_gradient(result - x)

    def module() -> Any:
        keras.utils.set_random_seed(3)
        blocks = [layer for _ in range(4) for layer in (keras.layers.Dense(6), keras.layers.Lambda(counted))]
        return keras.Sequential([keras.Input((6,)), *blocks, keras.layers.Dense(3)])

    def calls(**levers: Any) -> list[int]:
        made = case(tf_cases, tf_cases.problem(module), **levers)
        program = made.compile("graph")
        program.load(own_start(made))
        sizes.clear()
        made.train(program, 1)
        return list(sizes)

    assert calls() == [6] * 4
    assert calls(gradient_accumulation=2) == [3] * 8
    assert calls(activation_checkpointing=True) == [6] * 7  # the last stretch is needed at once


def test_what_cannot_be_done_is_said(tf_cases: Any) -> None:
    again = {"activation_checkpointing": True}
    with pytest.raises(InvalidValueError, match=r"shows no blocks to compute again; make it a keras\.Sequential"):
        trained(case(tf_cases, tf_cases.problem("linear"), **again), "graph")
    with pytest.raises(InvalidValueError, match=r"strategy 'xla' cannot train this: activation_checkpointing"):
        case(tf_cases, tf_cases.problem(), **again).compile("xla")


def test_the_peak_is_lower(tf_cases: Any) -> None:
    """Of this process, in a deep network whose activations take 80 MB: from the least to the most, as what one leaves
    behind the next takes up again."""
    from kit.memory import peak_memory_bytes, reset_peak

    inputs = InputSpec(shape=(64,), outputs=3, task="classification")
    problem = tf_cases.problem(inputs=inputs, hidden=(64,) * 20, rows=4096, activation="gelu")
    levers = {
        "both": {"gradient_accumulation": 8, "activation_checkpointing": True},
        "checkpointing": {"activation_checkpointing": True},
        "accumulation": {"gradient_accumulation": 8},
        "plain": {},
    }

    def train(batch: int, **chosen: Any) -> None:
        made = tf_cases.Case(
            problem=replace(problem, **chosen), rule=rules.GradientDescent, replicates=(0,), batch=batch
        )
        made.train(made.program("graph"), 2)

    for chosen in levers.values():
        train(8, **chosen)  # so that all code is there
    reset_peak()
    before, taken = resident(), {}
    for name, chosen in levers.items():
        train(4096, **chosen)
        taken[name] = peak_memory_bytes() - before
    assert max(taken["accumulation"], taken["checkpointing"], taken["both"]) < 0.6 * taken["plain"], taken


def resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
