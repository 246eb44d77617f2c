"""Optimizers that need more than the plain loop, beside a loop written by hand for each."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kit  # noqa: E402
from kit.engine import Native, State  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402
from kit.needs import Needs  # noqa: E402
from kit.progress import Silent  # noqa: E402

pytestmark = pytest.mark.torch

RATE, STEPS = 0.05, 6


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        return self.last(torch.tanh(self.first(x)))


class Own(torch.optim.Optimizer):
    """The base of the optimizers below: a learning rate, and nothing else."""

    def __init__(self, params: Any, lr: float = RATE, **defaults: Any) -> None:
        super().__init__(params, {"lr": lr, **defaults})

    def each(self) -> Any:
        return [(p, group) for group in self.param_groups for p in group["params"]]


class Sharp(Own):
    """Sharpness-aware descent (Foret et al. 2021): the gradient at a point uphill. It takes the gradient that it finds
    for granted, and the closure gives the other."""

    kit_needs = Needs(closure="after", evaluations=2)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        uphill = [0.1 * p.grad for p, _ in self.each()]
        for (p, _), move in zip(self.each(), uphill, strict=True):
            p.add_(move)
        closure()
        for (p, group), move in zip(self.each(), uphill, strict=True):
            p.sub_(move).sub_(group["lr"] * p.grad)


class Search(Own):
    """Halves its step until the loss falls: it takes the closure as often as it likes."""

    def step(self, closure: Callable[[], Any]) -> Any:
        before = loss = closure()
        with torch.no_grad():
            start = [(p, p.clone(), p.grad.clone(), group["lr"]) for p, group in self.each()]
            for k in range(20):
                for p, at, slope, rate in start:
                    p.copy_(at - 64 * rate / 2**k * slope)
                loss = closure()
                if loss < before:
                    break
        return before


class Curved(Own):
    """Divides by the diagonal of the Hessian, which it takes from the gradients' own graph."""

    kit_needs = Needs(second_order=True)

    def step(self, closure: Any = None) -> None:
        parameters = [p for p, _ in self.each()]
        total = sum((p.grad**2).sum() for p in parameters)
        found = torch.autograd.grad(total, parameters)
        with torch.no_grad():
            for (p, group), h in zip(self.each(), found, strict=True):
                p.sub_(group["lr"] * p.grad / (h.abs() + 1))


class Backward(Own):
    """Takes the gradients itself, from the loss."""

    kit_needs = Needs(closure="loss")

    def step(self, closure: Callable[[], Any]) -> None:
        (3 * closure()).backward()
        with torch.no_grad():
            for p, group in self.each():
                p.sub_(group["lr"] * p.grad)


class Keeps(Own):
    """Keeps all sorts of things outside its `state`, and every step depends on them."""

    def __init__(self, params: Any, lr: float = RATE) -> None:
        super().__init__(params, lr)
        self.last: deque[Any] = deque(maxlen=3)
        self.dice, self.bits = random.Random(5), np.random.default_rng(5)
        self.pair, self.nested = (1, 2.5), {"a": [1.0, {"b": None}], 3: torch.Size([2])}
        self.inner = torch.optim.SGD(self.param_groups, lr=lr, momentum=0.9)
        self.inner.param_groups = self.param_groups
        self.view = self.each()[0][0].detach().view(-1)
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return count

        self.tick = tick

    def step(self, closure: Any = None) -> None:
        self.last.append(self.each()[0][0].grad.norm())
        self.pair = (self.pair[0] + 1, self.pair[1] * 1.5)
        self.nested["a"][0] += 0.25
        factor = 1 + self.dice.random() + self.bits.random() + torch.rand(1) + sum(self.last) + self.tick()
        for p, _ in self.each():
            p.grad.mul_(factor / (self.pair[0] + self.nested["a"][0]))
        self.inner.step()
        with torch.no_grad():
            self.view.mul_(1 - 1e-3 * self.pair[1] / 100)


class Generates(Own):
    """Keeps what no file can hold."""

    def __init__(self, params: Any, lr: float = RATE) -> None:
        super().__init__(params, lr)
        self.rates = (lr / k for k in range(1, 1000))

    def step(self, closure: Any = None) -> None:
        rate = next(self.rates)
        with torch.no_grad():
            for p, _ in self.each():
                p.sub_(rate * p.grad)


def grouped(parameters: Any, lr: float) -> Any:
    """A function that makes one: the last two parameters learn at half the rate."""
    return torch.optim.SGD([{"params": parameters[:2]}, {"params": parameters[2:], "lr": lr / 2}], lr=lr)


def case_of(c: Any, build: Any, size: int = 1, **native: Any) -> Any:
    needs = native.pop("needs", getattr(build, "kit_needs", Needs()))
    given = Native(build=build, options=({},) * size, rates=(RATE,) * size, needs=needs, **native)
    return c.Case(problem=c.problem(module=Net()), rule=given, options={"learning_rate": RATE}, replicates=(0,) * size)


