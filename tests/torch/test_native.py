"""PyTorch's own optimizer classes beside a plain loop, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kit.engine import Native  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402
from kit.laboratory.arguments import arguments  # noqa: E402
from kit.registry import Registry  # noqa: E402
from kit_torch import losses  # noqa: E402
from kit_torch.native_list import NATIVE  # noqa: E402

pytestmark = pytest.mark.torch

STEPS = 6
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"amsgrad": True, "betas": (0.8, 0.99)},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "LBFGS": {"max_iter": 4, "history_size": 3},
}


class Net(torch.nn.Module):
    """Two matrices; `biases` adds what Muon does not take."""

    def __init__(self, biases: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(6, 5, bias=biases), torch.nn.Linear(5, 3, bias=biases)

    def forward(self, x: Any) -> Any:
        return self.last(torch.tanh(self.first(x)))


def case_of(c: Any, name: str, size: int = 1, options: Any = None, rates: Any = None, **changes: Any) -> Any:
    """A stack of Net under a class of torch.optim."""
    given = OPTIONS.get(name, {}) if options is None else options
    native = Native(build=getattr(torch.optim, name), options=(given,) * size)
    problem = c.problem(module=Net(biases=name != "Muon"), dtype=changes.get("dtype", "float64"))
    rate = NATIVE[name] if rates is None else rates
    return c.Case(problem=problem, rule=native, options={"learning_rate": rate}, replicates=(0,) * size, **changes)


def started(case: Any) -> Any:
    """The program at the start of the user's own module."""
    from kit.engine import State
    from kit_torch.engine import TorchEngine

    parameters, buffers = TorchEngine().initial_parameters(case.problem, case.stack.seeds)
    return case.program("views", State(parameters=parameters, buffers=buffers))


def plain(case: Any, name: str, rate: float, steps: int) -> tuple[Any, Any]:
    """The loop of the tutorials: (losses, module)."""
    dtype = getattr(torch, case.dtype)
    module = Net(biases=name != "Muon").to(dtype)
    optimizer = getattr(torch.optim, name)(module.parameters(), lr=rate, **OPTIONS.get(name, {}))
    found = []
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1.0 / (1 + 0.1 * k) * rate
        rows = torch.as_tensor(case.order.indices(k, 1)[0, 0])
        x, y = (torch.as_tensor(values[0])[rows] for values in (case.block.x, case.block.y))

        def closure(x: Any = x, y: Any = y) -> Any:
            optimizer.zero_grad()
            loss = losses.cross_entropy(module(x), y).mean()
            loss.backward()
            return loss

        found.append(optimizer.step(closure).item())
    return np.array(found), module


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NATIVE)
def test_a_class_equals_the_plain_loop(kit_torch_cases: Any, name: str, dtype: str) -> None:
    case = case_of(kit_torch_cases, name, dtype=dtype)
    program = started(case)
    found = case.train(program, 2, STEPS - 2)[:, 0]
    expected, module = plain(case, name, NATIVE[name], STEPS)
    np.testing.assert_array_equal(found, expected)
    for key, value in program.state().parameters.items():
        np.testing.assert_array_equal(value[0], module.get_parameter(key).detach().numpy())


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", NATIVE)
def test_a_run_continues_to_the_bit(kit_torch_cases: Any, name: str, size: int) -> None:
    rates = NATIVE[name] * np.array([1.0, 0.5])[:size]
    whole, first = (case_of(kit_torch_cases, name, size, rates=rates) for _ in range(2))
    program = started(whole)
    expected = whole.train(program, 3, 3)[3:]
    begun = started(first)
    first.train(begun, 3)
    state = begun.state()
    second = first.program("views", state)
    np.testing.assert_array_equal(first.train(second, 3), expected)
    assert kit_torch_cases.same_state(second.state(), program.state())


def test_loading_a_start_forgets_what_was_trained(kit_torch_cases: Any) -> None:
    """Moments must not survive a load of a state without any."""
    for name in ("Adam", "LBFGS", "SGD"):
        case, again = case_of(kit_torch_cases, name), case_of(kit_torch_cases, name)
        program = started(case)
        state = program.state()
        expected = case.train(program, 4)
        program.load(state)
        np.testing.assert_array_equal(again.train(program, 4), expected)


def test_a_diverged_member_changes_no_bit_of_its_neighbours(kit_torch_cases: Any) -> None:
    for name in ("SGD", "LBFGS", "Adam"):
        case = case_of(kit_torch_cases, name, 2, rates=np.array([0.01, 1e30]), options={})
        alone = case_of(kit_torch_cases, name, 1, rates=np.array([0.01]), options={})
        np.testing.assert_array_equal(case.train(started(case), STEPS)[:, 0], alone.train(started(alone), STEPS)[:, 0])


def test_muon_says_that_it_takes_matrices_only(kit_torch_cases: Any) -> None:
    native = Native(build=torch.optim.Muon, options=({},))
    case = kit_torch_cases.Case(
        problem=kit_torch_cases.problem(), rule=native, options={"learning_rate": 0.01}, replicates=(0,)
    )
    with pytest.raises(InvalidValueError, match=r"Muon.*only supports 2D"):
        case.compile()


@pytest.mark.parametrize("options", [{"beta": 3}, {"betas": (2.0, 0.9)}, {"lr_decay": 1}])
def test_arguments_that_a_class_does_not_take(kit_torch_cases: Any, options: dict[str, Any]) -> None:
    case = case_of(kit_torch_cases, "Adam", options=options)
    with pytest.raises(InvalidValueError, match=r"Adam.*beta|Adam.*lr_decay"):
        case.compile()


def test_the_records_are_the_classes_of_torch() -> None:
    every = {
        name
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
    }
    assert set(NATIVE) == every - {"SparseAdam"}  # for sparse gradients, which no model here gives
    registry = Registry.load()
    for name, rate in NATIVE.items():
        record = registry.find("optimizer", f"torch.{name}", "torch")
        assert record.defaults()["learning_rate"] == rate
        made = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(2, 2))])
        assert made.param_groups[0]["lr"] == pytest.approx(rate), "the default is the class's own"
        taken = {found.name: found.default for found in arguments(getattr(torch.optim, name))[1:]}
        computing = {"capturable", "differentiable"}  # how, not what
        assert {each.name: each.default for each in record.arguments} == {
            argument: default for argument, default in taken.items() if argument not in computing
        }, "the arguments are the class's own"
