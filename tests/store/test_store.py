"""The store: what was recorded comes back, whoever asks, and however often it was interrupted."""

from __future__ import annotations

import pickle
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.errors import AmbiguousNameError, InvalidValueError, StoreError, UnknownNameError
from kit.outcome import Cost, Outcome
from kit.store import AttemptLog, Store
from kit.store.curves import COLUMNS
from kit.store.documents import write_document

Spec = Callable[..., dict[str, Any]]
Truth = Callable[..., dict[str, np.ndarray[Any, Any]]]


def values(outcome: Outcome, metric: str) -> tuple[list[int], list[float]]:
    rows = outcome.curves[outcome.curves["metric"] == metric]
    return rows["step"].tolist(), rows["value"].tolist()


def uninterrupted(outcome: Outcome, truth: dict[str, Any], steps: int = 40) -> bool:
    """Whether the curves are those of a run that nothing interrupted."""
    batch, validation = truth["batch_loss"][:steps].tolist(), truth["validation_loss"][: steps // 10 + 1].tolist()
    return values(outcome, "batch_loss") == (list(range(1, steps + 1)), batch) and values(
        outcome, "validation_loss"
    ) == (list(range(0, steps + 1, 10)), validation)


def test_a_run_from_beginning_to_end(store: Store, writer: Any, spec: Spec, expected: Truth) -> None:
    assert store.status("one") is None
    writer.run("one", 7)
    assert store.status("one") == "done"
    outcome = store.outcome("one")
    assert isinstance(outcome, Outcome)
    assert uninterrupted(outcome, expected(7))
    assert (outcome.run_id, outcome.status, outcome.reason) == ("one", "done", "It is done.")
    assert outcome.specification == spec(replicate=7)
    assert outcome.cost == Cost(steps=40, samples=160, gradient_evaluations=160, seconds=0.4)
    assert outcome.record == {"threads": 1, "strategy": "eager", "timings": {"eager": 3.5}}
    assert outcome.final == {
        "batch_loss": expected(7)["batch_loss"][39],
        "validation_loss": expected(7)["validation_loss"][4],
    }
    assert store.notes == []


def test_frame(store: Store, writer: Any) -> None:
    writer.run("one", 7)
    curves = store.outcome("one").curves
    assert tuple(curves.columns) == COLUMNS
    assert curves["metric"].dtype == object
    assert [str(curves[name].dtype) for name in COLUMNS[1:]] == ["int64", "int64", "int64", "float64", "float64"]
    assert (curves["samples"] == 4 * curves["step"]).all()
    assert (curves["gradient_evaluations"] == curves["samples"]).all()
    assert np.allclose(curves["seconds"], curves["step"] / 100, rtol=1e-12)
    for _, group in curves.groupby("metric"):
        assert group["step"].is_monotonic_increasing
        assert group["step"].is_unique


def test_outcome_travels_between_processes(store: Store, writer: Any) -> None:
    writer.run("one", 7)
    found = pickle.loads(pickle.dumps(store.outcome("one")))
    assert found.curves.equals(store.outcome("one").curves)
    assert (found.status, found.final) == ("done", store.outcome("one").final)


def test_frame_is_the_same_from_the_seal_and_from_the_logs(store: Store, writer: Any) -> None:
    writer.run("one", 7)
    sealed = store.outcome("one").curves
    store.layout.seal("one").unlink()
    store.layout.index.unlink()
    assert store.outcome("one").curves.equals(sealed)
    assert store.layout.seal("one").exists()  # made again on the way


def test_interrupted_twice_reads_as_if_never(store: Store, writer: Any, expected: Truth) -> None:
    writer.run("one", 3, last=27, status=None, checkpoint=20)  # killed at 27
    assert store.status("one") == "lost"
    folder = store.latest_attempt("one")
    assert folder is not None
    assert folder.name == "attempt-1"
    writer.attempt("one", 3, first=20, last=30, status="stopped")
    assert store.status("one") == "stopped"
    assert uninterrupted(store.outcome("one"), expected(3), 30)
    writer.attempt("one", 3, first=30, last=30, status="lost")  # taken up again, and gone before its first step
    writer.attempt("one", 3, first=30)
    assert store.status("one") == "done"
    assert uninterrupted(store.outcome("one"), expected(3))
    assert store.outcome("one").attempts == 4


def test_steps_past_the_checkpoint_are_dropped_even_if_they_differ(store: Store, writer: Any, expected: Truth) -> None:
    """The lost attempt's own words after its checkpoint never stand beside those of its successor."""
    writer.run("one", 4, last=30, status=None, checkpoint=20)
    writer.attempt("one", 5, first=20)
    steps, found = values(store.outcome("one"), "batch_loss")
    assert steps == list(range(1, 41))
    assert found == [*expected(4)["batch_loss"][:20], *expected(5)["batch_loss"][20:]]


def test_continues_from_an_older_attempt_past_one_that_began_anew(store: Store, writer: Any, expected: Truth) -> None:
    writer.run("one", 3, last=30, status=None, checkpoint=20)
    writer.attempt("one", 8, last=10, status=None)  # from step 0; never reached a checkpoint
    assert store.latest_attempt("one") == store.layout.run("one") / "attempt-1"
    writer.attempt("one", 3, first=20)
    assert uninterrupted(store.outcome("one"), expected(3))


def test_an_attempt_that_recorded_only_its_ending_hides_nothing(store: Store, writer: Any, expected: Truth) -> None:
    writer.run("one", 3, last=30, status=None)
    attempt = store.begin("one")
    log = AttemptLog(attempt.folder)
    log.append({"kind": "end", "status": "lost", "reason": "Killed by the system.", "cost": {}})
    log.close()
    store.finish("one", attempt.number)
    outcome = store.outcome("one")
    assert (outcome.status, outcome.reason, outcome.cost.steps) == ("lost", "Killed by the system.", 30)
    assert uninterrupted(outcome, expected(3), 30)


def test_done_is_done_whatever_a_zombie_does(store: Store, writer: Any, expected: Truth) -> None:
    writer.run("one", 3)
    writer.attempt("one", 9, last=10, status=None)
    assert store.status("one") == "done"
    assert uninterrupted(store.outcome("one"), expected(3))


def test_first_ending_counts(store: Store, writer: Any) -> None:
    """The worker ended well, and died before it could say so: its parent takes it for lost."""
    folder = writer.run("one", 3)
    log = AttemptLog(folder)
    log.append({"kind": "end", "status": "lost", "reason": "The worker died.", "cost": {}})
    log.close()
    store.finish("one", 1)
    assert store.status("one") == "done"


@pytest.mark.parametrize("status", ["done", "diverged", "stopped", "failed", "lost"])
def test_statuses(store: Store, writer: Any, status: str) -> None:
    writer.run("one", 1, status=status)
    assert store.status("one") == status
    assert store.outcome("one").status == status
    assert [summary.run_id for summary in store.runs(status=status)] == ["one"]


def test_a_new_attempt_is_seen_through_the_caches(store: Store, writer: Any) -> None:
    writer.run("one", 1, last=20, status="failed")
    assert store.status("one") == "failed"
    writer.attempt("one", 1, finish=False)
    assert store.status("one") == "done"
    assert [summary.status for summary in store.runs()] == ["done"]


def test_traceback_is_kept(store: Store) -> None:
    store.add("one", {})
    log = AttemptLog(store.begin("one").folder)
    log.append({"kind": "end", "status": "failed", "reason": "no", "cost": {}, "traceback": "Traceback …"})
    log.close()
    assert store.outcome("one").record == {"traceback": "Traceback …"}


def test_numbers_that_are_not_finite(store: Store) -> None:
    store.add("one", {"batch_size": 2})
    log = AttemptLog(store.begin("one").folder)
    log.append({"kind": "start", "from_step": 0})
    block = [1.0, float("inf"), float("nan")]
    log.append({"kind": "points", "first": 1, "metrics": {"batch_loss": block}, "seconds": [0, 0.3]})
    log.append({"kind": "end", "status": "diverged", "reason": "It left.", "cost": {"steps": 3}})
    log.close()
    for _ in range(2):  # from the log, then from the seal
        outcome = store.outcome("one")
        assert np.array_equal(outcome.curves["value"], block, equal_nan=True)
        assert np.isnan(outcome.final["batch_loss"])
        store.finish("one", 1)


# --- adding, finding, listing


def test_adding_twice_changes_nothing(store: Store, spec: Spec) -> None:
    store.add("one", spec())
    before = store.layout.specification("one").stat()
    store.add("one", {**spec(), "model": {"name": "mlp", "options": {"hidden": (32,)}}})  # a tuple is a list in JSON
    assert store.layout.specification("one").stat() == before
    with pytest.raises(StoreError, match="another specification"):
        store.add("one", spec(rate=0.5))


def test_filters(store: Store, writer: Any, spec: Spec) -> None:
    for number, (rate, name) in enumerate([(0.1, "adam"), (0.2, "adam"), (0.1, "sgd")]):
        store.add(f"run{number}", spec(rate, name))
        writer.attempt(f"run{number}", number)
    store.add("waiting", spec(0.3))

    def chosen(**filters: Any) -> list[str]:
        return [summary.run_id for summary in store.runs(**filters)]

    assert chosen() == ["run0", "run1", "run2", "waiting"]
    assert chosen(optimizer="sgd") == ["run2"]
    assert chosen(learning_rate=0.1) == ["run0", "run2"]
    assert chosen(learning_rate=[0.2, 0.3]) == ["run1", "waiting"]
    assert chosen(status="done", optimizer="adam", backend="torch") == ["run0", "run1"]
    assert chosen(status=None) == ["waiting"]
    assert chosen(model__hidden=[32], replicate=0) == ["run0", "run1", "run2", "waiting"]
    assert chosen(model__hidden=[64]) == []
    with pytest.raises(UnknownNameError, match="Did you mean 'learning_rate'"):
        store.runs(learning_rat=0.1)


def test_find(store: Store, spec: Spec) -> None:
    for run_id in ("ab12", "ab13", "cd", "cdef"):
        store.add(run_id, spec())
    assert store.find("ab12") == "ab12"
    assert store.find("cd") == "cd"
    assert store.find("cde") == "cdef"
    with pytest.raises(AmbiguousNameError, match="ab12, ab13"):
        store.find("ab")
    for wrong in ("x", ""):
        with pytest.raises(UnknownNameError, match="It holds: "):
            store.find(wrong)


def test_unknown_run(store: Store, spec: Spec) -> None:
    with pytest.raises(UnknownNameError, match="It holds: no runs"):
        store.outcome("one")
    store.add("one", spec())
    with pytest.raises(StoreError, match="recorded nothing"):
        store.outcome("one")
    assert store.outcomes() == []
    for wrong in ("../one", "a/b", ".", "", "-x"):
        with pytest.raises(InvalidValueError, match="not a run's identifier"):
            store.begin(wrong)


def test_outcomes_in_the_order_asked(store: Store, writer: Any) -> None:
    for number in range(20):
        writer.run(f"run{number}", number)
    wanted = [f"run{number}" for number in (3, 1, 2)]
    assert [outcome.run_id for outcome in store.outcomes(wanted)] == wanted
    everything = [f"run{number}" for number in range(20)]
    assert [outcome.run_id for outcome in store.outcomes()] == everything
    assert [outcome.run_id for outcome in store.outcomes(everything[::-1])] == everything[::-1]


def test_parameters(store: Store, writer: Any) -> None:
    writer.run("one", 3, last=30, status=None, checkpoint=20)
    assert np.array_equal(store.parameters("one")["weight"], writer.parameters(3, 20) + 1)
    writer.attempt("one", 3, first=20)
    assert store.parameters("one").keys() == {"weight"}
    assert np.array_equal(store.parameters("one")["weight"], writer.parameters(3, 40) + 1)
    store.add("two", {})
    with pytest.raises(StoreError, match="No checkpoint of it was kept"):
        store.parameters("two")


def test_parameters_of_a_done_run_are_its_final_ones_or_none(store: Store, writer: Any) -> None:
    folder = writer.run("one", 3, checkpoint=20)
    earlier = (folder / "checkpoint-40.safetensors").read_bytes()
    writer.checkpoint(folder, AttemptLog(folder), 3, 20)  # as if it had not been removed
    (folder / "checkpoint-40.safetensors").write_bytes(earlier[:-1])
    with pytest.raises(StoreError, match="damaged"):
        store.parameters("one")


def test_strategies(store: Store) -> None:
    assert store.strategy("a program") is None
    store.remember_strategy("a program", "eager")
    store.remember_strategy("another", "compiled")
    assert Store(store.path).strategy("a program") == "eager"
    store.remember_strategy("a program", "stacked")
    assert store.strategy("a program") == "stacked"
    for file in store.layout.strategies.iterdir():
        file.write_text(file.read_text().replace("stacked", "stocked"))
    assert store.strategy("a program") is None


# --- folders, versions, permissions


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert (store.runs(), store.outcomes(), store.status("one"), store.strategy("key")) == ([], [], None, None)
    assert not (tmp_path / "store").exists()
    with pytest.raises(StoreError, match="There is no store"):
        Store(tmp_path / "store", create=False)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "file")


