"""Every rule that torch.optim defines too, against it: float64, 300 steps, the learning rate changing in mid-run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kit.rules import (
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    MiniBatchGradientDescent,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    RMSprop,
)

pytestmark = pytest.mark.torch
torch: Any = None  # imported by the fixture: collecting this file must not load it beside TensorFlow

STEPS = 300
FACTORS = np.where(np.arange(STEPS) < 150, 1.0, 0.3)
BOUND = 1e-10
ε = 1e-3  # large enough to expose where it stands

# name: (rule, our options, torch.optim class, its options); learning rate and weight decay are given to both.
CASES: dict[str, tuple[Any, dict[str, Any], str, dict[str, Any]]] = {
    "SGD": (MiniBatchGradientDescent, {}, "SGD", {}),
    "SGD momentum": (Momentum, {"momentum": 0.8}, "SGD", {"momentum": 0.8}),
    "SGD dampening": (
        Momentum, {"momentum": 0.8, "dampening": 0.4}, "SGD", {"momentum": 0.8, "dampening": 0.4},
    ),
    "SGD nesterov": (Nesterov, {"momentum": 0.8}, "SGD", {"momentum": 0.8, "nesterov": True}),
    "Adagrad": (
        Adagrad,
        {"lr_decay": 0.01, "initial_accumulator": 0.2, "epsilon": ε},
        "Adagrad",
        {"lr_decay": 0.01, "initial_accumulator_value": 0.2, "eps": ε},
    ),
    "Adadelta": (Adadelta, {"learning_rate": 0.7, "rho": 0.8, "epsilon": ε}, "Adadelta", {"rho": 0.8, "eps": ε}),
    "RMSprop": (RMSprop, {"rho": 0.95, "epsilon": ε}, "RMSprop", {"alpha": 0.95, "eps": ε}),
    "RMSprop centered": (
        RMSprop, {"centered": True, "epsilon": ε}, "RMSprop", {"centered": True, "eps": ε},
    ),
    "RMSprop momentum": (
        RMSprop, {"momentum": 0.7, "epsilon": ε}, "RMSprop", {"momentum": 0.7, "eps": ε},
    ),
    "RMSprop centered momentum": (
        RMSprop,
        {"centered": True, "momentum": 0.7, "epsilon": ε},
        "RMSprop",
        {"centered": True, "momentum": 0.7, "eps": ε},
    ),
    "Adam": (Adam, {"beta1": 0.8, "beta2": 0.99, "epsilon": ε}, "Adam", {"betas": (0.8, 0.99), "eps": ε}),
    "Adam decoupled": (
        Adam, {"decay": "decoupled", "epsilon": ε}, "Adam", {"decoupled_weight_decay": True, "eps": ε},
    ),
    "Adam amsgrad": (AMSGrad, {"epsilon": ε}, "Adam", {"amsgrad": True, "eps": ε}),
    "AdamW": (AdamW, {"epsilon": ε}, "AdamW", {"eps": ε}),
    "AdamW amsgrad": (
        AMSGrad, {"decay": "decoupled", "epsilon": ε}, "AdamW", {"amsgrad": True, "eps": ε},
    ),
    "Adamax": (Adamax, {"epsilon": ε}, "Adamax", {"eps": ε}),
    "NAdam": (NAdam, {"epsilon": ε, "momentum_decay": 0.02}, "NAdam", {"eps": ε, "momentum_decay": 0.02}),
    "NAdam decoupled": (
        NAdam, {"decay": "decoupled", "epsilon": ε}, "NAdam", {"decoupled_weight_decay": True, "eps": ε},
    ),
    # 1/√t takes over from the learning rate at step 100, and the lowered rate from it at step 150.
    "Adafactor": (
        Adafactor,
        {"learning_rate": 0.1, "epsilon1": ε, "epsilon2": 0.1, "clipping": 1.2, "beta2_decay": -0.7},
        "Adafactor",
        {"eps": (ε, 0.1), "d": 1.2, "beta2_decay": -0.7},
    ),
    "Adafactor defaults": (Adafactor, {}, "Adafactor", {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def load_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch, with float64 as its default: NAdam keeps the product of its momenta in that."""
    monkeypatch.setitem(globals(), "torch", pytest.importorskip("torch"))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Torch:
    """torch.optim on the same parameters, with the same gradients."""

    def __init__(self, parameters: list[np.ndarray], make: Any) -> None:
        self.parameters = [torch.nn.Parameter(torch.tensor(p)) for p in parameters]
        self.optimizers = make(self.parameters)
        self.rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers]

    def values(self) -> list[np.ndarray]:
        return [p.detach().numpy().copy() for p in self.parameters]

    def step(self, gradients: list[np.ndarray], factor: float) -> None:
        for p, g in zip(self.parameters, gradients, strict=True):
            p.grad = torch.tensor(g).reshape(p.shape)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimizer.step()


