"""A user's own Keras models, loss functions and Keras's optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kit import rules
from kit.engine import InputSpec, Native, State
from kit.errors import InvalidValueError
from kit_tensorflow.environment import keras, tf

pytestmark = pytest.mark.tensorflow

RATES = np.array([0.05, 0.1, 0.2])


def sequential() -> Any:
    """With everything that a layer can keep or add: moving means, a regularizer, dropout's own random numbers."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, kernel_regularizer=keras.regularizers.L2(0.01)),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3),
        ]
    )


def plain() -> Any:
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(3)])


class Subclassed(keras.Model):
    """Its call takes no `training`, and leaves it to Keras to tell its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop, self.dense = (
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, kernel_constraint=keras.constraints.NonNeg()),
        )

    def call(self, x: Any) -> Any:
        return self.dense(self.drop(self.norm(x)))


def named(model: Any) -> dict[str, Any]:
    """The variables of a Sequential model without layers' names of its own, by their names in a state."""
    from kit_tensorflow import layout

    found = {}
    for variables in (model.trainable_variables, model.non_trainable_variables):
        found |= {each.name: v for each, v in zip(layout.own(variables, model), variables, strict=True)}
    return found


def keras_loop(case: Any, model: Any, optimizers: list[Any], steps: int) -> tuple[Any, list[list[Any]]]:
    """A plain Keras training loop of each member: its losses, and its model's variables at the end."""
    start, losses, ends = [v.numpy() for v in model.variables], np.empty((steps, case.size)), []
    work = case.work(steps)
    for n, optimizer in enumerate(optimizers):
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        for k in range(steps):
            rows = work["indices"][k, case.replicates[n]]
            x, y = (tf.constant(values[0][rows]) for values in (case.block.x, case.block.y))
            with tf.GradientTape() as tape:
                each = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True)
                loss = tf.reduce_mean(each) + sum(model.losses)
            optimizer.learning_rate = work["scalars"][k, n, 0]
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            losses[k, n] = loss
        ends.append([v.numpy() for v in model.variables])
    return losses, ends


NATIVES = [
    (keras.optimizers.SGD, {"momentum": 0.9}),
    (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "global_clipnorm": 0.1}),
    (keras.optimizers.Adam, {"amsgrad": True}),
    (keras.optimizers.AdamW, {"weight_decay": 0.1}),
    (keras.optimizers.Adafactor, {}),
    (keras.optimizers.Muon, {}),
    (keras.optimizers.Ftrl, {}),
    (keras.optimizers.RMSprop, {"centered": True, "momentum": 0.5}),
    (keras.optimizers.Nadam, {"use_ema": True}),
]


@pytest.mark.parametrize(("kind", "options"), NATIVES)
def test_keras_optimizers_follow_a_plain_keras_loop(tf_cases: Any, kind: Any, options: dict[str, Any]) -> None:
    model = plain()
    native = Native(build=kind, options=(options,) * 2)
    case = tf_cases.Case(
        problem=tf_cases.problem(model, dtype="float32"),
        rule=native,
        options={"learning_rate": RATES[:2]},
        replicates=(0, 0),
        dtype="float32",
    )
    program = case.program("graph")
    losses = case.train(program, 6)
    case.position = 0
    expected, ends = keras_loop(case, model, [kind(**options) for _ in range(2)], 6)
    tf_cases.close(losses, expected, 1e-5)
    for found, end in zip(program.state().parameters.values(), zip(*ends, strict=True), strict=True):
        tf_cases.close(found, np.stack(end), 1e-5)


@pytest.mark.parametrize("strategy", ["vectorized", "vectorized_xla"])
def test_keras_optimizers_train_as_a_stack(tf_cases: Any, strategy: str) -> None:
    native = Native(build=keras.optimizers.AdamW, options=({"weight_decay": 0.1},) * 3)
    case = tf_cases.Case(
        problem=tf_cases.problem(replicates=2), rule=native, options={"learning_rate": RATES}, replicates=(0, 1, 1)
    )
    expected = case.train(case.program("graph"), 8)
    case.position = 0
    tf_cases.close(case.train(case.program(strategy), 8), expected, 1e-10)


