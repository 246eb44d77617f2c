"""The engine against a loop written out in NumPy: rules of every kind, stacks of several replicates."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from kit import rules  # noqa: E402
from kit.engine import InputSpec  # noqa: E402
from kit.errors import DeviceError, InvalidValueError  # noqa: E402
from kit_jax.engine import JaxEngine  # noqa: E402

pytestmark = pytest.mark.jax

RATES = np.array([0.01, 0.1, 0.3])
RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "gd": (rules.GradientDescent, {"learning_rate": RATES}),
    "momentum": (rules.Momentum, {"learning_rate": RATES, "momentum": np.array([0.5, 0.9, 0.0])}),
    "coupled decay": (rules.Adam, {"learning_rate": RATES, "weight_decay": np.array([0.0, 0.1, 0.3])}),
    "adamw": (rules.AdamW, {"learning_rate": RATES, "weight_decay": np.array([0.0, 0.1, 0.3])}),
    "adafactor": (rules.Adafactor, {"learning_rate": RATES}),
    "schedule-free": (rules.ScheduleFree, {"learning_rate": RATES}),
    "clipped muon": (rules.Muon, {"learning_rate": RATES / 3, "clip_norm": np.array([np.inf, 0.1, 0.5])}),
}
LAYOUTS = {"even": (1, 0, 1, 0), "uneven": (0, 1, 1), "alone": (0,)}
STEPS = 12


def close(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_a_stack_follows_the_loop_by_hand(kit_jax_cases: Any, name: str) -> None:
    rule, options = RULES[name]
    problem = kit_jax_cases.problem(replicates=2)
    case = kit_jax_cases.Case(problem=problem, rule=rule, options=options, replicates=(0, 1, 1))
    losses, parameters = case.by_hand(STEPS)
    program = case.program()
    np.testing.assert_allclose(case.train(program, 5, 4, 3), losses, rtol=1e-12)
    close(program.evaluated_parameters(), parameters)


@pytest.mark.parametrize(
    ("layout", "shared", "full_batch"),
    [
        ("even", False, False), ("even", True, False), ("even", False, True), ("even", True, True),
        ("uneven", True, False), ("uneven", False, True), ("alone", False, True),
    ],
)  # fmt: skip
def test_members_see_their_own_samples(kit_jax_cases: Any, layout: str, shared: bool, full_batch: bool) -> None:
    """Replicates mixed in the stack, as many members each or not, with data of their own or in common."""
    replicates = LAYOUTS[layout]
    rates = {"learning_rate": np.linspace(0.01, 0.3, len(replicates))}
    problem = kit_jax_cases.problem(replicates=1 if shared else max(replicates) + 1)
    case = kit_jax_cases.Case(
        problem=problem, rule=rules.Momentum, options=rates, replicates=replicates, full_batch=full_batch
    )
    losses, parameters = case.by_hand(4)
    program = case.program()
    np.testing.assert_allclose(case.train(program, 4), losses, rtol=1e-12)
    close(program.state().parameters, parameters)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_is_in_the_precision_asked_for(kit_jax_cases: Any, dtype: str) -> None:
    c = kit_jax_cases
    case = c.Case(problem=c.problem(dtype=dtype), rule=rules.Adam, options={"learning_rate": 0.05}, dtype=dtype)
    program = case.program()
    losses = case.train(program, 2)
    state = program.state()
    arrays = [*state.parameters.values(), *state.slots["m"].values(), *program.evaluated_parameters().values()]
    assert {str(array.dtype) for array in arrays} == {dtype}
    assert {str(v.dtype) for v in (losses, *program.evaluate("train").values())} == {"float64"}


def test_bfloat16_learns_and_keeps_its_weights_in_float32(kit_jax_cases: Any) -> None:
    c, options = kit_jax_cases, {"learning_rate": 0.1}
    case, exact = (
        c.Case(problem=c.problem(dtype="float32"), rule=rules.Momentum, options=options, dtype=dtype)
        for dtype in ("bfloat16", "float32")
    )
    program = case.program()
    before = program.evaluate("train")["loss"]
    losses, full = case.train(program, 60), exact.train(exact.program(), 60)
    assert program.state().parameters["layers.0.weight"].dtype == np.float32
    assert (program.evaluate("train")["loss"] < 0.8 * before).all()
    np.testing.assert_allclose(losses[:5], full[:5], rtol=0.05)
    assert (losses[:5] != full[:5]).any(), "nothing was computed in bfloat16"


@pytest.mark.parametrize("device", ["cuda:7", "tpu", "mps", "cpu:1", ""])
def test_a_device_that_is_not_there(kit_jax_cases: Any, device: str) -> None:
    case = kit_jax_cases.Case(problem=kit_jax_cases.problem(), rule=rules.Adam, options={"learning_rate": 0.1})
    with pytest.raises(DeviceError, match="JAX finds: cpu"):
        JaxEngine().compile(case.problem, case.optimizer, case.stack, device=device, dtype="float32", steps=1)


def test_an_unknown_strategy_is_said(kit_jax_cases: Any) -> None:
    case = kit_jax_cases.Case(problem=kit_jax_cases.problem(), rule=rules.Adam, options={"learning_rate": 0.1})
    assert JaxEngine().strategies(case.problem, case.optimizer, case.stack) == ("loop",)
    with pytest.raises(InvalidValueError, match="must be loop"):
        JaxEngine().compile(
            case.problem, case.optimizer, case.stack, device="cpu", dtype="float32", steps=1, strategy="lop"
        )


def test_what_it_says_of_itself() -> None:
    engine = JaxEngine()
    assert engine.versions()["jax"] == jax.__version__
    assert engine.devices()[0].name == "cpu"
    assert engine.peak_memory_bytes("cpu") is None


def test_what_was_compiled_serves_the_next_stack_of_its_kind(kit_jax_cases: Any) -> None:
    c, engine = kit_jax_cases, JaxEngine()
    seconds = []
    for rate in (0.1, 0.2):
        case = c.Case(problem=c.problem(), rule=rules.Adam, options={"learning_rate": rate})
        program = engine.compile(case.problem, case.optimizer, case.stack, device="cpu", dtype="float64", steps=9)
        program.load(case.start())
        case.train(program, 3)
        program.evaluate("train")
        seconds.append(program.compile_seconds)
    assert seconds[0] > 0
    assert seconds[1] == 0


@pytest.mark.parametrize("one_shape", [True, False])
def test_a_model_whose_output_does_not_fit_is_said(kit_jax_cases: Any, one_shape: bool) -> None:
    inputs = InputSpec(shape=(6,), outputs=1, task="regression")
    problem = kit_jax_cases.problem("linear", inputs=inputs, loss="cross_entropy" if one_shape else "mse")
    case = kit_jax_cases.Case(problem=problem, rule=rules.Adam, options={"learning_rate": 0.1})
    if one_shape:
        with pytest.raises(InvalidValueError, match="one logit for each class"):
            case.program()
    else:
        assert np.isfinite(case.train(case.program(), 3)).all()


def test_threads_are_as_asked() -> None:
    """Of XLA's pool, counted by the process's own threads; only before JAX has looked for its devices."""
    code = (
        "import os\n"
        "from kit_jax.engine import JaxEngine\n"
        "JaxEngine(threads=%d).devices()\n"
        "import jax; jax.devices()\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("threads are counted in /proc")
    counts = [
        int(subprocess.run([sys.executable, "-c", code % n], capture_output=True, text=True, check=True).stdout)
        for n in (1, 5)
    ]
    assert counts[1] >= counts[0] + 4