def started(case: Any) -> Any:
    from kit_torch.engine import TorchEngine

    parameters, buffers = TorchEngine().initial_parameters(case.problem, case.stack.seeds)
    return case.program("views", State(parameters=parameters, buffers=buffers))


def by_hand(case: Any, build: Any, step: Callable[[Any, Callable[..., Any]], None]) -> tuple[list[int], Any]:
    """The loop of a careful user: (gradients taken in each step, the module after). step(optimizer, closure)."""
    module = Net().double()
    optimizer, counts = build(list(module.parameters()), lr=RATE), []
    for k in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] *= 1.0 / (1 + 0.1 * k) / (1.0 / (1 + 0.1 * (k - 1)) if k else 1.0)
        rows = torch.as_tensor(case.order.indices(k, 1)[0, 0])
        x, y = (torch.as_tensor(values[0])[rows] for values in (case.block.x, case.block.y))
        counts.append(0)

        def closure(backward: bool = True, graph: bool = False, x: Any = x, y: Any = y) -> Any:
            counts[-1] += 1
            with torch.enable_grad():
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(module(x), y)
                if graph:
                    for p, g in zip(
                        module.parameters(),
                        torch.autograd.grad(loss, list(module.parameters()), create_graph=True),
                        strict=True,
                    ):
                        p.grad = g
                elif backward:
                    loss.backward()
            return loss

        step(optimizer, closure)
    return counts, module


def plain_step(optimizer: Any, closure: Any) -> None:
    closure()
    optimizer.step()


def after_step(optimizer: Any, closure: Any) -> None:
    closure()
    optimizer.step(closure)


LOOPS: dict[Any, Callable[[Any, Any], None]] = {
    Sharp: after_step,
    Search: lambda optimizer, closure: optimizer.step(closure),
    Curved: lambda optimizer, closure: (closure(graph=True), optimizer.step()),
    Backward: lambda optimizer, closure: optimizer.step(lambda: closure(backward=False)),
    grouped: plain_step,
}