def test_only_the_user_may_read(store: Store, writer: Any) -> None:
    writer.run("one", 1)
    store.remember_strategy("a", "b")
    store.runs()
    for path in [store.path, *store.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_store_of_a_newer_version(store: Store, writer: Any) -> None:
    writer.run("one", 1)
    write_document(store.layout.marker, "descentkit store", {"format": 2})
    with pytest.raises(StoreError, match=r"newer version .* \(format 2"):
        Store(store.path)


def test_index_of_a_newer_version(store: Store, writer: Any) -> None:
    writer.run("one", 1)
    connection = sqlite3.connect(store.layout.index)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(StoreError, match=r"newer version .* \(schema 2"):
        store.runs()
    with pytest.raises(StoreError, match="newer version"):
        store.reindex()


def test_read_only_store_is_read_and_says_so_when_written(
    store: Store, writer: Any, spec: Spec, make_read_only: Callable[[Path], None]
) -> None:
    writer.run("one", 1)
    writer.run("two", 2, finish=False)  # neither sealed nor in the index
    store.remember_strategy("a", "b")
    make_read_only(store.path)
    found = Store(store.path)
    assert [(summary.run_id, summary.status) for summary in found.runs()] == [("one", "done"), ("two", "done")]
    assert len(found.outcome("two").curves) == 45
    assert found.parameters("one").keys() == {"weight"}
    found.add("one", spec(replicate=1))  # is there: nothing to write
    found.remember_strategy("a", "b")
    for action in (
        lambda: found.add("three", spec()),
        lambda: found.begin("one"),
        lambda: found.remember_strategy("a", "c"),
        found.reindex,
    ):
        with pytest.raises(StoreError, match=r"cannot be written.*read-?only"):
            action()
    found.finish("two", 1)
    assert "cannot be written" in found.notes[0]


def test_full_disk(small_disk: Path, writer_of: type[Any], spec: Spec) -> None:
    store = Store(small_disk / "store")
    writer_of(store).run("one", 1)
    writer_of(store).run("two", 2, finish=False)
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1000)
    store.finish("two", 1)
    assert any("no space is left" in note for note in store.notes)
    with pytest.raises(StoreError, match="no space is left"):
        store.add("three", {**spec(), "padding": "x" * 5000})
    assert [summary.status for summary in store.runs()] == ["done", "done"]
    assert len(store.outcome("two").curves) == 45
    ballast.unlink()
    store.add("three", spec())
    store.finish("two", 1)
    assert store.layout.seal("two").exists()


