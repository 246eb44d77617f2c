"""The lab at work: run, pause, stop, run again, and everything that can go wrong, each said in a sentence."""

import asyncio
import os
import signal
import threading
import time

import numpy as np
import pytest

import kit
from kit.errors import InvalidValueError, WorkError
from tests.children import running

SECONDS = 60


def until(condition, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def trained(lab):
    """Whether it is past its preparations."""
    return lab.session.watch.stream.size > 0


def test_a_lab_trains_what_its_study_would(make, tmp_path):
    lab = make()
    results = asyncio.run(lab.run())
    alone = lab.study().run(store=tmp_path / "alone", progress=False)
    assert [run.run_id for run in results] == [run.run_id for run in alone]
    for one, other in zip(results, alone, strict=True):
        np.testing.assert_array_equal(one.curve("batch_loss"), other.curve("batch_loss"))
    assert lab.state == "idle"
    assert lab.sentence == "Done: 4 runs trained to the end."


def test_the_points_are_those_of_the_runs(make):
    lab = make(["minibatch"], replicates=1)
    run = asyncio.run(lab.run()).runs[0]
    heads, values = lab.session.watch.stream.snapshot()
    names = lab.session.metrics.names
    rows = np.frombuffer(heads).reshape(-1, 8)
    found = {name: [] for name in names}
    at = 0
    for row in rows:
        found[names[int(row[1])]].append(np.frombuffer(values, dtype=np.float32)[at : at + int(row[5])])
        at += int(row[5])
    for metric in ("batch_loss", "validation_loss", "gradient_norm"):
        np.testing.assert_allclose(np.concatenate(found[metric]), run.curve(metric), rtol=1e-6)


def test_running_again_starts_anew_and_comes_to_the_same(make):
    lab = make()
    first = asyncio.run(lab.run())
    again = asyncio.run(lab.run())
    assert again is not first
    for one, other in zip(first, again, strict=True):
        assert other.outcome.started > one.outcome.started
        np.testing.assert_array_equal(one.curve("batch_loss"), other.curve("batch_loss"))


def test_a_new_seed_changes_every_lane_and_pairs_them(make):
    lab = make()
    first = asyncio.run(lab.run())
    lab.new_seed()
    second = asyncio.run(lab.run())
    assert {run.specification["seed"] for run in second} == {1}
    assert first.runs[0].curve("batch_loss").iloc[0] != second.runs[0].curve("batch_loss").iloc[0]
    assert second.runs[0].curve("batch_loss").iloc[0] == second.runs[2].curve("batch_loss").iloc[0]


def test_the_event_loop_stays_free_while_it_trains(make, slow):
    lab = make(model=slow, budget=60)

    async def both():
        running, beats = asyncio.ensure_future(lab.run()), 0
        while not running.done():
            await asyncio.sleep(0.02)
            beats += 1
        return beats, await running

    beats, results = asyncio.run(both())
    assert beats > 20
    assert len(results) == 4


def test_stop_answers_within_a_second_and_keeps_what_was_trained(make, slow):
    lab = make(model=slow, budget=100_000)
    lab.start()
    until(lambda: trained(lab))
    time.sleep(0.3)
    asked = time.monotonic()
    lab.stop()
    assert lab.state == "stopping"
    results = lab.wait(SECONDS)
    assert time.monotonic() - asked < 1
    assert {run.status for run in results} == {"stopped"}
    assert all(len(run.curve("batch_loss")) > 5 for run in results)
    assert lab.sentence == "Stopped; everything so far is shown."


def test_pause_waits_and_resume_goes_on(make, slow):
    lab = make(["minibatch"], model=slow, budget=80, replicates=1)
    lab.start()
    until(lambda: trained(lab))
    lab.pause()
    time.sleep(0.4)
    assert lab.state == "paused"
    size, clock = lab.session.watch.stream.size, lab.session.watch.tally.clock()
    time.sleep(0.5)
    assert lab.session.watch.stream.size == size
    assert lab.session.watch.tally.clock() == clock
    lab.resume()
    assert lab.state == "running"
    assert lab.wait(SECONDS).runs[0].status == "done"


def test_a_paused_lab_can_be_stopped(make, slow):
    lab = make(["minibatch"], model=slow, budget=100_000)
    lab.start()
    until(lambda: trained(lab))
    lab.pause()
    time.sleep(0.2)
    lab.stop()
    assert {run.status for run in lab.wait(1.5)} == {"stopped"}


def test_words_that_do_not_fit_the_state_change_nothing(make):
    lab = make()
    for word in (lab.pause, lab.resume, lab.stop):
        word()
        assert lab.state == "idle"
    lab.start()
    with pytest.raises(InvalidValueError, match="training already"):
        lab.start()
    lab.wait(SECONDS)


def test_cancelling_the_cell_stops_the_training(make, slow):
    lab = make(model=slow, budget=100_000)

    async def cancelled():
        running = asyncio.ensure_future(lab.run())
        while not trained(lab):
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert lab.state == "idle"
    assert {run.status for run in lab.results} == {"stopped"}


def test_a_run_that_diverges_is_a_status_with_a_sentence(make):
    lab = make([kit.optimizer("minibatch", learning_rate=1e30), "adam"])
    asyncio.run(lab.run())
    rows = lab.session.watch.tally.rows(lab.form.lane_names())
    assert rows[0]["status"] == "all 2 diverged"
    assert "learning rate 1e+30" in rows[0]["reason"]
    assert rows[1]["status"] == "all 2 done"
    assert lab.sentence == "Ended: 2 done, 2 diverged."
    assert "minibatch: diverged" in lab.words()


def test_a_worker_that_is_killed_is_replaced_and_no_step_is_shown_twice(make, slow):
    lab = make(["minibatch"], model=slow, budget=70, replicates=1)
    lab.start()
    until(lambda: trained(lab))
    for child in running("kit.worker"):
        os.kill(child.pid, signal.SIGKILL)
    run = lab.wait(SECONDS).runs[0]
    assert run.status == "done"
    number = lab.session.metrics.names.index("batch_loss")
    heads = np.frombuffer(lab.session.watch.stream.snapshot()[0]).reshape(-1, 8)
    assert heads[heads[:, 1] == number][:, 5].sum() == 70


def test_runs_whose_workers_die_again_and_again_are_lost_with_a_sentence(make):
    lab = make(["minibatch"], model=kit.model("faulty", die_at=20), replicates=1)
    assert [run.status for run in asyncio.run(lab.run())] == ["lost"]
    assert "was killed by SIGKILL" in lab.session.watch.tally.rows(["minibatch"])[0]["reason"]
    assert lab.sentence == "Ended: 1 lost."
    assert asyncio.run(make().run()).runs[0].status == "done"


def test_a_dataset_that_fails_to_load_is_one_sentence(make, install, monkeypatch, capsys):
    install(
        "kit-broken",
        """
        import kit
        from kit.errors import DataError
        from kit.records import DatasetSpec

        @kit.hookimpl
        def kit_datasets():
            yield DatasetSpec(name="gone", load="kit_broken:gone")
            yield DatasetSpec(name="faulty", load="kit_broken:faulty")

        def gone(generator):
            raise DataError("The file of dataset 'gone' is not there.")

        def faulty(generator):
            raise ZeroDivisionError("division by zero")
        """,
    )
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy,kit_broken")
    lab = make(dataset="gone")
    with pytest.raises(kit.KitError, match="is not there"):
        asyncio.run(lab.run())
    assert lab.session.fault == lab.sentence == "The file of dataset 'gone' is not there."
    lab.set(dataset="faulty")
    lab.start()
    with pytest.raises(WorkError, match="ZeroDivisionError: division by zero"):
        lab.wait(SECONDS)
    assert "Traceback" not in capsys.readouterr().err
    assert lab.session.fault == "This could not be carried out: ZeroDivisionError: division by zero"
    lab.set(dataset="iris")
    assert asyncio.run(lab.run()).runs[0].status == "done"
    assert lab.session.fault == ""


def test_a_control_without_a_value_refuses_to_run_and_says_which(make):
    lab = make()
    lab.set(batch_size="")
    with pytest.raises(InvalidValueError, match="batch_size is empty"):
        asyncio.run(lab.run())
    assert lab.session.fault.startswith("The lab: batch_size is empty")
    assert lab.state == "idle"
    lab.set(batch_size=8)
    assert (lab.session.fault, lab.sentence) == ("", "Ready.")  # what was mended is not held against anybody


def test_stopping_before_anything_began(make, slow):
    lab = make(model=slow, budget=100_000)
    lab.start()
    lab.stop()
    threading.Thread(target=lambda: None).start()
    try:
        assert {run.status for run in lab.wait(SECONDS)} <= {"stopped"}
    except WorkError:
        assert lab.sentence == "Stopped before any run began."
    assert lab.state == "idle"
    assert lab.session.fault == ""


def test_two_lanes_alike_are_one_run_shown_twice(make):
    lab = make(["adam", "adam"], replicates=1)
    assert len(asyncio.run(lab.run())) == 1
    rows = lab.session.watch.tally.rows(lab.form.lane_names())
    assert [row["name"] for row in rows] == ["adam", "adam (2)"]
    assert rows[0]["validation_loss"] == rows[1]["validation_loss"] != "–"


def test_two_labs_train_at_once(make, slow):
    labs = [make(model=slow, budget=40, replicates=1), make(model=slow, budget=40, replicates=1)]
    for lab in labs:
        lab.start()
    assert [[run.status for run in lab.wait(SECONDS)] for lab in labs] == [["done"] * 2] * 2
