"""A program's life: choosing a strategy, states that resume bit for bit, evaluation, precision, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kit import rules
from kit.data.buffers import Buffers
from kit.engine import Block, InputSpec, State
from kit.errors import DeviceError, InvalidValueError, UnknownNameError
from kit_tensorflow import choose, evaluation, models, workshop
from kit_tensorflow.environment import keras, tf
from kit_tensorflow.feed import SHARED_BYTES, handed
from kit_tensorflow.runner import Runner
from kit_tensorflow.strategies import BATCHED

pytestmark = pytest.mark.tensorflow

RATES = np.array([0.01, 0.1, 0.3])


def stack(tf_cases: Any, rule: Any = rules.Momentum, dtype: str = "float64", **options: Any) -> Any:
    return tf_cases.Case(
        problem=tf_cases.problem(replicates=2, dtype="float32" if dtype == "bfloat16" else dtype, **options),
        rule=rule,
        options={"learning_rate": RATES},
        replicates=(0, 1, 1),
        dtype=dtype,
    )


@pytest.mark.parametrize("strategy", ["graph", "batched", "vectorized"])
@pytest.mark.parametrize("rule", [rules.AdamW, rules.Muon, rules.Adafactor, rules.ScheduleFreeAdamW, rules.NAdam])
def test_a_state_resumes_bit_for_bit(tf_cases: Any, rule: Any, strategy: str) -> None:
    case = stack(tf_cases, rule, "float32")
    program = case.program(strategy)
    case.train(program, 5)
    middle = program.state()
    work = case.work(6)
    expected = program.advance(**work)
    resumed = case.program(strategy, middle)
    assert tf_cases.same_state(resumed.state(), middle)
    for name, value in program_parameters(resumed).items():
        assert np.isfinite(value).all(), name
    assert resumed.advance(**work).tobytes() == expected.tobytes()
    assert tf_cases.same_state(resumed.state(), program.state())
    tf_cases.close(resumed.evaluated_parameters(), program.evaluated_parameters(), 0)


def program_parameters(program: Any) -> dict[str, Any]:
    found: dict[str, Any] = program.evaluated_parameters()
    return found


def test_a_state_is_a_copy(tf_cases: Any) -> None:
    program = stack(tf_cases).program("graph")
    state = program.state()
    state.parameters["layers.0.bias"][:] = 7
    assert (program.state().parameters["layers.0.bias"] == 0).all()


def test_the_fastest_candidate_is_kept_with_its_results(tf_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = stack(tf_cases)
    program = case.compile(None, steps=10**9)  # so many that everything can pay for itself
    program.load(case.start())
    losses = case.train(program, 20)
    timings = dict(program.timings)
    assert timings.keys() == {"graph", "batched", "batched_xla", "xla"}
    assert program.strategy == min(timings, key=timings.__getitem__)
    assert program.compile_seconds > 0
    case.position = 0
    again = case.program(program.strategy)
    assert case.train(again, 20).tobytes() == losses.tobytes()
    assert tf_cases.same_state(again.state(), program.state())
    assert again.timings == {}


@pytest.mark.parametrize(("call", "kept"), [(0.03, "batched"), (0.3, "graph")])
def test_a_costly_call_is_weighed_against_the_whole_chunk(
    tf_cases: Any, monkeypatch: pytest.MonkeyPatch, call: float, kept: str
) -> None:
    """By a clock of the test's own: 1 ms for a step of a member in a graph; in a batch `call` seconds for a call and
    next to nothing for a step. The few steps that are checked alone would say nothing."""
    now, advance = [0.0], Runner.advance

    def timed(self: Any, chunk: Any, scalars: Any, groups: Any = None) -> Any:
        each = 0.001 * len(scalars) * len(groups or self.groups)
        now[0] += each if self.strategy.name == "graph" else call
        return advance(self, chunk, scalars, groups)

    monkeypatch.setattr(Runner, "advance", timed)
    monkeypatch.setattr(choose, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(choose.Chooser, "_candidates", lambda self, refusals: [BATCHED])
    case = stack(tf_cases)
    program = case.compile(None, steps=10**6)
    program.load(case.start())
    case.train(program, 40)
    assert program.strategy == kept
    assert program.timings["graph"] == pytest.approx(3e3)


def test_compiling_is_not_tried_where_it_cannot_pay(tf_cases: Any) -> None:
    case = stack(tf_cases)
    program = case.compile(None, steps=25)
    program.load(case.start())
    case.train(program, 20)
    assert set(program.timings) <= {"graph", "batched"}
    assert "steps to come" in program.left_out["batched_xla"]
    assert "steps to come" in program.left_out["xla"]


def test_a_candidate_that_disagrees_is_left_out(tf_cases: Any) -> None:
    """A form for stacks that is wrong must lose, however fast."""
    case = stack(tf_cases)

    def wrong(parameters: Any, x: Any, noise: Any, inputs: Any, **options: Any) -> Any:
        return models.mlp.stacked(parameters, 1.01 * x, noise, inputs, **options)

    def build(**options: Any) -> Any:
        return models.mlp(**options)

    build.stacked = wrong  # type: ignore[attr-defined]
    case.problem = replace(case.problem, build_model=build)
    program = case.compile(None, steps=10**9)
    program.load(case.start())
    case.train(program, 5)
    assert program.strategy in ("graph", "xla")
    assert "universal strategy" in program.left_out["batched"]


def test_a_candidate_that_cannot_be_traced_is_left_out(tf_cases: Any) -> None:
    """Convolutions with a kernel for each member: `tf.vectorized_map` refuses them."""
    images = InputSpec(shape=(4, 4, 1), outputs=3, task="classification")
    case = tf_cases.Case(
        problem=tf_cases.problem("cnn", inputs=images, channels=(2,), hidden=3),
        rule=rules.Momentum,
        options={"learning_rate": RATES},
    )
    program = case.compile(None, steps=10**9)
    program.plan._refusal = lambda strategy: "" if strategy.name in ("graph", "vectorized") else "not in this test"
    program.load(case.start())
    losses = case.train(program, 3)
    assert program.strategy == "graph"
    assert "cannot train this" in program.left_out["vectorized"]
    assert losses.shape == (3, 3)
    with pytest.raises(InvalidValueError, match="strategy 'vectorized' cannot train this"):
        case.train(case.program("vectorized"), 1)


def test_members_whose_activations_are_too_large_train_one_by_one(
    tf_cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit_tensorflow.plan.STACK_BYTES", 100)
    case = stack(tf_cases)
    program = case.compile(None, steps=10**6)
    program.load(case.start())
    case.train(program, 5)
    assert "too much memory" in program.left_out["batched"]


@pytest.mark.parametrize("rows_at_once", [3, 10**6])
@pytest.mark.parametrize("stacked", [True, False])
def test_evaluation_in_slices(tf_cases: Any, monkeypatch: pytest.MonkeyPatch, stacked: bool, rows_at_once: int) -> None:
    """Against NumPy, in slices of which the last is shorter; the blocks differ between the replicates."""
    case = stack(tf_cases, rules.ScheduleFree) if stacked else stack(tf_cases, rules.ScheduleFree).only(1)
    monkeypatch.setattr(evaluation, "SLICE_NUMBERS", rows_at_once * 6 * case.size)
    program = case.program("graph")
    case.train(program, 4)
    found, parameters = program.evaluate("train"), program.evaluated_parameters()
    for n, r in enumerate(case.replicates):
        x, y = (values[min(r, len(values) - 1)] for values in (case.block.x, case.block.y))
        p = {name: value[n] for name, value in parameters.items()}
        loss, _ = tf_cases.mlp_gradient()(p, x, y)
        assert found["loss"][n] == pytest.approx(loss, rel=1e-12)
        hidden = np.tanh(x @ p["layers.0.weight"].T + p["layers.0.bias"])
        guessed = (hidden @ p["layers.1.weight"].T + p["layers.1.bias"]).argmax(axis=1)
        assert found["accuracy"][n] == pytest.approx((guessed == y).mean())


def test_evaluation_before_any_step(tf_cases: Any) -> None:
    found = stack(tf_cases).program("graph").evaluate("validation")
    assert found["loss"].dtype == np.float64
    assert np.isfinite(found["loss"]).all()


@pytest.mark.parametrize("members", [1, 2])
def test_of_equal_outputs_the_first_counts(tf_cases: Any, members: int) -> None:
    """As `argmax` has it: a linear model that starts at zero is right about class 0 alone."""
    case = tf_cases.Case(
        problem=tf_cases.problem("linear"),
        rule=rules.GradientDescent,
        options={"learning_rate": 0.1},
        replicates=(0,) * members,
    )
    zeros = {"weight": np.zeros((members, 3, 6)), "bias": np.zeros((members, 3))}
    found = case.program("graph", State(parameters=zeros)).evaluate("train")
    np.testing.assert_allclose(found["accuracy"], np.mean(case.block.y == 0))
    np.testing.assert_allclose(found["loss"], np.log(3))


def test_accuracy_by_sign(tf_cases: Any) -> None:
    inputs = InputSpec(shape=(2,), outputs=1, task="binary")
    problem = tf_cases.problem("linear", inputs=inputs, loss="binary_cross_entropy")
    x, y = np.array([[[1.0, 0], [2, 0], [-1, 0], [-3, 0]]]), np.array([[1, 1, 0, 1]])
    problem = replace(problem, train=Block(x=x, y=y), evaluation={"train": Block(x=x, y=y)})
    case = tf_cases.Case(
        problem=problem, rule=rules.GradientDescent, options={"learning_rate": 0.1}, replicates=(0, 0), batch=2
    )
    right = {"weight": np.array([[[1.0, 0]], [[-1.0, 0]]]), "bias": np.zeros((2, 1))}
    assert case.program("graph", State(parameters=right)).evaluate("train")["accuracy"].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("streamed", [False, True])
def test_gradients_of_given_rows(tf_cases: Any, streamed: bool) -> None:
    case = stack(tf_cases)
    program = case.program("graph")
    case.train(program, 2)
    before, rows = program.state(), np.array([[0, 3, 5], [1, 1, 2]])
    if streamed:
        samples = tuple(np.stack([values[r][rows[r]] for r in (0, 1)]) for values in (case.block.x, case.block.y))
        found = program.gradients(None, samples)
    else:
        found = program.gradients(rows)
    for n, r in enumerate(case.replicates):
        p = {name: value[n] for name, value in before.parameters.items()}
        _, expected = tf_cases.mlp_gradient()(p, case.block.x[r][rows[r]], case.block.y[r][rows[r]])
        tf_cases.close({name: value[n] for name, value in found.items()}, expected)
    assert tf_cases.same_state(program.state(), before)


@pytest.mark.parametrize("strategy", ["graph", "vectorized", "batched"])
def test_bfloat16_computes_in_it_on_float32_parameters(tf_cases: Any, strategy: str) -> None:
    exact = stack(tf_cases, dtype="float32")
    expected = exact.train(exact.program("graph"), 10)
    case = stack(tf_cases, dtype="bfloat16")
    program = case.program(strategy)
    losses = case.train(program, 10)
    assert program.state().parameters["layers.0.weight"].dtype == np.float32
    off = abs(losses / expected - 1).max()
    assert 1e-5 < off < 0.05
    assert program.evaluate("train")["loss"].shape == (3,)


def test_an_embedding_is_trained_densely(tf_cases: Any) -> None:
    """Adam moves every row by momentum, also those that are not in the batch, whose gradient is zero."""
    text = InputSpec(shape=(4,), outputs=9, task="language", tokens=9)
    problem = tf_cases.problem("transformer", inputs=text, width=4, heads=2, blocks=1, rows=6)
    case = tf_cases.Case(problem=problem, rule=rules.Adam, options={"learning_rate": 0.1}, replicates=(0,), batch=1)
    program = case.program("graph")
    case.train(program, 1)
    first = program.state().parameters["token_embedding.weight"]
    seen = set(case.block.x[0][case.order.indices(1, 1)[0, 0]].ravel())
    before = set(case.block.x[0][case.order.indices(0, 1)[0, 0]].ravel())
    case.train(program, 1)
    second = program.state().parameters["token_embedding.weight"]
    for token in before - seen:
        assert (first[0, token] != second[0, token]).any()
    assert before - seen


def test_names_that_are_not_there(tf_cases: Any) -> None:
    case = stack(tf_cases)
    with pytest.raises(UnknownNameError, match="Did you mean 'batched'"):
        case.compile("bached")
    with pytest.raises(DeviceError, match=r"device 'cuda:5' is not there; TensorFlow has: cpu"):
        case.compile("graph", device="cuda:5")
    with pytest.raises(DeviceError, match="device 'tpu' is not there"):
        case.compile("graph", device="tpu")


def test_a_strategy_that_cannot_train_this_says_why(tf_cases: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"there is one member only.*Strategies for it: graph"):
        stack(tf_cases).only(0).compile("vectorized")
    case = tf_cases.Case(
        problem=tf_cases.problem(loss=lambda output, target: tf.reduce_sum(output)),
        rule=rules.Momentum,
        options={"learning_rate": 0.1},
    )
    with pytest.raises(InvalidValueError, match="the loss has no form for stacks"):
        case.compile("batched")


def test_strategies_come_with_the_universal_one_first(tf_cases: Any) -> None:
    case = stack(tf_cases)
    every = ("graph", "xla", "vectorized", "vectorized_xla", "batched", "batched_xla")
    assert tf_cases.engine().strategies(case.problem, case.optimizer, case.stack) == every
    alone = case.only(0)
    found = tf_cases.engine().strategies(alone.problem, alone.optimizer, alone.stack)
    assert found == ("graph", "xla", "batched", "batched_xla")


def outputs(count: int) -> Any:
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(count)])


BAD_MODELS = [
    ("too few classes", lambda: outputs(2), "cross_entropy", r"\(samples, 2\), but the data have 3 classes"),
    ("another shape", lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), "cross_entropy", r"\(6,\)"),
    ("not a model", lambda: 3, "cross_entropy", "it must give a keras.Model"),
    ("arguments", lambda width: outputs(width), "cross_entropy", "without arguments"),
    ("nothing to train", lambda: keras.Sequential([keras.Input((6,)), keras.layers.ReLU()]), "mse", "no trainable"),
    ("a loss of batches", lambda: outputs(3), lambda output, target: tf.reduce_sum(output, 0), "one number per sample"),
    ("a loss of another shape", lambda: outputs(3), "mse", r"\(samples, 3\).*\(samples\)"),
    ("a loss that fails", lambda: outputs(3), lambda output, target: output + tf.zeros((5, 5)), "cannot be computed"),
    ("a loss of integers", lambda: outputs(3), lambda output, target: target, "real numbers"),
]


@pytest.mark.parametrize(("model", "loss", "said"), [case[1:] for case in BAD_MODELS], ids=[c[0] for c in BAD_MODELS])
def test_what_does_not_fit_is_said(tf_cases: Any, model: Any, loss: Any, said: str) -> None:
    case = tf_cases.Case(
        problem=tf_cases.problem(model, loss=loss, dtype="float32"),
        rule=rules.Momentum,
        options={"learning_rate": 0.1},
        dtype="float32",
    )
    with pytest.raises(InvalidValueError, match=said):
        case.compile("graph")


def test_a_state_of_another_model_is_refused(tf_cases: Any) -> None:
    program = stack(tf_cases).compile("graph")
    with pytest.raises(InvalidValueError, match=r"layers\.0\.weight.*are not those of the model"):
        program.load(State(parameters={"layers.0.weight": np.zeros((3, 1, 1))}))
    with pytest.raises(InvalidValueError, match="load one first"):
        program.state()


def test_a_closed_program_gives_its_memory_back(tf_cases: Any) -> None:
    program = stack(tf_cases).program("graph")
    program.evaluate("train")
    program.close()
    with pytest.raises(InvalidValueError, match="load one first"):
        program.state()


def test_the_engine_says_what_decides_the_numbers(tf_cases: Any) -> None:
    engine = tf_cases.engine()
    versions = engine.versions()
    assert versions["tensorflow"] == tf.__version__
    assert engine.devices()[0].name == "cpu"
    assert engine.peak_memory_bytes("cpu") is None


def test_the_threads_are_those_that_tensorflow_was_started_with() -> None:
    """In a process of its own: whoever used TensorFlow first has settled their number for good."""
    code = "from kit_tensorflow.engine import TensorFlowEngine as E; print(E(threads=1).versions()['threads'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "1", run.stderr


def test_the_next_program_of_a_problem_finds_everything_compiled(tf_cases: Any) -> None:
    """Other data of the same shapes, other learning rates; nothing of the data stays behind."""
    case = stack(tf_cases)
    first = case.program("graph")
    case.train(first, 2)
    first.evaluate("train")
    other = replace(case, options={"learning_rate": RATES / 2})
    x = case.block.x + 1
    other.block = Block(x=x, y=case.block.y)
    other.problem = replace(case.problem, train=other.block, evaluation={"train": other.block})
    second = other.program("graph")
    losses = other.train(second, 2)
    assert second.plan is not first.plan
    assert second.plan.workshop is first.plan.workshop
    assert second._runner.loops == first._runner.loops
    assert second.plan.workshop.problem.train is None
    expected, _ = other.by_hand(tf_cases.mlp_gradient(), 2)
    tf_cases.close(losses, expected)


def test_workshops_are_given_up_in_their_turn(tf_cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "KEPT", 2)
    kept, cases = workshop.Workshops(), [stack(tf_cases, hidden=(width,)) for width in (2, 3, 4)]

    def get(case: Any) -> Any:
        return kept.get(case.problem, case.optimizer, case.stack, "/CPU:0", "float32")

    first, second = get(cases[0]), get(cases[1])
    assert get(cases[0]) is first
    get(cases[2])
    assert get(cases[0]) is first
    assert get(cases[1]) is not second


def test_a_large_array_is_taken_without_a_copy_and_is_not_recycled_while_it_is_used() -> None:
    buffers = Buffers()
    array = buffers.take((SHARED_BYTES // 4,), np.float32)
    array[...] = np.arange(len(array))
    tensor = handed(array, "/CPU:0")
    array[0] = -1.0
    assert tensor[0].numpy() == -1.0, "the very memory"
    del array
    buffers.take((SHARED_BYTES // 4,), np.float32)[...] = 0
    np.testing.assert_array_equal(tensor.numpy()[1:], np.arange(1, SHARED_BYTES // 4))


def test_what_cannot_be_taken_as_it_is_is_copied() -> None:
    whole = Buffers().take((2, SHARED_BYTES // 2), np.float32)
    whole[...] = 1.0
    locked = whole.copy()
    locked.flags.writeable = False
    for array in (whole[:, 1:], whole[0, 1:], whole[0, :5], locked):
        tensor = handed(array, "/CPU:0")
        before = np.array(array)
        whole[...] = 2.0
        np.testing.assert_array_equal(tensor.numpy(), before)
        whole[...] = 1.0
