"""PyTorch and TensorFlow side by side, each in its worker: the promise of parity, reruns and resuming, on real
problems.

The process that runs these tests loads neither framework.
"""

import importlib.metadata
import sys
import threading

import numpy as np
import pytest

import kit
from kit.errors import InvalidValueError, UnknownNameError
from kit.parity import measure

INSTALLED = {d.name for d in importlib.metadata.distributions()}
pytestmark = pytest.mark.skipif(
    not {"descentkit-torch", "descentkit-tensorflow"} <= INSTALLED, reason="needs both backends"
)
BACKENDS = ["torch", "tensorflow"]


def test_the_main_job_gives_the_same_curves_in_both_frameworks(tmp_path):
    results = kit.compare(backend=BACKENDS, replicates=2, store=tmp_path, progress=False, budget=100)
    assert {run.status for run in results.runs} == {"done"}
    pairs = {}
    for run in results.runs:
        pairs.setdefault((run.specification["optimizer"]["name"], run.specification["replicate"]), []).append(run)
    assert len(pairs) == 8
    for one, other in pairs.values():
        np.testing.assert_allclose(one.curve("batch_loss"), other.curve("batch_loss"), rtol=1e-4)
        np.testing.assert_allclose(one.curve("validation_loss"), other.curve("validation_loss"), rtol=1e-4)
    assert not {"torch", "tensorflow", "keras"} & set(sys.modules), "the caller's process loads no framework"
    report = results.report(tmp_path / "report.html")
    assert report is None or report.exists()


@pytest.mark.parametrize(
    ("model", "optimizers", "steps"),
    [
        ("mlp", ["minibatch", "adam", "rmsprop", "muon", "adafactor", "schedule_free"], 200),
        ("cnn", ["minibatch", "adamw"], 40),
        ("transformer", ["minibatch", "adam"], 30),
    ],
)
def test_parity_in_float64(model, optimizers, steps):
    entries = measure(optimizers, backends=BACKENDS, models=[model], steps=steps, progress=False)
    assert [entry.optimizer for entry in entries] == optimizers
    for entry in entries:
        assert entry.verdict == "agrees", f"{entry.optimizer}: {entry.why}"


def test_parity_in_float32_over_a_hundred_steps():
    for entry in measure(["momentum", "adam", "lion"], backends=BACKENDS, dtype="float32", progress=False):
        assert (entry.reference, entry.backend) == tuple(BACKENDS)
        assert entry.loss_difference <= 1e-4, f"{entry.optimizer}: {entry.why}"


def test_parity_is_of_two_backends_that_are_there():
    with pytest.raises(InvalidValueError, match=r"needs two backends; named: torch; installed: .*tensorflow, torch"):
        measure(["adam"], backends=["torch", "torch"], progress=False)
    with pytest.raises(UnknownNameError, match="backend named 'tirch'"):
        measure(["adam"], backends=["tirch", "torch"], progress=False)


def test_past_the_stability_limit_the_ledger_does_not_claim_agreement_it_cannot_have(tmp_path):
    """At a learning rate far too large the two frameworks part, and so does a run from itself: a status, not a
    crash."""
    base = kit.Experiment(optimizer=kit.optimizer("minibatch", learning_rate=1e4), dtype="float64", budget=60)
    for backend in BACKENDS:
        run = base.replace(backend=backend).run(store=tmp_path, progress=False)
        assert run.status == "diverged", run.reason
        assert "learning rate 10000" in run.reason


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rerun_in_another_store_is_bit_identical(backend, tmp_path):
    """The strategy that timing chose is part of the record; with it the very same curves come again."""
    base = kit.Experiment(backend=backend, optimizer="adam", budget=60)
    first = base.vary(replicate=range(3)).run(store=tmp_path / "a", progress=False).runs
    strategy = first[0].record["strategy"]
    again = base.replace(strategy=strategy).vary(replicate=range(3)).run(store=tmp_path / "b", progress=False).runs
    for one, other in zip(first, again, strict=True):
        for metric in ("batch_loss", "train_loss", "validation_loss"):
            np.testing.assert_array_equal(one.curve(metric), other.curve(metric))
        for name, value in one.parameters().items():
            np.testing.assert_array_equal(value, other.parameters()[name])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stopped_run_continues_bit_for_bit(backend, tmp_path):
    experiment = kit.Experiment(backend=backend, optimizer="adam", budget=20_000, evaluate_every=2_000)
    study = kit.Study([experiment])

    class StopsSoon:
        """Stops the study once there is something to keep."""

        def begin(self, runs, found): ...
        def note(self, sentence): ...
        def close(self): ...
        def record(self, run_id, record):
            if record["kind"] == "points":
                study.stop()

    stopped = study.run(store=tmp_path / "a", progress=StopsSoon()).runs[0]
    assert stopped.status == "stopped", stopped.reason
    assert 0 < stopped.cost.steps < 20_000
    short = experiment.replace(budget=stopped.cost.steps + 500, evaluate_every=500)
    # The same seeds give the same draws whatever the budget: a run of this length, in one go, is the reference.
    whole = short.replace(strategy=stopped.record["strategy"]).run(store=tmp_path / "b", progress=False)
    kept = stopped.curve("batch_loss")
    np.testing.assert_array_equal(kept, whole.curve("batch_loss")[kept.index])
    again = kit.Study([experiment])
    timer = threading.Timer(20, again.stop)
    timer.start()
    continued = again.run(store=tmp_path / "a", progress=False).runs[0]
    timer.cancel()
    assert continued.cost.steps > stopped.cost.steps
    common = min(continued.cost.steps, whole.cost.steps)
    np.testing.assert_array_equal(continued.curve("batch_loss").loc[1:common], whole.curve("batch_loss").loc[1:common])


@pytest.mark.parametrize("backend", BACKENDS)
def test_objective_functions_follow_their_closed_form(backend, tmp_path):
    """Gradient descent on ½(x² + κy²) multiplies the coordinates by 1 − η and 1 − ηκ in every step."""
    model = kit.model("quadratic", condition=10.0, start=(1.0, 1.0))
    experiment = kit.Experiment(
        model=model,
        optimizer=kit.optimizer("gd", learning_rate=0.05),
        backend=backend,
        dtype="float64",
        budget=20,
        evaluate_every=1,
        probes=("trajectory",),
    )
    run = experiment.run(store=tmp_path, progress=False)
    assert run.status == "done", run.reason
    steps = np.arange(21)
    np.testing.assert_allclose(run.curve("position.0"), 0.95**steps, rtol=1e-12)
    np.testing.assert_allclose(run.curve("position.1"), 0.5**steps, rtol=1e-12)
