"""Gradient accumulation and activation checkpointing: the trajectory stays, and what is held at a time shrinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from kit import rules  # noqa: E402
from kit.engine import InputSpec, Native  # noqa: E402
from kit.errors import InvalidValueError  # noqa: E402

pytestmark = pytest.mark.torch
STEPS = 5
CHARACTERS = InputSpec(shape=(7,), outputs=11, task="language", tokens=11)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit_torch.inductor.BACKEND", "eager")
    monkeypatch.setattr("kit_torch.strategies.compiled.SEVERAL", 2)


def case(c: Any, problem: Any, rule: Any = rules.Adam, replicates: Any = (0,), **levers: Any) -> Any:
    options = {"learning_rate": 0.02} if isinstance(rule, Native) else {"learning_rate": 0.02, "clip_norm": 0.5}
    return c.Case(problem=replace(problem, **levers), rule=rule, options=options, replicates=replicates, batch=6)


def trained(made: Any, strategy: str, state: Any = None) -> tuple[Any, dict[str, Any]]:
    program = made.program(strategy, state)
    return made.train(program, 2, STEPS - 2), program.evaluated_parameters()


def agree(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one[0], other[0], rtol=1e-11)
    for name, value in one[1].items():
        np.testing.assert_allclose(value, other[1][name], rtol=0, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("large", [False, True], ids=["joined", "apart"])
@pytest.mark.parametrize("strategy", ["views", "vmap", "recorded", "compiled"])
def test_accumulation_keeps_the_trajectory(
    kit_torch_cases: Any, monkeypatch: pytest.MonkeyPatch, strategy: str, large: bool
) -> None:
    """Six samples in parts of two, and of four and two; with dropout, whose draws go with their samples."""
    if large:
        monkeypatch.setattr("kit_torch.stacked.JOINED", 1)
    problem = kit_torch_cases.problem(dropout=0.3)
    replicates = (0,) if large else (0, 1, 1)
    whole = trained(case(kit_torch_cases, problem, replicates=replicates), "views")
    for count in (3, 2):
        made = case(kit_torch_cases, problem, replicates=replicates, gradient_accumulation=count)
        agree(trained(made, strategy), whole)


def seen(made: Any, module: Any) -> list[int]:
    """The numbers of samples that the module was called with, in a step."""
    sizes: list[int] = []
    program = made.program("views", made.compile().state())
    program.setting.members[0].register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    made.train(program, 1)
    return sizes


def test_a_part_is_what_the_model_sees(kit_torch_cases: Any) -> None:
    def module() -> Any:
        return nn.Linear(6, 3)

    for count, sizes in ((1, [6]), (2, [3, 3]), (4, [2, 2, 2])):
        problem = kit_torch_cases.problem(module=module)
        assert seen(case(kit_torch_cases, problem, gradient_accumulation=count), module) == sizes


def test_probes_take_gradients_in_parts(kit_torch_cases: Any) -> None:
    problem = kit_torch_cases.problem()
    rows = np.arange(7)[None]
    whole, parts = (
        case(kit_torch_cases, problem, gradient_accumulation=count).program("views").gradients(rows) for count in (1, 3)
    )
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, atol=1e-14)


@pytest.mark.parametrize("kind", ["SGD", "LBFGS"])
def test_native_optimizers_accumulate(kit_torch_cases: Any, kind: str) -> None:
    """One that calls its closure as often as it likes too."""
    native = Native(build=getattr(torch.optim, kind), options=({},), rates=(0.02,))
    problem = kit_torch_cases.problem()
    whole = trained(case(kit_torch_cases, problem, native), "views")
    agree(trained(case(kit_torch_cases, problem, native, gradient_accumulation=3), "views"), whole)


def test_an_optimizer_that_takes_the_loss_itself_says_so(kit_torch_cases: Any) -> None:
    from kit.needs import Needs

    native = Native(build=torch.optim.SGD, options=({},), rates=(0.02,), needs=Needs(second_order=True))
    with pytest.raises(InvalidValueError, match=r"optimizer 'SGD' takes second derivatives.*gradient_accumulation"):
        case(kit_torch_cases, kit_torch_cases.problem(), native, gradient_accumulation=2).compile()


class Normed(nn.Module):
    """Blocks in a list, with batch normalisation and a dropout of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(6, 5)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Dropout(0.2)) for _ in range(3)
        )
        self.last = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


def sequential() -> nn.Module:
    torch.manual_seed(3)
    widths = [(6, 8), *[(8, 8)] * 6]
    return nn.Sequential(*(part for a, b in widths for part in (nn.Linear(a, b), nn.Tanh())), nn.Linear(8, 3))


