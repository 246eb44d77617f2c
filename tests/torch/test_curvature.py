"""The curvature of a network, read through the engine, against the Hessian by automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import kit


@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-6), ("float32", 5e-3)])
def test_the_curvature_of_a_network(tmp_path, dtype, within):
    source = np.random.default_rng(0)
    x, y = source.normal(size=(90, 4)), source.integers(0, 3, 90)
    model = kit.model("mlp", hidden=(5,), activation="tanh")
    probe = kit.probe("curvature", iterations=60)
    run = kit.Experiment(
        dataset=(x, y), model=model, optimizer="gd", budget=40, evaluate_every=40, probes=(probe,), backend="torch",
        dtype=dtype, validation_fraction=0, standardise=False,
    ).run(store=tmp_path, executor="inline", progress=False)  # fmt: skip
    assert run.status == "done", run.reason
    named = {name: torch.tensor(value, dtype=torch.float64) for name, value in run.parameters().items()}

    def loss(flat):
        parts = dict(zip(named, flat.split([v.numel() for v in named.values()]), strict=True))
        w0, b0, w1, b1 = (parts[n].view_as(named[n]) for n in sorted(named, key=lambda n: (n[:8], n[9] == "b")))
        hidden = torch.tanh(torch.tensor(x) @ w0.T + b0)
        return torch.nn.functional.cross_entropy(hidden @ w1.T + b1, torch.tensor(y))

    flat = torch.cat([value.reshape(-1) for value in named.values()])
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat)).numpy()
    assert run.final("largest_curvature") == pytest.approx(values[-1], rel=within)
    assert run.final("smallest_curvature") == pytest.approx(values[0], abs=within * values[-1])
