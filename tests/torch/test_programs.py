"""Programs of the user's own modules and losses, precision, devices, and what is said where something does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from kit import rules  # noqa: E402
from kit.engine import InputSpec, State  # noqa: E402
from kit.errors import DeviceError, InvalidValueError  # noqa: E402
from kit_torch.engine import TorchEngine  # noqa: E402

pytestmark = pytest.mark.torch

RATES = np.array([0.01, 0.1, 0.3])
VALUE = InputSpec(shape=(6,), outputs=1, task="regression")
BINARY = InputSpec(shape=(6,), outputs=1, task="binary")


class Normed(nn.Module):
    """BatchNorm and a dropout of its own: state, and draws from PyTorch's generator."""

    def __init__(self, width: int = 5, dropout: float = 0.5) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, width, bias=False), nn.BatchNorm1d(width), nn.Linear(width, 3)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Any) -> Any:
        return self.last(self.drop(torch.tanh(self.norm(self.first(x)))))


class Tied(nn.Module):
    """One matrix under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(6, 6), nn.Linear(6, 6)
        self.write.weight = self.read.weight
        self.last = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.last(torch.tanh(self.write(torch.tanh(self.read(x)))))


def case_of(c: Any, module: Any, rule: Any = rules.Adam, **changes: Any) -> Any:
    problem = c.problem(module=module, **changes.pop("problem", {}))
    return c.Case(problem=problem, rule=rule, options={"learning_rate": RATES}, **changes)


def program_of(case: Any, strategy: str | None = "views") -> Any:
    parameters, buffers = TorchEngine().initial_parameters(case.problem, case.stack.seeds)
    return case.program(strategy, State(parameters=parameters, buffers=buffers))


def by_hand(case: Any, n: int, steps: int, module: Any, loss: Any = nn.functional.cross_entropy) -> Any:
    """Member n by torch.optim.Adam on the module itself."""
    module = module.double().train()
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=RATES[n]), []
    for k in range(steps):
        optimizer.param_groups[0]["lr"] = RATES[n] / (1 + 0.1 * k)
        rows = torch.as_tensor(case.order.indices(k, 1)[0, 0])
        value = loss(module(torch.as_tensor(case.block.x[0])[rows]), torch.as_tensor(case.block.y[0])[rows])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses, module


def test_a_module_with_moving_means_equals_the_plain_loop(kit_torch_cases: Any) -> None:
    module = Normed(dropout=0.0)
    case = case_of(kit_torch_cases, module)
    assert TorchEngine().strategies(case.problem, case.optimizer, case.stack) == ("views",)
    program = program_of(case)
    losses = case.train(program, 5)
    import copy

    for n in range(3):
        expected, trained = by_hand(case, n, 5, copy.deepcopy(module))
        np.testing.assert_allclose(losses[:, n], expected, rtol=1e-12)
        state = program.state()
        np.testing.assert_allclose(state.buffers["norm.running_mean"][n], trained.norm.running_mean, rtol=1e-12)
        assert state.buffers["norm.num_batches_tracked"][n] == 5
        x, y = (torch.as_tensor(v[0]) for v in (case.block.x, case.block.y))
        with torch.no_grad():
            output = trained.eval()(x)
        found = program.evaluate("train")
        assert found["loss"][n] == pytest.approx(nn.functional.cross_entropy(output, y).item(), rel=1e-12)
        assert found["accuracy"][n] == pytest.approx((output.argmax(-1) == y).double().mean().item())
    assert module.norm.num_batches_tracked == 0, "the user's own object is not trained"


def test_tied_weights_stay_tied(kit_torch_cases: Any) -> None:
    import copy

    module = Tied()
    case = case_of(kit_torch_cases, module)
    for strategy in ("views", "vmap"):
        again = case_of(kit_torch_cases, module)
        program = program_of(again, strategy)
        losses = again.train(program, 5)
        for n in range(3):
            expected, trained = by_hand(case, n, 5, copy.deepcopy(module))
            np.testing.assert_allclose(losses[:, n], expected, rtol=1e-12)
            np.testing.assert_allclose(
                program.state().parameters["read.weight"][n], trained.write.weight.detach(), rtol=1e-9
            )
        assert "write.weight" not in program.state().parameters


def test_reading_leaves_moving_means_and_draws_alone(kit_torch_cases: Any) -> None:
    one, two = (case_of(kit_torch_cases, Normed) for _ in range(2))
    silent = program_of(one)
    torch.manual_seed(1)
    expected = one.train(silent, 2, 3)
    read = program_of(two)
    torch.manual_seed(1)
    losses = [two.train(read, 2)]
    read.evaluate("train")
    read.gradients(two.order.indices(0, 1)[0])
    losses.append(two.train(read, 3))
    np.testing.assert_array_equal(np.concatenate(losses), expected)
    assert kit_torch_cases.same_state(read.state(), silent.state())


def test_a_run_with_draws_of_its_own_continues_to_the_bit(kit_torch_cases: Any) -> None:
    """A resumed process begins with PyTorch's generator elsewhere; the draws are the trial's own all the same."""
    whole, first = (case_of(kit_torch_cases, Normed) for _ in range(2))
    expected = whole.train(program_of(whole), 3, 4)[3:]
    begun = program_of(first)
    first.train(begun, 3)
    state = begun.state()
    torch.manual_seed(77)
    resumed = first.compile()
    torch.manual_seed(78)
    resumed.load(state)
    np.testing.assert_array_equal(first.train(resumed, 4), expected)


def test_draws_of_its_own_do_not_depend_on_the_neighbours(kit_torch_cases: Any) -> None:
    case = case_of(kit_torch_cases, Normed)
    losses = case.train(program_of(case), 4)
    other = case_of(kit_torch_cases, Normed)
    alone = other.only(1)
    stack = type(case).stack.fget(case)  # type: ignore[attr-defined]
    parameters, buffers = TorchEngine().initial_parameters(case.problem, stack.seeds[1:2])
    from kit.engine import Stack

    program = TorchEngine().compile(
        alone.problem,
        alone.optimizer,
        Stack(replicates=np.array([0]), seeds=stack.seeds[1:2]),
        device="cpu",
        dtype="float64",
        steps=10,
        strategy="views",
    )
    program.load(State(parameters=parameters, buffers=buffers))
    np.testing.assert_allclose(alone.train(program, 4)[:, 0], losses[:, 1], rtol=1e-12)


def test_a_class_is_started_from_each_trials_seed(kit_torch_cases: Any) -> None:
    problem = kit_torch_cases.problem(module=Normed, width=4)
    first, _ = TorchEngine().initial_parameters(problem, np.array([1, 2, 1]))
    assert first["first.weight"].shape == (3, 4, 6)
    np.testing.assert_array_equal(first["first.weight"][0], first["first.weight"][2])
    assert (first["first.weight"][0] != first["first.weight"][1]).all()


@pytest.mark.parametrize("strategy", ["views", "vmap"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_losses_of_ones_own(kit_torch_cases: Any, reduction: str, strategy: str) -> None:
    """A number for the batch, or one for each sample."""

    def own(output: Any, target: Any) -> Any:
        return nn.functional.cross_entropy(output, target, reduction=reduction)

    case, plain = (case_of(kit_torch_cases, nn.Linear(6, 3)) for _ in range(2))
    expected = plain.train(program_of(plain), 4)
    case = case_of(kit_torch_cases, case.problem.model_object, problem={"loss": own})
    plain = case_of(kit_torch_cases, case.problem.model_object)
    expected = plain.train(program_of(plain), 4)
    np.testing.assert_allclose(case.train(program_of(case, strategy), 4), expected, rtol=1e-12)


@pytest.mark.parametrize(("inputs", "loss"), [(VALUE, "mse"), (VALUE, "huber"), (BINARY, "binary_cross_entropy")])
def test_one_output_column_fits_a_target_of_one_number(kit_torch_cases: Any, inputs: InputSpec, loss: str) -> None:
    """(batch, 1) beside (batch,) must not be broadcast to (batch, batch)."""
    column, flat = nn.Linear(6, 1), nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))
    flat[0].load_state_dict(column.state_dict())
    found = []
    for module in (column, flat):
        case = case_of(kit_torch_cases, module, problem={"inputs": inputs, "loss": loss})
        program = program_of(case)
        found.append((case.train(program, 4), program.evaluate("validation")))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    for name, values in found[0][1].items():
        np.testing.assert_allclose(values, found[1][1][name], rtol=1e-12)
        assert values.shape == (3,)


@pytest.mark.parametrize(
    ("inputs", "loss", "module", "shapes"),
    [
        (None, "cross_entropy", nn.Linear(6, 4), (r"\(2, 4\)", r"\(2, 3\)")),
        (VALUE, "mse", nn.Linear(6, 2), (r"\(2, 2\)", r"\(2,\)")),
        (BINARY, "binary_cross_entropy", nn.Linear(6, 2), (r"\(2, 2\)", r"\(2,\)")),
        (None, "cross_entropy", nn.Linear(5, 3), (r"\(2, 6\)",)),
        (None, "cross_entropy", nn.Embedding(4, 3), (r"\(2, 6\)",)),
    ],
)
def test_what_does_not_fit_is_said_with_its_shapes(
    kit_torch_cases: Any, inputs: Any, loss: str, module: Any, shapes: tuple[str, ...]
) -> None:
    changes = {"loss": loss, **({"inputs": inputs} if inputs else {})}
    case = case_of(kit_torch_cases, module, problem=changes)
    for shape in shapes:
        with pytest.raises(InvalidValueError, match=shape):
            case.compile()


def test_what_is_no_module_is_said(kit_torch_cases: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"made a dict; it must make a torch.nn.Module"):
        case_of(kit_torch_cases, dict).compile()


def test_a_module_that_gives_no_tensor_is_said(kit_torch_cases: Any) -> None:
    class Pair(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x), x

    with pytest.raises(InvalidValueError, match="gives a tuple"):
        case_of(kit_torch_cases, Pair(6, 3)).compile()


def test_an_unknown_strategy_is_said(kit_torch_cases: Any) -> None:
    with pytest.raises(InvalidValueError, match="one of views, vmap"):
        case_of(kit_torch_cases, nn.Linear(6, 3)).compile("vamp")


@pytest.mark.parametrize("device", ["cuda:7", "tpu", "mps:3", "cpu:1", ""])
def test_a_device_that_is_not_there(kit_torch_cases: Any, device: str) -> None:
    case = case_of(kit_torch_cases, nn.Linear(6, 3))
    with pytest.raises(DeviceError, match="cpu"):
        TorchEngine().compile(case.problem, case.optimizer, case.stack, device=device, dtype="float32", steps=1)


def test_devices_name_the_processor() -> None:
    first = TorchEngine().devices()[0]
    assert first.name == "cpu"
    assert set(first.dtypes) == {"float32", "float64", "bfloat16"}


def test_versions_name_what_decides_the_numbers() -> None:
    assert TorchEngine().versions()["torch"] == torch.__version__


@pytest.mark.parametrize("strategy", ["views", "vmap", "recorded", "compiled"])
def test_bfloat16_autocast_learns_and_keeps_its_weights_in_float32(
    kit_torch_cases: Any, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step at its own weights: autocast's copies must not outlive a step."""
    monkeypatch.setattr("kit_torch.inductor.BACKEND", "eager")
    c = kit_torch_cases
    case = c.Case(
        problem=c.problem(dtype="float32"), rule=rules.Momentum, options={"learning_rate": 0.1}, dtype="bfloat16"
    )
    exact = c.Case(
        problem=c.problem(dtype="float32"), rule=rules.Momentum, options={"learning_rate": 0.1}, dtype="float32"
    )
    program = case.program(strategy)
    before = program.evaluate("train")["loss"]
    losses = case.train(program, 60)
    assert program.state().parameters["layers.0.weight"].dtype == np.float32
    assert (program.evaluate("train")["loss"] < 0.8 * before).all()
    full = exact.train(exact.program(strategy), 60)
    np.testing.assert_allclose(losses[:5], full[:5], rtol=0.05)
    assert (losses[:5] != full[:5]).any(), "nothing was computed in bfloat16"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_is_in_the_precision_asked_for(kit_torch_cases: Any, dtype: str) -> None:
    c = kit_torch_cases
    case = c.Case(problem=c.problem(dtype=dtype), rule=rules.Adam, options={"learning_rate": 0.05}, dtype=dtype)
    program = case.program()
    case.train(program, 2)
    state = program.state()
    arrays = [*state.parameters.values(), *state.slots["m"].values(), *program.evaluated_parameters().values()]
    assert {str(array.dtype) for array in arrays} == {dtype}
    assert {str(v.dtype) for v in program.evaluate("train").values()} == {"float64"}


def test_threads_are_as_asked() -> None:
    before = torch.get_num_threads()
    TorchEngine(threads=1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