def test_every_named_optimizer_of_keras_trains_and_resumes(tf_cases: Any) -> None:
    from kit_tensorflow.native import NATIVE

    for name in NATIVE:
        native = Native(build=getattr(keras.optimizers, name), options=({},))
        case = tf_cases.Case(
            problem=tf_cases.problem(dtype="float32"),
            rule=native,
            options={"learning_rate": 0.01},
            replicates=(0,),
            dtype="float32",
        )
        program = case.program("graph")
        case.train(program, 3)
        middle = program.state()
        work = case.work(3)
        losses = program.advance(**work)
        again = case.program("graph", middle)
        assert tf_cases.same_state(again.state(), middle), name
        assert again.advance(**work).tobytes() == losses.tobytes(), name
        assert tf_cases.same_state(again.state(), program.state()), name
        assert np.isfinite(losses).all(), name


def test_every_optimizer_class_of_keras_is_offered() -> None:
    from kit_tensorflow.native import NATIVE, WRAPPED

    wrappers = {"Optimizer", *WRAPPED}
    classes = {
        name: kind
        for name in dir(keras.optimizers)
        if isinstance(kind := getattr(keras.optimizers, name), type) and issubclass(kind, keras.optimizers.Optimizer)
    }
    assert set(NATIVE) <= classes.keys()
    assert classes.keys() - wrappers == set(NATIVE)
    for name, rate in NATIVE.items():
        assert float(classes[name]().learning_rate) == pytest.approx(rate), name


def test_a_users_own_optimizer_class_trains(tf_cases: Any) -> None:
    class SignDescent(keras.optimizers.Optimizer):
        def __init__(self, learning_rate: float = 0.1) -> None:
            super().__init__(learning_rate=learning_rate, name="sign_descent")

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self.assign_sub(variable, keras.ops.cast(learning_rate, variable.dtype) * keras.ops.sign(gradient))

    case = tf_cases.Case(
        problem=tf_cases.problem(),
        rule=Native(build=SignDescent, options=({},)),
        options={"learning_rate": 0.125},
        replicates=(0,),
    )
    case.factors = lambda steps: np.ones((steps, 1))
    before = case.start()
    program = case.program("graph")
    case.train(program, 1)
    for name, value in program.state().parameters.items():
        np.testing.assert_allclose(abs(value - before.parameters[name]), 0.125, rtol=1e-12)


def test_what_has_no_pure_form_is_refused(tf_cases: Any) -> None:
    class Asks(keras.optimizers.SGD):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            gradient.numpy()  # a graph holds no numbers

    case = tf_cases.Case(
        problem=tf_cases.problem(),
        rule=Native(build=Asks, options=({},)),
        options={"learning_rate": 0.1},
        replicates=(0,),
    )
    with pytest.raises(InvalidValueError, match="optimizer 'Asks' cannot run as a pure function"):
        case.train(case.program("graph"), 1)


def test_options_that_differ_between_members_train_one_by_one(tf_cases: Any) -> None:
    kinds = ({"momentum": 0.0}, {"momentum": 0.9})
    case = tf_cases.Case(
        problem=tf_cases.problem(),
        rule=Native(build=keras.optimizers.SGD, options=kinds),
        options={"learning_rate": RATES[:2]},
        replicates=(0, 0),
    )
    losses = case.train(case.program("graph"), 5)
    for n, options in enumerate(kinds):
        alone = tf_cases.Case(
            problem=case.problem,
            rule=Native(build=keras.optimizers.SGD, options=(options,)),
            options={"learning_rate": RATES[n : n + 1]},
            replicates=(0,),
        )
        tf_cases.close(alone.train(alone.program("graph"), 5)[:, 0], losses[:, n])
    with pytest.raises(InvalidValueError, match="differ in more than their learning rates"):
        case.compile("vectorized")


