"""The run loop, the store and the workers together, on the NumPy backend: numbers against an independent loop, and
faults."""

import os
import threading
import time

import numpy as np
import pytest
from sklearn.datasets import load_iris

import kit
from kit.architectures import linear
from kit.batching import Order
from kit.errors import InvalidValueError, UnknownNameError, WorkError
from kit.seeds import initial

FAULTY = {"backend": "numpy", "dataset": "iris", "budget": 40, "batch_size": 16, "dtype": "float64"}


def by_hand(steps, learning_rate):
    """Plain NumPy mini-batch gradient descent on the host's draws, written without the kit's loop, engine or rules."""
    from kit.data import Data, prepare

    x, y = load_iris(return_X_y=True)
    data = prepare(
        Data(x=x, y=y, task="classification", classes=(0, 1, 2)),
        task="classification",
        seed=0,
        replicates=[0],
        dtype="float64",
    )
    x, y = data.train.x[0], data.train.y[0]
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    start = initial(linear(data.inputs), 0, 0)
    weight = start["weight"]
    bias, losses = np.zeros(3), []
    order = Order(120, 16, 0, [0]).indices(0, steps)[:, 0]
    for rows in order:
        z = x[rows] @ weight.T + bias
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-np.mean(np.log(p[np.arange(16), y[rows]])))
        p[np.arange(16), y[rows]] -= 1
        weight, bias = weight - learning_rate * p.T @ x[rows] / 16, bias - learning_rate * p.mean(axis=0)
    return np.array(losses), weight, bias


def test_a_run_is_the_plain_loop(base, tmp_path):
    run = base.replace(optimizer=kit.optimizer("minibatch", learning_rate=0.1)).run(store=tmp_path, progress=False)
    losses, weight, bias = by_hand(40, 0.1)
    assert run.status == "done"
    np.testing.assert_allclose(run.curve("batch_loss"), losses, rtol=1e-12)
    np.testing.assert_allclose(run.parameters()["weight"], weight, rtol=1e-12)
    np.testing.assert_allclose(run.parameters()["bias"], bias, rtol=1e-11, atol=1e-14)
    assert list(run.curve("batch_loss").index) == list(range(1, 41))
    assert run.curve("validation_accuracy").index[0] == 0
    assert run.curve("validation_accuracy").index[-1] == 40
    assert run.cost.samples == 640
    assert (np.diff(run.curve("seconds")) >= 0).all()


def test_members_of_a_stack_equal_the_same_alone(base, tmp_path):
    study = base.vary(learning_rate=[1e-3, 1e-2, 1e-1], replicate=range(2))
    stacked = study.run(store=tmp_path / "stack", progress=False).runs
    assert stacked[0].record["stack"] == 6
    for together, experiment in zip(stacked, study.experiments, strict=True):
        alone = experiment.run(store=tmp_path / "alone", progress=False)
        np.testing.assert_allclose(together.curve("batch_loss"), alone.curve("batch_loss"), rtol=1e-12)
        np.testing.assert_allclose(together.parameters()["weight"], alone.parameters()["weight"], rtol=1e-12)


def test_a_diverged_trial_is_a_status_and_changes_no_bit_of_its_neighbour(base, tmp_path):
    rule = base.replace(optimizer="minibatch")
    both = rule.vary(learning_rate=[0.1, 1e30]).run(store=tmp_path / "a", progress=False).runs
    calm = rule.vary(learning_rate=[0.1, 0.05]).run(store=tmp_path / "b", progress=False).runs
    assert [run.status for run in both] == ["done", "diverged"]
    assert "learning rate 1e+30" in both[1].reason
    np.testing.assert_array_equal(both[0].curve("batch_loss"), calm[0].curve("batch_loss"))
    np.testing.assert_array_equal(both[0].parameters()["weight"], calm[0].parameters()["weight"])


def test_replicates_share_split_start_and_order_across_methods(base, tmp_path):
    runs = base.vary(optimizer=["minibatch", "adam"], replicate=range(2)).run(store=tmp_path, progress=False).runs
    first = [run.curve("batch_loss").iloc[0] for run in runs]
    assert first[0] == first[2]
    assert first[1] == first[3]
    assert first[0] != first[1]


def test_an_identical_run_is_found_not_repeated(base, tmp_path):
    first = base.run(store=tmp_path, progress=False)
    again = base.run(store=tmp_path, progress=False)
    assert again.run_id == first.run_id
    assert again.outcome.attempts == 1