def problems(c: Any) -> dict[str, Any]:
    return {
        "mlp": c.problem(hidden=(8, 7, 6, 5), dropout=0.2),
        "cnn": c.problem("cnn", inputs=InputSpec(shape=(8, 8, 1), outputs=3, task="classification"), channels=(3, 4)),
        "transformer": c.problem("transformer", inputs=CHARACTERS, width=8, heads=2, blocks=3),
        "list": c.problem(module=Normed),
        "sequential": c.problem(module=sequential),
    }


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer", "list", "sequential"])
def test_checkpointing_keeps_the_trajectory_to_the_bit(kit_torch_cases: Any, name: str) -> None:
    """Moving means and a dropout's own draws too."""
    problem = problems(kit_torch_cases)[name]
    states = []
    for again in (False, True):
        made = case(kit_torch_cases, problem, activation_checkpointing=again)
        program = made.compile("views")
        start = made.start() if problem.parameters else starting(made)
        program.load(start)
        made.train(program, 2, STEPS - 2)
        states.append(program.state())
    assert kit_torch_cases.same_state(*states)


def starting(made: Any) -> Any:
    from kit.engine import State
    from kit_torch.engine import TorchEngine

    parameters, buffers = TorchEngine(threads=1).initial_parameters(made.problem, made.stack.seeds)
    return State(parameters=parameters, buffers=buffers)


@pytest.mark.parametrize("name", ["mlp", "transformer", "list", "sequential"])
def test_checkpointing_keeps_less_for_the_backward_pass(kit_torch_cases: Any, name: str) -> None:
    """Counted in the bytes that autograd has kept when the forward pass is over."""
    problem = problems(kit_torch_cases)[name]
    kept = {again: held(case(kit_torch_cases, problem, activation_checkpointing=again)) for again in (False, True)}
    assert kept[True] < 0.7 * kept[False]


def held(made: Any) -> int:
    setting = made.compile("views").setting
    total: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        total[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x, y = (torch.as_tensor(values[0, :6]) for values in (made.block.x, made.block.y))
    noise = {name: torch.rand(6, *shape, dtype=torch.float64) for name, shape in made.problem.noise} or None
    parameters = setting.stacked.flat.untyped_storage().data_ptr()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        setting.member_loss(setting.members[0], x, y, noise)
    return sum(size for place, size in total.items() if place != parameters)


def test_both_together_and_in_a_stack(kit_torch_cases: Any) -> None:
    problem = problems(kit_torch_cases)["mlp"]
    levers = {"gradient_accumulation": 2, "activation_checkpointing": True}
    whole = trained(case(kit_torch_cases, problem, replicates=(0, 1)), "views")
    agree(trained(case(kit_torch_cases, problem, replicates=(0, 1), **levers), "views"), whole)


def test_what_cannot_be_done_is_said(kit_torch_cases: Any) -> None:
    again = {"activation_checkpointing": True}
    with pytest.raises(InvalidValueError, match=r"Linear shows no blocks to compute again; make it an nn\.Sequential"):
        case(kit_torch_cases, kit_torch_cases.problem(module=lambda: nn.Linear(6, 3)), **again).compile()
    with pytest.raises(InvalidValueError, match=r"strategy='recorded' is not valid here with activation_checkpointing"):
        case(kit_torch_cases, kit_torch_cases.problem(), **again).compile("recorded")


def test_the_peak_is_lower(kit_torch_cases: Any) -> None:
    """Of this process, in a deep network whose activations take 80 MB: from the least to the most, as what one leaves
    behind the next takes up again. Checkpointing alone is not among them: of blocks of 2 MB glibc gives back a part (83
    MB stay of 94; with MALLOC_MMAP_THRESHOLD_=1000000 35 of 92), so what autograd keeps is counted, above."""
    from kit.memory import peak_memory_bytes, reset_peak

    inputs = InputSpec(shape=(64,), outputs=3, task="classification")
    problem = kit_torch_cases.problem(inputs=inputs, hidden=(64,) * 20, rows=4096, activation="gelu")
    levers = {
        "both": {"gradient_accumulation": 8, "activation_checkpointing": True},
        "accumulation": {"gradient_accumulation": 8},
        "plain": {},
    }

    def train(batch: int, **chosen: Any) -> None:
        made = kit_torch_cases.Case(
            problem=replace(problem, **chosen), rule=rules.GradientDescent, replicates=(0,), batch=batch
        )
        made.train(made.program("views"), 2)

    for chosen in levers.values():
        train(8, **chosen)  # so that all code is there
    reset_peak()
    before, taken = resident(), {}
    for name, chosen in levers.items():
        train(4096, **chosen)
        taken[name] = peak_memory_bytes() - before
    assert max(taken["accumulation"], taken["both"]) < 0.6 * taken["plain"], taken


def resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
