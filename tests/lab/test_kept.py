"""What is kept is in the user's store, under its name, whole; and nothing of it is lost by what comes later."""

import asyncio

import numpy as np
import pytest

import kit
from kit.errors import InvalidValueError, StoreError, UnknownNameError, WorkError


def test_kept_runs_are_runs_of_the_store(make, tmp_path):
    lab = make()
    with pytest.raises(WorkError, match="nothing to keep yet"):
        lab.keep("early")
    results = asyncio.run(lab.run())
    assert not (tmp_path / "runs" / "runs").exists()  # nothing goes there by itself
    assert lab.keep("small steps") == "small steps"
    stored = kit.Store(tmp_path / "runs")
    assert {run.run_id for run in stored.runs(status="done")} == {run.run_id for run in results}
    for run in results:
        kept = stored.outcome(run.run_id)
        np.testing.assert_array_equal(run.curve("batch_loss"), kit.Run(kept).curve("batch_loss"))
        for name, value in run.parameters().items():
            np.testing.assert_array_equal(stored.parameters(run.run_id)[name], value)
    again = lab.study().run(store=tmp_path / "runs", progress=False)  # found, not repeated
    assert [run.outcome.started for run in again] == [stored.outcome(run.run_id).started for run in again]


def test_a_name_is_kept_once(make):
    lab = make()
    asyncio.run(lab.run())
    assert lab.keep() == "run 1"
    assert lab.keep() == "run 2"
    with pytest.raises(InvalidValueError, match="kept as 'run 1' already"):
        lab.keep("run 1")
    assert lab.kept.names() == ["run 1", "run 2"]


def test_a_name_that_is_no_files_is_refused(make, tmp_path):
    lab = make(replicates=1)
    asyncio.run(lab.run())
    for name in ("", "   ", "a/b", "../up", ".hidden", "x" * 61, "line\nbreak"):
        with pytest.raises(InvalidValueError, match="The name"):
            lab.keep(name)
    assert not (tmp_path / "runs" / "kept").exists()


def test_kept_runs_are_laid_over_in_another_lab(make):
    first = make(["minibatch"], replicates=1)
    results = asyncio.run(first.run())
    first.keep("first")
    later = make(["adam"])
    later.lay_over("first")
    assert later.laid_over == ["first"]
    [run] = later.over_runs.values()
    assert (run["name"], run["kept"], run["status"]) == ("minibatch (first)", "first", "done")
    heads, values = later.over.snapshot()
    rows, at, batch = np.frombuffer(heads).reshape(-1, 8), 0, []
    for row in rows:
        if later.session.metrics.names[int(row[1])] == "batch_loss":
            batch.append(np.frombuffer(values, dtype=np.float32)[at : at + int(row[5])])
        at += int(row[5])
    np.testing.assert_allclose(np.concatenate(batch), results.runs[0].curve("batch_loss"), rtol=1e-6)
    later.lay_over("first", on=False)
    assert later.over_runs == {}
    with pytest.raises(UnknownNameError, match="Nothing is kept as 'firts'"):
        later.lay_over("firts")


def test_a_stopped_run_is_kept_too_and_a_finished_one_is_not_replaced_by_it(make, slow, tmp_path):
    lab = make(["minibatch"], replicates=1, model=slow, budget=60)
    done = asyncio.run(lab.run()).runs[0]
    lab.keep("whole")
    lab.start()
    while not lab.session.watch.stream.size:
        pass
    lab.stop()
    stopped = lab.wait(30).runs[0]
    assert (stopped.status, stopped.run_id) == ("stopped", done.run_id)
    lab.keep("part")
    store = kit.Store(tmp_path / "runs")
    assert store.status(done.run_id) == "done"
    assert len(kit.Run(store.outcome(done.run_id)).curve("batch_loss")) == 60


def test_a_damaged_file_is_said_and_the_others_are_read(make, tmp_path):
    lab = make()
    asyncio.run(lab.run())
    lab.keep("one")
    lab.keep("two")
    (tmp_path / "runs" / "kept" / "one.json").write_text("{")
    lab.lay_over("two")
    with pytest.raises(StoreError, match="damaged"):
        lab.lay_over("one")
    assert lab.laid_over == ["two"]


def test_the_report_is_written_beside_and_never_over_another(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = make()
    with pytest.raises(WorkError, match="nothing to report yet"):
        lab.report()
    asyncio.run(lab.run())
    assert [lab.report().name, lab.report().name] == ["lab-report.html", "lab-report-2.html"]
    assert "<html" in (tmp_path / "lab-report.html").read_text()[:200]
