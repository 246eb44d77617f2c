"""Recorded steps played back: what they give, what they follow, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from kit import rules  # noqa: E402
from kit.engine import InputSpec  # noqa: E402
from kit_torch.engine import TorchEngine  # noqa: E402
from kit_torch.playback import play  # noqa: E402
from kit_torch.tape import Unrecordable, record  # noqa: E402

pytestmark = pytest.mark.torch

TEXT = InputSpec(shape=(5,), outputs=7, task="language", tokens=7)
IMAGES = InputSpec(shape=(6, 6, 2), outputs=3, task="classification")


def gradient_of(function: Any, parameters: list[Any], *arguments: Any) -> list[Any]:
    loss = function(parameters, *arguments)
    return [loss, *torch.autograd.grad(loss, parameters)]


def dense(parameters: list[Any], x: Any) -> Any:
    """Products both ways round, a sum over rows, a broadcast bias, a softmax."""
    first, bias, last = parameters
    return -torch.log_softmax(torch.relu(x @ first.t() + bias) @ last, 1)[:, 0].mean()


def leaves(seed: int) -> list[Any]:
    source = torch.Generator().manual_seed(seed)
    shapes = [(4, 6), (4,), (4, 3)]
    return [torch.randn(s, generator=source, dtype=torch.float64).requires_grad_() for s in shapes]


@pytest.mark.parametrize("in_place", [True, False])
def test_it_gives_what_autograd_gives_and_follows_parameters_and_data(in_place: bool) -> None:
    parameters = leaves(0)
    x = torch.randn(5, 6, dtype=torch.float64)
    tape, _ = record(lambda: gradient_of(dense, parameters, x), parameters, {"x": x})
    places = [torch.full_like(p, 7.0).detach() for p in parameters] if in_place else None
    player = play(tape, ["x"], places)
    for seed in (0, 1, 2):
        with torch.no_grad():
            for own, value in zip(parameters, leaves(seed), strict=True):
                own.copy_(value)
        new = torch.randn(5, 6, dtype=torch.float64)
        expected = gradient_of(dense, parameters, new)
        with torch.no_grad():
            result = player(new)
        loss, found = (result, places) if in_place else result
        for one, other in zip([loss, *found], expected, strict=True):
            torch.testing.assert_close(one, other.detach(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (lambda p, x: (p * x).sum() * torch.rand(()), "random"),
        (lambda p, x: (p * x).sum() * float(x.sum()), "depends on the numbers"),
        (lambda p, x: (p * x)[x > 0].sum(), "depends on the numbers"),
        (lambda p, x: (p * x.clone().add_(1)).sum(), "in place"),
        (lambda p, x: (p * OUTSIDE).sum(), "neither a parameter nor data"),
    ],
)
def test_what_cannot_be_played_back_is_refused(step: Any, why: str) -> None:
    p, x = torch.ones(3, requires_grad=True), torch.arange(3.0)
    with pytest.raises(Unrecordable, match=why):
        record(lambda: gradient_of(lambda ps, x: step(ps[0], x), [p], x), [p], {"x": x})


OUTSIDE = torch.ones(3)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_attention_can_be_recorded_where_it_drops_nothing(dropout: float) -> None:
    """PyTorch says of its attention that it may draw random numbers, whether or not it does."""
    x = torch.randn(2, 3, 4, 8)
    p = torch.ones(8, requires_grad=True)

    def attend() -> Any:
        parts = (x * p,) * 3
        return gradient_of(
            lambda ps: torch.nn.functional.scaled_dot_product_attention(*parts, dropout_p=dropout).sum(), [p]
        )

    if dropout:
        with pytest.raises(Unrecordable, match="random"):
            record(attend, [p], {"x": x})
    else:
        record(attend, [p], {"x": x})


class Counting(nn.Linear):
    """Does something else from its third pass on, which no recording of the first could know."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.passes = 0

    def forward(self, x: Any) -> Any:
        self.passes += 1
        return super().forward(x) * (1.0 if self.passes < 3 else 2.0)


def strategies_of(c: Any, module: Any, **changes: Any) -> tuple[str, ...]:
    case = c.Case(problem=c.problem(module=module, **changes), rule=rules.Adam, options={"learning_rate": 0.1})
    found: tuple[str, ...] = TorchEngine().strategies(case.problem, case.optimizer, case.stack)
    return found


def test_only_what_does_the_same_every_time_is_recorded(kit_torch_cases: Any) -> None:
    plain = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    assert "recorded" in strategies_of(kit_torch_cases, plain)
    assert "recorded" in strategies_of(kit_torch_cases, plain, loss=nn.functional.cross_entropy)
    assert "recorded" not in strategies_of(kit_torch_cases, Counting)
    assert "recorded" not in strategies_of(kit_torch_cases, plain, loss=lambda o, t: nn.functional.cross_entropy(o, t))
    hooked = nn.Sequential(nn.Linear(6, 3))
    hooked[0].register_forward_hook(lambda module, given, output: output * 2)
    assert "recorded" not in strategies_of(kit_torch_cases, hooked)
    assert strategies_of(kit_torch_cases, nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.1))) == ("views",)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_precisions(kit_torch_cases: Any, dtype: str) -> None:
    c = kit_torch_cases
    losses = []
    for strategy in ("views", "recorded"):
        problem = c.problem("cnn", inputs=IMAGES, channels=(2,), hidden=4, dtype="float32")
        case = c.Case(problem=problem, rule=rules.Adam, options={"learning_rate": 0.01}, dtype=dtype)
        losses.append(case.train(case.program(strategy), 6))
    torch.testing.assert_close(*map(torch.from_numpy, losses), rtol=2e-2 if dtype == "bfloat16" else 1e-4, atol=0)