# --- caches


def test_reindex_gives_the_same_index_from_the_folders_alone(store: Store, writer: Any, spec: Spec) -> None:
    writer.run("one", 1)
    writer.run("two", 2, last=27, status=None, checkpoint=20)
    writer.attempt("two", 2, first=20)
    writer.run("three", 3, last=20, status="diverged")
    store.add("four", spec())
    store.remember_strategy("a", "b")
    before = [summary.document() for summary in store.runs()]
    curves = store.outcome("two").curves
    store.layout.index.unlink()
    for run_id in ("one", "two", "three"):
        store.layout.seal(run_id).unlink()
    assert len(store.reindex()) == 4
    assert [summary.document() for summary in Store(store.path).runs()] == before
    assert store.outcome("two").curves.equals(curves)
    assert store.strategy("a") == "b"


def test_a_run_that_was_removed_is_gone(store: Store, writer: Any) -> None:
    writer.run("one", 1)
    writer.run("two", 2)
    store.layout.run("one").rename(store.path / "elsewhere")
    assert [summary.run_id for summary in store.runs()] == ["two"]
    assert store.status("one") is None


def test_index_that_is_no_database(store: Store, writer: Any) -> None:
    writer.run("one", 1)
    for content in (b"", b"nonsense" * 1000, store.layout.index.read_bytes()[:5000]):
        store.layout.index.write_bytes(content)
        assert [summary.status for summary in store.runs()] == ["done"]
        store.finish("one", 1)
        connection = sqlite3.connect(store.layout.index)
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        connection.close()


