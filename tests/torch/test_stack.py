"""What a stack promises: members as if alone, neighbours untouched by divergence, chunks and resumption to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kit import rules  # noqa: E402
from kit.engine import InputSpec, Native  # noqa: E402

pytestmark = pytest.mark.torch

STRATEGIES = ("views", "vmap", "recorded", "compiled")
RATES = np.array([0.01, 0.1, 0.3])
IMAGES = InputSpec(shape=(6, 6, 2), outputs=3, task="classification")
TEXT = InputSpec(shape=(5,), outputs=7, task="language", tokens=7)


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled steps are traced as ever but run without inductor, which takes 10 s each; test_choice runs it."""
    monkeypatch.setattr("kit_torch.inductor.BACKEND", "eager")
    monkeypatch.setattr("kit_torch.strategies.compiled.SEVERAL", 2)
    monkeypatch.setattr("kit_torch.strategies.compiled.SHORT_SECONDS", float("inf"))


def cases(c: Any) -> dict[str, Any]:
    adam = {"learning_rate": RATES}
    return {
        "replicates": c.Case(problem=c.problem(replicates=2), rule=rules.Adam, options=adam, replicates=(0, 1, 1)),
        "shared data": c.Case(problem=c.problem(), rule=rules.Adam, options=adam, replicates=(0, 1, 1)),
        "one replicate": c.Case(problem=c.problem(), rule=rules.Momentum, options=adam),
        "full batch": c.Case(problem=c.problem(), rule=rules.GradientDescent, options=adam, full_batch=True),
        "full batches": c.Case(
            problem=c.problem(replicates=2),
            rule=rules.GradientDescent,
            options=adam,
            replicates=(0, 1, 1),
            full_batch=True,
        ),
        "streamed": c.Case(
            problem=c.problem(replicates=2), rule=rules.Adam, options=adam, replicates=(0, 1, 1), streamed=True
        ),
        "streamed, shared": c.Case(
            problem=c.problem(), rule=rules.Adam, options=adam, replicates=(0, 1, 1), streamed=True
        ),
        "dropout": c.Case(problem=c.problem(dropout=0.4), rule=rules.Adam, options=adam, replicates=(0, 1, 1)),
        "cnn": c.Case(
            problem=c.problem("cnn", inputs=IMAGES, channels=(2, 3), hidden=4), rule=rules.Muon, options=adam
        ),
        "transformer": c.Case(
            problem=c.problem("transformer", inputs=TEXT, width=4, blocks=1), rule=rules.AdamW, options=adam
        ),
        "averaged": c.Case(problem=c.problem(), rule=rules.ScheduleFreeAdamW, options=adam),
        "clipped": c.Case(
            problem=c.problem(),
            rule=rules.Adafactor,
            options={**adam, "clip_norm": np.array([0.1, np.inf, 1.0]), "weight_decay": 0.1},
        ),
        "objective": c.Case(
            problem=c.problem("rosenbrock", inputs=InputSpec(shape=(1,), outputs=1, task="objective"), loss="output"),
            rule=rules.Momentum,
            options={"learning_rate": RATES * 1e-3},
        ),
        "torch.Adam": c.Case(problem=c.problem(), rule=Native(build=torch.optim.Adam, options=({},) * 3), options=adam),
    }


NAMES = (
    "replicates", "shared data", "one replicate", "full batch", "full batches", "streamed", "streamed, shared",
    "dropout", "cnn", "transformer", "averaged", "clipped", "objective", "torch.Adam",
)  # fmt: skip
TRACED = ("replicates", "shared data", "transformer", "clipped", "averaged")  # tracing takes a second or more each
BOTH = [(name, strategy) for name in NAMES for strategy in STRATEGIES if strategy != "compiled" or name in TRACED]


def made(c: Any, name: str, strategy: str, **changes: Any) -> Any:
    """The case, if the strategy can train it."""
    from kit_torch.engine import TorchEngine

    case = cases(c)[name]
    if strategy not in TorchEngine().strategies(case.problem, case.optimizer, case.stack):
        pytest.skip(f"{strategy} cannot train '{name}'")
    return case


