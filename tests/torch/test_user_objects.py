"""A user's own module, loss, optimizer and data, through the whole path: experiment, worker, store, run."""

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
import kit  # noqa: E402 - after the skip
from kit.errors import InvalidValueError  # noqa: E402

pytestmark = pytest.mark.torch


class Net(nn.Module):
    """A module with state beside its parameters."""

    def __init__(self, width=16):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(64, width), nn.BatchNorm1d(width), nn.Linear(width, 10)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


@pytest.fixture
def base():
    return kit.Experiment(backend="torch", budget=40)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
        Net,
        kit.model(Net, width=8),
        lambda: nn.Linear(64, 10),
    ],
    ids=["instance", "class", "class with options", "function"],
)
def test_a_module_of_ones_own_learns(base, model, tmp_path):
    run = base.replace(model=model, optimizer="adam").run(store=tmp_path, progress=False)
    assert run.status == "done", run.reason
    losses = run.curve("train_loss")
    assert losses.iloc[-1] < losses.iloc[0]
    assert set(run.parameters()) >= {name for name, _ in nn.Linear(1, 1).named_parameters()} or run.parameters()


def test_an_instance_starts_from_its_own_weights(base, tmp_path):
    module = nn.Linear(64, 10)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    run = base.replace(model=module).run(store=tmp_path, progress=False)
    assert run.curve("batch_loss").iloc[0] == pytest.approx(np.log(10), rel=1e-5)
    assert float(module.weight.detach().abs().sum()) == 0, "the user's own object is not trained"


@pytest.mark.parametrize("width", [7, 11])
def test_an_output_that_does_not_fit_is_said_with_its_shape(base, width, tmp_path):
    run = base.replace(model=lambda: nn.Linear(64, width)).run(store=tmp_path, progress=False)
    assert run.status == "failed"
    assert f"(2, {width})" in run.reason
    assert "(2, 10)" in run.reason


def test_an_optimizer_class_equals_the_plain_loop(base, tmp_path):
    module = nn.Linear(64, 10)
    experiment = base.replace(
        model=module, optimizer=kit.optimizer(torch.optim.Adam, lr=1e-2, betas=(0.8, 0.99)), dtype="float64"
    )
    run = experiment.run(store=tmp_path, progress=False)
    data = prepared()
    own = nn.Linear(64, 10, dtype=torch.float64)
    own.load_state_dict(module.state_dict())
    optimizer, losses = torch.optim.Adam(own.parameters(), lr=1e-2, betas=(0.8, 0.99)), []
    from kit.batching import Order

    for rows in Order(data.rows, 64, 0, [0]).indices(0, 40)[:, 0]:
        loss = nn.functional.cross_entropy(
            own(torch.as_tensor(data.train.x[0][rows])), torch.as_tensor(data.train.y[0][rows])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(run.curve("batch_loss"), losses, rtol=1e-12)
    np.testing.assert_allclose(run.parameters()["weight"], own.weight.detach().numpy(), rtol=1e-9, atol=1e-13)


def prepared():
    from kit.data import load_named, prepare
    from kit.registry import Registry

    data = load_named({"name": "digits", "options": {}}, Registry.load(), 0)
    return prepare(data, task="classification", seed=0, replicates=[0], dtype="float64")


def test_a_loss_function_of_ones_own(base, tmp_path):
    own = base.replace(loss=lambda output, target: nn.functional.cross_entropy(output, target))
    theirs = base.run(store=tmp_path, progress=False)
    run = own.run(store=tmp_path, progress=False)
    np.testing.assert_allclose(run.curve("batch_loss"), theirs.curve("batch_loss"), rtol=1e-5)


def test_a_misspelled_argument_of_an_optimizer_class_is_said(base, tmp_path):
    run = base.replace(optimizer=kit.optimizer(torch.optim.Adam, beta=3)).run(store=tmp_path, progress=False)
    assert run.status == "failed"
    assert "beta" in run.reason


def test_a_frame_with_a_target_column(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "kind": rng.choice(["x", "y"], 200)})
    frame["t"] = 3 * frame["a"] + (frame["kind"] == "x")
    run = kit.Experiment(
        dataset=frame, target="t", backend="torch", model="linear", optimizer="adam", batch_size=16, budget=300
    )
    run = run.replace(optimizer=kit.optimizer("adam", learning_rate=0.05)).run(store=tmp_path, progress=False)
    assert run.status == "done"
    assert run.final("validation_loss") < 1e-3


def test_a_model_of_another_backend_is_refused(base):
    with pytest.raises(InvalidValueError, match="belongs to backend 'torch'"):
        base.replace(model=Net, backend="tensorflow").run(progress=False)


class Choosy(torch.optim.SGD):
    """Does not take every strength."""

    def __init__(self, params, lr=0.1, strength=1.0):
        if strength < 0:
            raise ValueError(f"strength {strength} is below 0")
        super().__init__(params, lr * strength)


def test_an_optimizer_that_one_member_of_a_stack_cannot_have_fails_that_one(base, tmp_path):
    strengths = [0.5, -1.0, 1.0, 2.0]
    optimizers = [kit.optimizer(Choosy, learning_rate=0.1, strength=each) for each in strengths]
    results = kit.Study([base.replace(optimizer=each) for each in optimizers]).run(store=tmp_path, progress=False)
    assert [run.status for run in results] == ["done", "failed", "done", "done"]
    assert "strength -1.0 is below 0" in results.runs[1].reason
    assert [run.outcome.attempts for run in results] == [3, 3, 2, 2]  # four together, two and two, one and one