def test_listing_two_thousand_runs_opens_none_of_them(
    store: Store, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kit.store.history import History
    from kit.store.summary import RunSummary

    summaries = []
    for number in range(2000):
        run_id = f"{number:016x}"
        store.add(run_id, spec(replicate=number))
        history = History(
            status="done", reason="", cost=Cost(), attempts=1, started=number + 1, record={}, series={}, ended=True
        )
        summaries.append(RunSummary.of(run_id, spec(replicate=number), history))
    store._catalogue.remember(summaries)
    monkeypatch.setattr("kit.store.catalogue.run_history", lambda *_: pytest.fail("opened a log"))
    monkeypatch.setattr("kit.store.catalogue.read_seal", lambda *_: pytest.fail("opened a seal"))
    assert [summary.specification["replicate"] for summary in store.runs()] == list(range(2000))
    assert len(store.outcomes()) == 2000


# --- several processes at once

WORK = """
import sys
from kit.store import AttemptLog, Store

store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(15):
    run_id = f"run{number}"
    store.add(run_id, {"batch_size": 2, "number": number})
    attempt = store.begin(run_id)
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "from_step": 0, "time": 1 + number})
    log.append({"kind": "points", "first": 1, "metrics": {"batch_loss": [float(number)]}, "seconds": [0, 1]})
    log.append({"kind": "end", "status": "done", "reason": "", "cost": {"steps": 1}})
    log.close()
    store.finish(run_id, attempt.number)
    assert store.status(run_id) == "done"
    assert store.notes == [], store.notes
    print(attempt.folder.name, run_id, flush=True)
"""


def test_four_processes_use_one_store(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK, str(tmp_path / "store")]
    workers = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = [line for worker in workers for line in worker.communicate()[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert len(said) == len(set(said)) == 60  # each claimed attempts of its own
    store = Store(tmp_path / "store")
    assert [(s.run_id, s.status, s.attempts) for s in store.runs()] == [(f"run{n}", "done", 4) for n in range(15)]
    assert [outcome.curves["value"].tolist() for outcome in store.outcomes()] == [[float(n)] for n in range(15)]


def test_a_worker_needs_neither_sqlite_nor_pandas() -> None:
    script = (
        "import sys; from kit.store import AttemptLog, read_checkpoint, write_checkpoint; import kit.store.log;"
        "sys.exit(str({'sqlite3', 'pandas', 'pyarrow', 'pydantic'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