def test_a_user_model_keeps_moving_means_random_numbers_and_penalties(tf_cases: Any) -> None:
    model = sequential()
    weights = [v.numpy() for v in model.variables]
    case = tf_cases.Case(
        problem=tf_cases.problem(model, dtype="float32"),
        rule=rules.GradientDescent,
        options={"learning_rate": RATES[:2]},
        replicates=(0, 0),
        dtype="float32",
    )
    start = case.start()
    names = [name for name in start.buffers if name.startswith("seed_generator_state")]
    assert len(names) == 1
    assert start.buffers[names[0]][0, 0] != start.buffers[names[0]][1, 0]  # each member drops its own units
    program = case.program("graph")
    losses = case.train(program, 4)
    end = program.state()
    for variable, value in zip(model.variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)  # the user's own object is not touched
    # The very same in Keras: member 0, whose dropout starts from the seed that the engine gave it.
    for variable in model.non_trainable_variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(start.buffers[names[0]][0])
    case.position = 0
    work = case.work(4)
    for k in range(4):
        rows = work["indices"][k, 0]
        x, y = (tf.constant(values[0][rows]) for values in (case.block.x, case.block.y))
        with tf.GradientTape() as tape:
            each = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True)
            loss = tf.reduce_mean(each) + sum(model.losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign_sub(work["scalars"][k, 0, 0] * gradient)
        tf_cases.close(losses[k, 0], float(loss), 1e-5)
    variables = named(model)
    assert variables.keys() == end.parameters.keys() | end.buffers.keys()
    for name, value in (end.parameters | end.buffers).items():
        tf_cases.close(value[0], variables[name].numpy(), 1e-5)
    again = case.program("graph", end)
    assert tf_cases.same_state(again.state(), end)
    work = case.work(3)
    assert again.advance(**work).tobytes() == program.advance(**work).tobytes()
    assert tf_cases.same_state(again.state(), program.state())
    block = case.problem.evaluation["validation"]
    program.load(end)
    logits = model(tf.constant(block.x[0]), training=False).numpy()
    for name, value in (end.parameters | end.buffers).items():
        variables[name].assign(value[0])
    logits = model(tf.constant(block.x[0]), training=False)
    each = keras.losses.sparse_categorical_crossentropy(block.y[0], logits, from_logits=True)
    found = program.evaluate("validation")
    tf_cases.close(found["loss"][0], float(tf.reduce_mean(each) + sum(model.losses)), 1e-5)
    assert found["accuracy"][0] == np.mean(np.argmax(logits, axis=1) == block.y[0])


def test_a_model_without_a_training_argument(tf_cases: Any) -> None:
    """Keras must tell the layers inside; the constraint must hold after every step."""
    case = tf_cases.Case(
        problem=tf_cases.problem(Subclassed, dtype="float32"),
        rule=rules.Momentum,
        options={"learning_rate": RATES},
        dtype="float32",
    )
    program = case.program("graph")
    before = case.start()
    case.train(program, 3)
    end = program.state()
    means = [name for name in end.buffers if name.endswith("moving_mean")]
    assert (end.buffers[means[0]] != before.buffers[means[0]]).any()
    kernels = [value for name, value in end.parameters.items() if name.endswith("kernel")]
    assert (kernels[0] >= 0).all()
    assert (before.parameters[next(n for n in end.parameters if n.endswith("kernel"))] < 0).any()


def test_a_function_makes_a_model_for_each_seed(tf_cases: Any) -> None:
    problem = tf_cases.problem(plain)
    engine = tf_cases.engine()
    parameters, _ = engine.initial_parameters(problem, np.array([3, 4, 3]))
    again, _ = engine.initial_parameters(problem, np.array([4, 3]))
    kernel = "dense/kernel"
    assert sorted(parameters) == ["dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel"]
    np.testing.assert_array_equal(parameters[kernel][0], parameters[kernel][2])
    assert (parameters[kernel][0] != parameters[kernel][1]).any()
    np.testing.assert_array_equal(again[kernel], parameters[kernel][[1, 0]])


def test_a_built_instance_starts_every_member_at_its_weights(tf_cases: Any) -> None:
    model = plain()
    parameters, buffers = tf_cases.engine().initial_parameters(tf_cases.problem(model), np.array([3, 4]))
    assert buffers == {}
    for name, variable in named(model).items():
        np.testing.assert_array_equal(parameters[name], np.stack([variable.numpy()] * 2))


def test_an_instance_computes_in_the_precision_of_the_run(tf_cases: Any) -> None:
    """A float32 model in a float64 run: the gradient agrees with differences to what float32 could never reach."""
    model = plain()
    case = tf_cases.Case(
        problem=tf_cases.problem(model), rule=rules.GradientDescent, options={"learning_rate": 0.1}, replicates=(0,)
    )
    program = case.program("graph")
    start = case.start()
    start.parameters = {name: value.astype(np.float64) for name, value in start.parameters.items()}
    indices = case.work(1)["indices"][0]
    gradient = program.gradients(indices)["dense/kernel"][0, 2, 1]
    ends = []
    for sign in (1, -1):
        moved = {name: value.copy() for name, value in start.parameters.items()}
        moved["dense/kernel"][0, 2, 1] += sign * 1e-5
        program.load(State(parameters=moved))
        case.position = 0
        ends.append(program.advance(**case.work(1))[0, 0])
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(gradient, rel=1e-8)
    assert model.dtype_policy.name == "float32"


def test_an_instance_computes_in_bfloat16_on_float32_parameters(tf_cases: Any) -> None:
    model = plain()
    exact, rounded = (
        tf_cases.Case(
            problem=tf_cases.problem(model, dtype="float32"),
            rule=rules.Momentum,
            options={"learning_rate": 0.1},
            replicates=(0,),
            dtype=dtype,
        )
        for dtype in ("float32", "bfloat16")
    )
    expected = exact.train(exact.program("graph"), 6)
    program = rounded.program("graph")
    losses = rounded.train(program, 6)
    assert 1e-6 < abs(losses / expected - 1).max() < 0.05
    assert {value.dtype.name for value in program.state().parameters.values()} == {"float32"}


def test_token_numbers_stay_numbers_in_another_precision(tf_cases: Any) -> None:
    text = InputSpec(shape=(4,), outputs=9, task="language", tokens=9)
    tokens = keras.Input((4,), dtype="int32")
    inner = keras.Sequential([keras.layers.Dense(9)])  # a model within a model
    model = keras.Model(tokens, inner(keras.layers.Embedding(9, 3)(tokens)))
    case = tf_cases.Case(
        problem=tf_cases.problem(model, inputs=text), rule=rules.Adam, options={"learning_rate": 0.1}, replicates=(0,)
    )
    losses = case.train(case.program("graph"), 20)
    assert losses[-1, 0] < losses[0, 0]
    logits = model(case.block.x[0]).numpy().astype(np.float64)
    log = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    rows = case.order.indices(0, 1)[0, 0]
    expected = -np.take_along_axis(log[rows], case.block.y[0][rows][..., None], 2).mean()
    assert losses[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("strategy", ["graph", "vectorized", "vectorized_xla"])
def test_stacks_of_user_models(tf_cases: Any, strategy: str) -> None:
    def model() -> Any:
        layers = [keras.layers.Dense(5), keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((6,)), *layers])

    def trained(case: Any, strategy: str) -> tuple[Any, State]:
        program = case.program(strategy)
        return case.train(program, 6), program.state()

    case = tf_cases.Case(
        problem=tf_cases.problem(model, replicates=2),
        rule=rules.Momentum,  # Adam would make noise of the gradient of the first bias, which normalization makes zero
        options={"learning_rate": RATES},
        replicates=(0, 1, 0),
    )
    losses, end = trained(case, strategy)
    case.position, case.carry = 0, case.optimizer.carry(3)
    expected, reference = trained(case, "graph")
    tf_cases.close(losses, expected, 1e-10)
    tf_cases.close(end.parameters, reference.parameters, 1e-10)
    tf_cases.close(end.buffers, reference.buffers, 1e-6)


def mean_of_all(output: Any, target: Any) -> Any:
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(target, output, from_logits=True))