def test_the_curves_do_not_depend_on_how_steps_are_cut(base, tmp_path, monkeypatch):
    import kit.run

    runs = []
    for seconds in (1e-9, 10.0):
        monkeypatch.setattr(kit.run, "CHUNK_SECONDS", seconds)
        rule = base.replace(optimizer="schedule_free", schedule="cosine")
        runs.append(rule.run(store=tmp_path / str(seconds), progress=False, executor="inline"))
    np.testing.assert_array_equal(runs[0].curve("batch_loss"), runs[1].curve("batch_loss"))
    np.testing.assert_array_equal(runs[0].parameters()["weight"], runs[1].parameters()["weight"])


def test_a_plugin_that_raises_in_training_fails_its_run_with_a_sentence(tmp_path):
    experiment = kit.Experiment(model=kit.model("faulty", raise_at=7), **FAULTY)
    results = kit.Study([experiment, experiment.replace(model="linear")]).run(store=tmp_path, progress=False)
    assert [run.status for run in results.runs] == ["failed", "done"]
    assert "as it was asked to" in results.runs[0].reason


def test_a_run_whose_worker_is_killed_is_taken_up_again_in_the_same_study(tmp_path):
    once = str(tmp_path / "fault")
    dying = kit.Experiment(model=kit.model("faulty", die_at=25, once=once, seconds=0.02), **FAULTY)
    other = dying.replace(model="linear")
    runs = kit.Study([dying, other]).run(store=tmp_path / "runs", progress=False).runs
    assert [(run.status, run.outcome.attempts) for run in runs] == [("done", 2), ("done", 1)]
    np.testing.assert_array_equal(runs[0].curve("batch_loss"), runs[1].curve("batch_loss"))
    (interruption,) = runs[0].record["interruptions"]
    assert "attempt 1: The numpy worker" in interruption
    assert "killed by SIGKILL, from outside: memory had not run out" in interruption


def test_a_run_that_kills_every_worker_is_lost_and_nothing_else_is_and_it_continues_when_run_again(tmp_path):
    dying = kit.Experiment(model=kit.model("faulty", die_at=25, seconds=0.02), **FAULTY)
    other = dying.replace(model="linear")
    first = kit.Study([dying, other]).run(store=tmp_path / "runs", progress=False).runs
    assert [(run.status, run.outcome.attempts) for run in first] == [("lost", 4), ("done", 1)]
    assert "SIGKILL" in first[0].reason
    kept = first[0].curve("batch_loss")
    assert len(kept) > 0
    np.testing.assert_array_equal(kept, first[1].curve("batch_loss")[kept.index])


def test_stop_ends_cleanly_and_the_run_continues_bit_for_bit(tmp_path):
    slow = kit.Experiment(model=kit.model("faulty", seconds=0.02), **{**FAULTY, "budget": 100}, optimizer="adam")
    study = kit.Study([slow])
    timer = threading.Timer(1.0, study.stop)
    timer.start()
    began = time.monotonic()
    stopped = study.run(store=tmp_path, progress=False).runs[0]
    timer.join()
    assert stopped.status == "stopped"
    assert 0 < stopped.cost.steps < 100
    assert time.monotonic() - began < 30
    continued = slow.run(store=tmp_path, progress=False)
    assert continued.status == "done"
    assert continued.outcome.attempts == 2
    whole = slow.replace(model="linear").run(store=tmp_path, progress=False)
    np.testing.assert_array_equal(continued.curve("batch_loss"), whole.curve("batch_loss"))
    assert list(continued.curve("batch_loss").index) == list(range(1, 101))
    np.testing.assert_array_equal(continued.parameters()["weight"], whole.parameters()["weight"])


def test_a_device_that_is_not_there_fails_with_those_that_are(base, tmp_path):
    run = base.replace(device="cpu:3").run(store=tmp_path, progress=False)
    assert run.status == "failed"
    assert "cpu:3" in run.reason
    assert "has: cpu" in run.reason
    with pytest.raises(UnknownNameError, match="no device named 'tpu'"):
        base.replace(device="tpu").run(store=tmp_path, progress=False)


def test_given_parameters_are_not_forgotten_on_the_way_through_json(base, tmp_path):
    given = base.starting_at({"weight": np.zeros((3, 4)), "bias": np.zeros(3)})
    again = kit.Experiment.from_json(given.to_json())
    assert again == given
    with pytest.raises(InvalidValueError, match="pass them again"):
        again.run(store=tmp_path, progress=False)