def deviation(rules: Any, rule: Any, options: dict[str, Any], make: Any) -> float:
    """The largest difference of any element of any parameter after any of the steps."""
    ours = rules.reference(rule, rules.arrays(0, trials=1), **options)
    theirs = Torch(rules.arrays(0), make)
    our_gradients, their_gradients = rules.Bowl(), rules.Bowl()
    worst, moved = 0.0, np.zeros(len(rules.SHAPES))
    for factor in FACTORS:
        ours.advance(our_gradients, np.array([[factor]]))
        theirs.step(their_gradients(theirs.values()), factor)
        for p, q in zip(ours.parameters, theirs.values(), strict=True):
            worst = max(worst, float(np.abs(p[0] - q.reshape(p[0].shape)).max()))
        travelled = [np.abs(p[0] - q).max() for p, q in zip(ours.parameters, rules.arrays(0), strict=True)]
        moved = np.maximum(moved, travelled)
    assert moved.min() > 0.05, "a comparison of parameters that stand still shows nothing"
    return worst


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_torch(case: str, rules: Any, record_property: Any) -> None:
    rule, ours, theirs, options = CASES[case]
    ours = {"learning_rate": 0.02, "weight_decay": 0.1} | ours
    shared = {"lr": ours["learning_rate"], "weight_decay": ours["weight_decay"]}
    optimizer = getattr(torch.optim, theirs)
    worst = deviation(rules, rule, ours, lambda p: [optimizer(p, **shared, **options)])
    record_property("deviation", worst)
    assert worst <= BOUND


def muon_and_adamw(parameters: list[Any], companion_rate: float = 0.5, **options: Any) -> list[Any]:
    """torch.optim.Muon for matrices, kernels being views as matrices, and AdamW for the rest."""
    matrices = [p for p in parameters if p.ndim == 2]
    others = [p for p in parameters if p.ndim < 2]
    adamw = torch.optim.AdamW(others, lr=0.02 * companion_rate, betas=(0.8, 0.99), eps=ε, weight_decay=0.1)
    return [torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1, **options), adamw]


class TorchMuon(Torch):
    """Kernels are handed over as matrices: torch.optim.Muon takes nothing else."""

    def __init__(self, parameters: list[np.ndarray], make: Any) -> None:
        self.shapes = [p.shape for p in parameters]
        super().__init__([p.reshape(len(p), -1) if p.ndim > 2 else p for p in parameters], make)

    def values(self) -> list[np.ndarray]:
        return [p.reshape(shape) for p, shape in zip(super().values(), self.shapes, strict=True)]


MUON = {
    "learning_rate": 0.02, "weight_decay": 0.1, "companion_rate": 0.5, "beta1": 0.8, "beta2": 0.99, "epsilon": ε,
}  # fmt: skip


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("iterations", [5, 2])
def test_agrees_with_torch_muon(
    nesterov: bool, adjust: str, iterations: int, rules: Any, record_property: Any, monkeypatch: Any
) -> None:
    """torch rounds the iteration to bfloat16, which no other order of summation repeats: here it stays in float64."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    monkeypatch.setitem(globals(), "Torch", TorchMuon)
    torch_options = {"momentum": 0.9, "nesterov": nesterov, "ns_steps": iterations, "adjust_lr_fn": adjust}
    ours = MUON | torch_options
    worst = deviation(rules, Muon, ours, lambda p: muon_and_adamw(p, **torch_options))
    record_property("deviation", worst)
    assert worst <= BOUND


def test_first_step_of_muon_within_bfloat16(rules: Any) -> None:
    """As torch ships it, bfloat16 and all: the directions of one step differ by its rounding and no more."""
    ours = rules.reference(Muon, rules.arrays(0, trials=1), **MUON, adjust_lr_fn="original")
    theirs = TorchMuon(rules.arrays(0), muon_and_adamw)
    ours.advance(rules.Bowl(), np.ones((1, 1)))
    theirs.step(rules.Bowl()(theirs.values()), 1.0)
    for start, p, q in zip(rules.arrays(0), ours.parameters, theirs.values(), strict=True):
        assert np.linalg.norm(p[0] - q) <= 0.03 * np.linalg.norm(p[0] - start)


def test_clipping_agrees_with_torch(rules: Any) -> None:
    """clip_grad_norm_ divides by the norm + 1e-6; with a norm of about 10 that is 1e-7 relative."""
    from kit.rules import numpy_namespace as xp
    from kit.rules.step import clip

    ours = [10 * g for g in rules.arrays(3)]
    tensors = [torch.nn.Parameter(torch.tensor(g)) for g in ours]
    for p in tensors:
        p.grad = p.detach().clone()
    norm = float(torch.nn.utils.clip_grad_norm_(tensors, 2.0))
    clipped = clip(xp, [g[None] for g in ours], np.array([2.0]))
    for g, p in zip(clipped, tensors, strict=True):
        np.testing.assert_allclose(g[0] * (norm / (norm + 1e-6)), p.grad.numpy(), rtol=1e-13)
    untouched = clip(xp, [g[None] for g in ours], np.array([2 * norm]))
    assert all((g[0] == h).all() for g, h in zip(untouched, ours, strict=True))