def test_every_case_is_listed(kit_torch_cases: Any) -> None:
    assert set(cases(kit_torch_cases)) == set(NAMES)


@pytest.mark.parametrize(("name", "strategy"), BOTH)
def test_strategies_agree_and_chunks_change_no_bit(kit_torch_cases: Any, name: str, strategy: str) -> None:
    case, again, plain = (made(kit_torch_cases, name, strategy) for _ in range(3))
    program, cut, views = case.program(strategy), again.program(strategy), plain.program("views")
    losses = case.train(program, 6)
    assert losses.dtype == np.float64
    assert losses.shape == (6, 3)
    np.testing.assert_array_equal(again.train(cut, 1, 3, 2), losses)
    assert kit_torch_cases.same_state(cut.state(), program.state())
    np.testing.assert_allclose(plain.train(views, 6), losses, rtol=1e-12)
    for split in ("train", "validation"):
        for key, values in views.evaluate(split).items():
            np.testing.assert_allclose(program.evaluate(split)[key], values, rtol=1e-12)


@pytest.mark.parametrize(("name", "strategy"), BOTH)
def test_members_are_what_they_are_alone(kit_torch_cases: Any, name: str, strategy: str) -> None:
    case = made(kit_torch_cases, name, strategy)
    program = case.program(strategy)
    losses, state = case.train(program, 5), program.state()
    for n in (0, 2):
        whole = made(kit_torch_cases, name, strategy)
        start = whole.start()
        alone = whole.only(n)
        if case.streamed:
            alone.work = with_samples(alone)
        if case.problem.noise:
            alone.noise = own_noise(whole, n)
        if case.native:
            alone.optimizer = Native(build=case.rule.build, options=({},))
        start.parameters = {key: value[n : n + 1] for key, value in start.parameters.items()}
        single = alone.program("views" if strategy == "vmap" else strategy, start)
        np.testing.assert_allclose(alone.train(single, 5)[:, 0], losses[:, n], rtol=1e-12)
        noisy = {p.name for p in case.problem.parameters if p.exempt_from_parity}  # their gradient is rounding alone
        for key, value in single.state().parameters.items():
            if key not in noisy:
                np.testing.assert_allclose(value[0], state.parameters[key][n], rtol=1e-12, atol=1e-12)


def with_samples(alone: Any) -> Any:
    """`work` of a member whose samples are gathered, as the host does for one replicate."""
    plain = type(alone).work

    def work(steps: int) -> dict[str, Any]:
        found = plain(alone, steps)
        return found | {"samples": alone.gathered(found["indices"]), "indices": None}

    return work


def own_noise(whole: Any, n: int) -> Any:
    """The draws of the member's own replicate."""
    r = int(whole.replicates[n])

    def noise(steps: int) -> Any:
        drawn = type(whole).noise(whole, steps)
        whole.position += steps
        return {name: values[:, r : r + 1] for name, values in drawn.items()}

    return noise


@pytest.mark.parametrize("strategy", ["views", "vmap"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("replicates", np.nan),
        ("one replicate", np.inf),
        ("cnn", 1e300),
        ("cnn", np.nan),
        ("transformer", np.nan),
        ("clipped", np.nan),
        ("clipped", np.inf),
        ("torch.Adam", np.nan),
    ],
)
def test_a_diverged_member_changes_no_bit_of_its_neighbours(
    kit_torch_cases: Any, name: str, strategy: str, value: float
) -> None:
    diverge(kit_torch_cases, name, strategy, value)


@pytest.mark.parametrize("name", ["replicates", "clipped"])
def test_a_diverged_member_changes_no_bit_of_its_neighbours_compiled(kit_torch_cases: Any, name: str) -> None:
    diverge(kit_torch_cases, name, "compiled", np.nan)