def test_a_study_that_is_stopped_before_it_begins_says_so(base, tmp_path):
    study = kit.Study([base])
    study.stop()
    with pytest.raises(WorkError, match="Stopped before 1 of 1 runs began"):
        study.run(store=tmp_path, progress=False)


def test_divergence_is_recorded_at_its_step_however_steps_are_cut(base, tmp_path, monkeypatch):
    import kit.run

    rule = base.replace(optimizer=kit.optimizer("minibatch", learning_rate=1e30))
    lengths = []
    for first in (1, 40):
        monkeypatch.setattr(kit.run, "FIRST_STEPS", first)
        run = rule.run(store=tmp_path / str(first), progress=False, executor="inline")
        assert run.status == "diverged"
        lengths.append((run.cost.steps, len(run.curve("batch_loss"))))
    assert lengths[0] == lengths[1]
    assert lengths[0][0] == lengths[0][1] <= 3


def test_given_parameters_start_the_run(base, tmp_path):
    start = {"weight": np.zeros((3, 4)), "bias": np.zeros(3)}
    run = base.run(initial=start, store=tmp_path, progress=False)
    assert run.curve("batch_loss").iloc[0] == pytest.approx(np.log(3))
    wrong = base.run(initial={"weights": np.zeros((3, 4))}, store=tmp_path, progress=False)
    assert wrong.status == "failed"
    assert "weight (3, 4)" in wrong.reason


def test_probes_leave_training_bit_identical(base, tmp_path):
    probes = ("gradient_norm", "update_ratio", "parameter_norm", "trajectory")
    watched = base.replace(probes=probes).run(store=tmp_path, progress=False)
    plain = base.run(store=tmp_path, progress=False)
    np.testing.assert_array_equal(watched.curve("batch_loss"), plain.curve("batch_loss"))
    weight = watched.parameters()["weight"]
    assert watched.final("weight.0") == weight[0, 0]
    norm = np.sqrt(sum((value**2).sum() for value in watched.parameters().values()))
    assert watched.final("parameter_norm") == pytest.approx(norm)


def test_a_budget_in_seconds_is_kept(base, tmp_path):
    run = base.replace(budget={"seconds": 0.3}).run(store=tmp_path, progress=False)
    assert run.status == "done"
    assert 0.3 <= run.cost.seconds < 2
    with_schedule = base.replace(budget={"seconds": 0.3}, schedule="cosine").run(store=tmp_path, progress=False)
    assert with_schedule.status == "failed"
    assert "needs a budget in steps" in with_schedule.reason


def test_memory_mapped_data_give_the_same_run_as_in_memory(base, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 5)), rng.integers(0, 3, 600)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    held = {"standardise": False}
    one = base.replace(dataset=(mapped[:500], y[:500], x[500:], y[500:]), **held).run(
        store=tmp_path / "a", progress=False
    )
    two = base.replace(dataset=(x[:500], y[:500], x[500:], y[500:]), **held).run(store=tmp_path / "b", progress=False)
    assert one.run_id == two.run_id, "the same content is the same run, wherever it lies"
    np.testing.assert_array_equal(one.curve("batch_loss"), two.curve("batch_loss"))


def test_inline_refuses_two_backends(base, tmp_path):
    other = base.replace(backend="numpy")
    assert other.run(store=tmp_path, progress=False, executor="inline").status == "done"
    assert os.environ["KIT_PLUGINS"] == "builtin,numpy"
    with pytest.raises(InvalidValueError, match="executor 'inline'"):
        _two_backends(tmp_path)


def _two_backends(tmp_path):
    from kit.executors import Inline, Pending

    pending = [Pending(backend=name, weight=1, make=lambda threads, facts: None) for name in ("numpy", "other")]
    Inline(kit.Registry.load()).run(pending, None, lambda: False)


def test_what_a_worker_sends_imports_nothing_here():
    """PyTorch's version is a string type of its own: unpickling it would import PyTorch into the caller's process."""
    import decimal
    import multiprocessing

    from kit.child import received
    from kit.errors import WorkError

    here, there = multiprocessing.Pipe()
    there.send(("record", ("run", {"kind": "points", "losses": np.arange(3.0), "version": "2.13"})))
    word, (run, record) = received(here)
    assert (word, run, record["version"]) == ("record", "run", "2.13")
    there.send(("record", decimal.Decimal(1)))
    with pytest.raises(WorkError, match=r"decimal\.Decimal"):
        received(here)
