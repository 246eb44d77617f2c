"""Curvature and gradient noise against Hessians and per-sample gradients written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kit
from kit.curvature import extremes
from kit.gradient_noise import noise_scale

BACKEND = str(Path(__file__).parents[1] / "numpy_backend")


@pytest.fixture
def base(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BACKEND)
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy")
    source = np.random.default_rng(3)
    x = source.normal(size=(60, 3)) @ np.diag([3.0, 1.0, 0.2])
    y = (x @ source.normal(size=(3, 3))).argmax(axis=1)
    targets = x @ [1.0, -2.0, 0.5] + source.normal(size=60)
    kind = {"model": "linear", "optimizer": "minibatch", "backend": "numpy", "dtype": "float64", "budget": 6}
    kind |= {"batch_size": 10, "evaluate_every": 3, "validation_fraction": 0, "standardise": False}

    def run(**fields):
        data = (x, y) if fields.pop("classes", True) else (x, targets)
        found = kit.Experiment(dataset=data, **(kind | fields)).run(
            store=tmp_path / "store", executor="inline", progress=False
        )
        assert found.status == "done", found.reason
        return found

    run.x, run.y, run.targets = x, y, targets
    return run


def with_bias(x):
    return np.hstack([x, np.ones((len(x), 1))])


def test_lanczos_finds_the_ends_of_a_spectrum():
    source = np.random.default_rng(0)
    turn = np.linalg.qr(source.normal(size=(40, 40)))[0]
    spectra = np.array([np.linspace(-1.0, 5.0, 40), np.r_[100.0, np.full(39, 0.01)], np.zeros(40)])
    matrices = np.einsum("ij,nj,kj->nik", turn, spectra, turn)
    low, high = extremes(lambda v: np.einsum("nij,nj->ni", matrices, v), 40, 3, iterations=40)
    assert high == pytest.approx(spectra.max(axis=1), abs=1e-9)
    assert low == pytest.approx(spectra.min(axis=1), abs=1e-9)
    few = extremes(lambda v: np.einsum("nij,nj->ni", matrices, v), 40, 3, iterations=15)
    assert few[1] == pytest.approx(spectra.max(axis=1), rel=1e-2, abs=1e-9)
    assert np.all(few[0] >= spectra.min(axis=1) - 1e-9)  # an upper bound until it is exact


def test_a_trial_that_left_for_infinity_leaves_its_neighbour():
    def product(v):
        return np.stack([np.full(3, np.nan), v[1] * [1.0, 2.0, 3.0]])

    low, high = extremes(product, 3, 2, iterations=10)
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1], high[1]) == (pytest.approx(1.0), pytest.approx(3.0))


def test_the_curvature_of_least_squares_is_that_of_its_matrix(base):
    """L = (1/n) Σ (x·w + b − y)²: H = (2/n) X̃ᵀ X̃, wherever one stands."""
    run = base(classes=False, loss="mse", probes=("curvature",))
    values = np.linalg.eigvalsh(2 / 60 * with_bias(base.x).T @ with_bias(base.x))
    assert run.curve("largest_curvature").to_numpy() == pytest.approx([values[-1]] * 3, rel=1e-6)
    assert run.curve("smallest_curvature").to_numpy() == pytest.approx([values[0]] * 3, rel=1e-5)


def test_the_curvature_of_softmax_regression(base):
    """H = (1/n) Σ (diag π − π πᵀ) ⊗ x̃ x̃ᵀ, π the probabilities (Bishop 2006, equation 4.110)."""
    run = base(probes=("curvature",))
    weight, bias = (run.parameters()[name] for name in ("weight", "bias"))
    score = base.x @ weight.T + bias
    share = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    hessian = np.zeros((12, 12))
    for each, x in zip(share, with_bias(base.x), strict=True):
        hessian += np.kron(np.diag(each) - np.outer(each, each), np.outer(x, x)) / 60
    assert run.final("largest_curvature") == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)
    assert run.final("smallest_curvature") == pytest.approx(0.0, abs=1e-8)  # adding a constant to all scores


def test_the_noise_scale_of_all_samples_one_by_one(base):
    run = base(classes=False, loss="mse", probes=(kit.probe("gradient_noise", batch=1, batches=60),))
    weight, bias = (run.parameters()[name] for name in ("weight", "bias"))
    residual = base.x @ weight[0] + bias - base.targets
    each = 2 * residual[:, None] * with_bias(base.x)
    trace, square = each.var(axis=0, ddof=1).sum(), np.sum(each.mean(axis=0) ** 2)
    assert run.final("gradient_noise_scale") == pytest.approx(trace / square, rel=1e-9)
    assert run.final("gradient_variance") == pytest.approx(trace, rel=1e-9)


def test_the_parts_of_the_noise_scale_are_unbiased():
    """Many estimates from few small batches, against the covariance and mean that the gradients were drawn with."""
    source = np.random.default_rng(1)
    mean, deviations = np.array([1.0, -0.5, 0.25]), np.array([1.0, 2.0, 0.5])
    batch, count, trials = 4, 5, 20_000
    drawn = mean + deviations / np.sqrt(batch) * source.normal(size=(count, trials, 3))
    _, trace, square = noise_scale(drawn, batch, rows=10**12)
    assert trace.mean() == pytest.approx(np.sum(deviations**2), rel=0.02)
    assert square.mean() == pytest.approx(np.sum(mean**2), rel=0.02)


def test_a_hidden_signal_has_no_scale():
    gradients = np.array([[[1.0]], [[-1.0]]])
    assert np.isnan(noise_scale(gradients, batch=1, rows=10**9)[0][0])


@pytest.mark.parametrize("optimizer", ["minibatch", "adam", "gd"])
def test_asking_leaves_training_as_it_was(base, optimizer):
    plain = base(optimizer=optimizer, evaluate_every=1)
    asked = base(optimizer=optimizer, evaluate_every=1, probes=("curvature", "gradient_noise"))
    for metric in ("batch_loss", "train_loss"):
        assert np.array_equal(plain.curve(metric), asked.curve(metric))
    assert all(np.array_equal(value, asked.parameters()[name]) for name, value in plain.parameters().items())


def test_streamed_data_are_refused_with_the_reason(base, monkeypatch, tmp_path):
    from kit.data import user as users

    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    np.save(tmp_path / "x.npy", base.x)
    data = (np.load(tmp_path / "x.npy", mmap_mode="r"), base.y)
    run = kit.Experiment(
        dataset=data, model="linear", backend="numpy", budget=2, batch_size=8, probes=("curvature",)
    ).run(store=tmp_path / "store", executor="inline", progress=False)
    assert run.status == "failed"
    assert "this dataset is streamed; leave out 'curvature'" in run.reason