def diverge(kit_torch_cases: Any, name: str, strategy: str, value: float) -> None:
    healthy, sick = (made(kit_torch_cases, name, strategy) for _ in range(2))
    program, other = healthy.program(strategy), sick.program(strategy)
    healthy.train(program, 2)
    sick.train(other, 2)
    state = other.state()
    for array in state.parameters.values():
        array[1] = value
    other.load(state)
    expected, found = healthy.train(program, 4), sick.train(other, 4)
    assert not np.isfinite(found[-1, 1])
    np.testing.assert_array_equal(found[:, [0, 2]], expected[:, [0, 2]])
    one, two = program.state(), other.state()
    for key, array in one.parameters.items():
        np.testing.assert_array_equal(two.parameters[key][[0, 2]], array[[0, 2]])
    np.testing.assert_array_equal(
        other.evaluate("validation")["loss"][[0, 2]], program.evaluate("validation")["loss"][[0, 2]]
    )


@pytest.mark.parametrize(("name", "strategy"), BOTH)
def test_a_run_continues_from_its_state_to_the_bit(kit_torch_cases: Any, name: str, strategy: str) -> None:
    whole, first = (made(kit_torch_cases, name, strategy) for _ in range(2))
    program = whole.program(strategy)
    expected = whole.train(program, 3, 4)[3:]
    begun = first.program(strategy)
    first.train(begun, 3)
    evaluated = begun.evaluated_parameters()
    state = begun.state()
    second = first.program(strategy, state)
    for key, array in second.evaluated_parameters().items():
        np.testing.assert_array_equal(array, evaluated[key])
    assert kit_torch_cases.same_state(second.state(), state)
    np.testing.assert_array_equal(first.train(second, 4), expected)
    assert kit_torch_cases.same_state(second.state(), program.state())


@pytest.mark.parametrize(("name", "strategy"), BOTH)
def test_reading_changes_no_bit(kit_torch_cases: Any, name: str, strategy: str) -> None:
    silent, read = (made(kit_torch_cases, name, strategy) for _ in range(2))
    program, other = silent.program(strategy), read.program(strategy)
    silent.train(program, 2, 3)
    read.train(other, 2)
    other.evaluate("train")
    other.evaluated_parameters()
    if read.full_batch:
        other.gradients(None)
    elif read.streamed:
        x, y = read.gathered(read.order.indices(0, 1))
        other.gradients(None, (x[0], y[0]))
    else:
        other.gradients(read.order.indices(0, 1)[0])
    other.state()
    read.train(other, 3)
    assert kit_torch_cases.same_state(other.state(), program.state())


def test_gradients_are_those_of_the_mean_loss(kit_torch_cases: Any) -> None:
    case = cases(kit_torch_cases)["replicates"]
    program = case.program()
    indices = case.order.indices(0, 1)[0]
    found = program.gradients(indices)
    start, size = case.start().parameters, 1e-6
    for n, r in enumerate(case.replicates):
        x, y = (torch.as_tensor(values[r][indices[r]]) for values in (case.block.x, case.block.y))

        def loss(name: str, at: Any, n: int = n, x: Any = x, y: Any = y) -> float:
            p = {key: torch.as_tensor(at if key == name else value[n]) for key, value in start.items()}
            hidden = torch.tanh(x @ p["layers.0.weight"].T + p["layers.0.bias"])
            output = hidden @ p["layers.1.weight"].T + p["layers.1.bias"]
            return float(torch.nn.functional.cross_entropy(output, y))

        for name, values in start.items():
            moved = np.random.default_rng(0).normal(size=values[n].shape)
            slope = (loss(name, values[n] + size * moved) - loss(name, values[n] - size * moved)) / (2 * size)
            np.testing.assert_allclose((found[name][n] * moved).sum(), slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["replicates", "shared data"])
def test_evaluation_in_slices_is_the_mean_of_all_rows(
    kit_torch_cases: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases(kit_torch_cases)[name]
    program = case.program()
    whole = program.evaluate("train")
    monkeypatch.setattr("kit_torch.evaluation.MOST_ROWS", 3)  # at a time, of 20
    program = case.program()
    for key, values in program.evaluate("train").items():
        np.testing.assert_allclose(values, whole[key], rtol=1e-12)
