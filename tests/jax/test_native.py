"""optax's optimizers beside a plain loop of optax's own tutorial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import optax  # noqa: E402

from kit.engine import Native  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402
from kit.needs import PLAIN  # noqa: E402
from kit_jax import losses, models  # noqa: E402
from kit_jax.native_list import NATIVE, NEEDS  # noqa: E402

pytestmark = pytest.mark.jax

STEPS = 4
RATES = np.array([0.3, 1.0])


def plain(case: Any, n: int, build: Any, options: dict[str, Any], rate: str) -> tuple[list[float], Any]:
    """Member n by a jitted step, as optax's documentation has it, with a rate that is an argument of the step."""
    apply = models.mlp(inputs=case.problem.inputs, **case.problem.model_options)
    p = {name: value[n] for name, value in case.start().parameters.items()}

    @jax.jit
    def step(p: Any, state: Any, rate_now: Any, x: Any, y: Any) -> Any:
        optimizer = optax.with_extra_args_support(build(**{rate: rate_now}, **options))

        def loss(p: Any) -> Any:
            return losses.cross_entropy(apply(p, x), y).mean()

        value, gradient = jax.value_and_grad(loss)(p)
        updates, state = optimizer.update(gradient, state, p, value=value, grad=gradient, value_fn=loss)
        return value, optax.apply_updates(p, updates), state

    state, found = build(**{rate: 1.0}, **options).init(p), []
    for k in range(STEPS):
        rows = case.order.indices(k, 1)[0, 0]
        rate_now = case.floats["learning_rate"][n] / (1 + 0.1 * k)
        value, p, state = step(p, state, rate_now, case.block.x[0][rows], case.block.y[0][rows])
        found.append(float(value))
    return found, p


@pytest.mark.parametrize(
    ("name", "options"),
    [("adamw", {"b1": 0.8}), ("sgd", {"momentum": 0.9}), ("lbfgs", {"memory_size": 3}), ("polyak_sgd", {})],
)
def test_optax_by_hand(kit_jax_cases: Any, name: str, options: dict[str, Any]) -> None:
    c, build, needs = kit_jax_cases, getattr(optax, name), NEEDS.get(name, PLAIN)
    native = Native(build=build, options=(options,) * 2, needs=needs)
    case = c.Case(problem=c.problem(), rule=native, options={"learning_rate": NATIVE[name] * RATES}, replicates=(0, 0))
    program = case.program()
    found = case.train(program, STEPS)
    expected, trained = plain(case, 1, build, options, "learning_rate" if needs.rate == PLAIN.rate else needs.rate)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-9)
    for key, value in program.state().parameters.items():
        np.testing.assert_allclose(value[1], trained[key], rtol=1e-7, atol=1e-9)
    if name == "lbfgs":  # a line search takes gradients of its own
        assert program.evaluations.shape == (STEPS, 2)
        assert (program.evaluations >= 2).all()
    else:
        assert program.evaluations is None


@pytest.mark.parametrize("name", NATIVE)
def test_every_one_that_is_listed_trains(kit_jax_cases: Any, name: str) -> None:
    """At its own rate the parameters change and stay finite, and its state can be taken up again."""
    c = kit_jax_cases
    native = Native(build=getattr(optax, name), options=({},), needs=NEEDS.get(name, PLAIN))
    case = c.Case(problem=c.problem("linear"), rule=native, options={"learning_rate": NATIVE[name]}, replicates=(0,))
    program = case.program()
    before = program.state().parameters
    case.train(program, 2)
    state = program.state()
    assert all(np.isfinite(value).all() for value in state.parameters.values())
    assert any((state.parameters[key] != before[key]).any() for key in before)
    program.load(state)
    assert c.same_state(program.state(), state)


def test_arguments_that_do_not_fit_are_said_in_optaxs_words(kit_jax_cases: Any) -> None:
    c = kit_jax_cases
    native = Native(build=optax.adam, options=({"betas": (0.9, 0.99)},))
    with pytest.raises(InvalidValueError, match=r"optimizer 'adam' cannot be made: .*betas"):
        c.Case(problem=c.problem(), rule=native, options={"learning_rate": 0.1}, replicates=(0,)).program()