def one_per_sample(output: Any, target: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(target, output, from_logits=True)


@pytest.mark.parametrize("loss", [mean_of_all, one_per_sample])
@pytest.mark.parametrize("strategy", ["graph", "vectorized"])
def test_a_users_loss_gives_a_mean_or_one_number_per_sample(tf_cases: Any, loss: Any, strategy: str) -> None:
    def trained(loss: Any, strategy: str) -> tuple[Any, Any]:
        case = tf_cases.Case(problem=tf_cases.problem(loss=loss), rule=rules.Momentum, options={"learning_rate": RATES})
        program = case.program(strategy)
        return case.train(program, 5), program.evaluate("train")

    losses, found = trained(loss, strategy)
    expected, reference = trained("cross_entropy", "graph")
    tf_cases.close(losses, expected)
    tf_cases.close(found, reference)


def test_one_output_per_sample_may_keep_its_axis(tf_cases: Any) -> None:
    """Keras's usual last layer, Dense(1), gives (samples, 1), which (samples,) would be broadcast against."""
    inputs = InputSpec(shape=(6,), outputs=1, task="regression")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    case = tf_cases.Case(
        problem=tf_cases.problem(model, inputs=inputs, loss="mse"),
        rule=rules.GradientDescent,
        options={"learning_rate": 0.1},
        replicates=(0,),
    )
    program = case.program("graph")
    kernel, bias = (v.numpy().astype(np.float64) for v in model.trainable_variables)
    expected = np.mean(((case.block.x[0] @ kernel + bias)[:, 0] - case.block.y[0]) ** 2)
    tf_cases.close(program.evaluate("train")["loss"][0], expected)