@pytest.mark.parametrize("build", LOOPS, ids=lambda build: build.__name__)
def test_each_need_equals_the_loop_by_hand(kit_torch_cases: Any, build: Any) -> None:
    case = case_of(kit_torch_cases, build)
    program = started(case)
    counts: list[int] = []
    for _ in range(STEPS):
        case.train(program, 1)
        counts += program.evaluations[:, 0].tolist()
    expected, module = by_hand(case, build, LOOPS[build])
    assert counts == expected, "every call of the closure is a gradient"
    for name, value in program.state().parameters.items():
        np.testing.assert_allclose(value[0], module.get_parameter(name).detach().numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("build", [Sharp, Search, Curved, Backward, Keeps], ids=lambda build: build.__name__)
def test_stale_gradients_change_nothing(kit_torch_cases: Any, build: Any) -> None:
    """Whatever stands in `.grad` before a step, an optimizer is given fresh ones, as it needs them."""
    case, other = case_of(kit_torch_cases, build), case_of(kit_torch_cases, build)
    program, soiled = started(case), started(other)
    for _ in range(3):
        case.train(program, 1)
        for parameter in soiled.setting.members[0].parameters():
            parameter.grad = torch.full_like(parameter, 1e3)
        other.train(soiled, 1)
    assert kit_torch_cases.same_state(program.state(), soiled.state())


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("build", [Keeps, Sharp, Search], ids=lambda build: build.__name__)
def test_whatever_an_optimizer_keeps_survives_to_the_bit(kit_torch_cases: Any, build: Any, size: int) -> None:
    whole, first = (case_of(kit_torch_cases, build, size) for _ in range(2))
    program, begun = started(whole), started(first)
    expected = whole.train(program, 2, 3)[2:]
    first.train(begun, 2)
    state = begun.state()
    assert not state.unsaved
    second = first.program("views", state)
    np.testing.assert_array_equal(first.train(second, 3), expected)
    assert kit_torch_cases.same_state(second.state(), program.state())


def test_what_cannot_be_stored_is_said_and_where(kit_torch_cases: Any) -> None:
    case = case_of(kit_torch_cases, Generates)
    program = started(case)
    assert not program.state().unsaved, "before the first step there is nothing to lose"
    case.train(program, 2)
    assert program.state().unsaved == (
        "The state of optimizer 'Generates' cannot be stored: it holds a generator (in rates)."
    )


def test_a_companion_takes_what_is_no_matrix(kit_torch_cases: Any) -> None:
    needs = Needs(matrices="only", companion="torch.optim:AdamW", companion_rate=0.5)
    case = case_of(kit_torch_cases, torch.optim.Muon, needs=needs)
    program = started(case)
    case.train(program, STEPS)

    def both(parameters: Any, lr: float) -> Any:
        matrices = torch.optim.Muon([p for p in parameters if p.ndim == 2], lr=lr)
        rest = torch.optim.AdamW([p for p in parameters if p.ndim != 2], lr=lr / 2)

        class Both:
            param_groups = matrices.param_groups + rest.param_groups

            def zero_grad(self) -> None:
                matrices.zero_grad()
                rest.zero_grad()

            def step(self) -> None:
                matrices.step()
                rest.step()

        return Both()

    _, module = by_hand(case, both, plain_step)
    for name, value in program.state().parameters.items():
        np.testing.assert_allclose(value[0], module.get_parameter(name).detach().numpy(), rtol=1e-10, atol=1e-14)


def test_facts_of_the_run_reach_the_optimizer(kit_torch_cases: Any) -> None:
    told: dict[str, Any] = {}

    class Asks(torch.optim.SGD):
        def __init__(self, params: Any, lr: float, horizon: int, net: Any) -> None:
            told.update(horizon=horizon, net=net, lr=lr)
            super().__init__(params, lr)

    needs = Needs(facts={"horizon": "steps", "net": "model"})
    program = started(case_of(kit_torch_cases, Asks, needs=needs, facts={"steps": 77}))
    assert told["horizon"] == 77
    assert told["net"] is program.setting.members[0]
    assert told["lr"] == RATE, "it is made with the run's own rate: some derive others from it"
    with pytest.raises(InvalidValueError, match="'Asks' must know the steps"):
        case_of(kit_torch_cases, Asks, needs=needs).compile()


def test_groups_that_are_flagged(kit_torch_cases: Any) -> None:
    seen: dict[str, Any] = {}

    def flagged(groups: Any, lr: float) -> Any:
        seen["groups"] = [(group["use_muon"], [tuple(p.shape) for p in group["params"]]) for group in groups]
        return torch.optim.SGD(groups, lr=lr)

    case_of(kit_torch_cases, flagged, needs=Needs(matrices="flagged", flag="use_muon")).compile()
    assert seen["groups"] == [(True, [(5, 6), (3, 5)]), (False, [(5,), (3,)])]


def test_a_class_without_a_learning_rate_says_so(kit_torch_cases: Any) -> None:
    class Quiet(Own):
        def __init__(self, params: Any) -> None:
            torch.optim.Optimizer.__init__(self, params, {})

    with pytest.raises(InvalidValueError, match="keeps no learning rate called 'lr'"):
        case_of(kit_torch_cases, Quiet).compile()
    case_of(kit_torch_cases, Quiet, needs=Needs(rate=None)).compile()


def test_a_parameter_that_is_put_elsewhere_is_brought_back(kit_torch_cases: Any) -> None:
    class Moves(Own):
        def step(self, closure: Any = None) -> None:
            for p, group in self.each():
                p.data = p.data - group["lr"] * p.grad

    case, other = case_of(kit_torch_cases, Moves), case_of(kit_torch_cases, torch.optim.SGD)
    program, expected = started(case), started(other)
    np.testing.assert_allclose(case.train(program, 2, 2), other.train(expected, 4), rtol=1e-12)
    for name, value in program.state().parameters.items():
        np.testing.assert_allclose(value, expected.state().parameters[name], rtol=1e-12)


def test_a_run_counts_gradients_in_cost_and_curves(tmp_path: Any) -> None:
    searching = kit.optimizer("torch.LBFGS", learning_rate=0.1, max_iter=8)
    base = kit.Experiment(backend="torch", budget=kit.Budget(steps=12), optimizer=searching, evaluate_every=4)
    run = base.run(store=tmp_path, progress=False)
    assert run.status == "done", run.reason
    counts = run.curve("batch_loss", against="gradient_evaluations").index.to_numpy() / 64
    assert run.cost.samples == 12 * 64
    assert run.cost.gradient_evaluations > 5 * run.cost.samples
    assert run.cost.gradient_evaluations == counts[-1] * 64
    assert (np.diff(counts) >= 1).all()
    assert len(counts) == 12
    evaluated = run.curve("train_loss", against="gradient_evaluations").index.to_numpy() / 64
    np.testing.assert_array_equal(evaluated, [0, *counts[3::4]])


class Slow(Generates):
    def step(self, closure: Any = None) -> None:
        time.sleep(0.01)
        super().step()


class Stopper(Silent):
    """Stops a study at the first points of a run."""

    def __init__(self, study: Any) -> None:
        self.study = study

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        if record["kind"] == "points":
            self.study.stop()


def test_a_run_that_cannot_continue_starts_anew_and_says_so(tmp_path: Any) -> None:
    base = kit.Experiment(backend="torch", budget=kit.Budget(steps=120), optimizer=Slow)
    study = base.vary(replicate=[0])
    stopped = study.run(store=tmp_path, progress=Stopper(study)).runs[0]
    assert stopped.status == "stopped", stopped.reason
    assert "The state of optimizer 'Slow' cannot be stored: it holds a generator" in stopped.reason
    assert stopped.parameters(), "what was reached is kept"
    again = study.run(store=tmp_path, progress=False)
    assert again.runs[0].status == "done"
    assert "starts anew. The state of optimizer 'Slow' cannot be stored" in " ".join(again.notes)
    expected = base.replace(optimizer=Generates).run(store=tmp_path, progress=False).curve("batch_loss")
    np.testing.assert_array_equal(again.runs[0].curve("batch_loss"), expected)
