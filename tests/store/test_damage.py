"""A damaged store: never a crash, never a wrong number shown as right."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.errors import StoreError
from kit.outcome import Outcome
from kit.store import Store

SEEDS = {"plain": 1, "resumed": 2, "killed": 3, "stopped": 4}
STEPS = {"plain": 40, "resumed": 40, "killed": 27, "stopped": 20}
STATUSES = {"plain": "done", "resumed": "done", "killed": "lost", "stopped": "stopped"}


@pytest.fixture
def whole(store: Store, writer: Any) -> Store:
    """A store with one run of each kind, all its caches written."""
    writer.run("plain", 1)
    writer.run("resumed", 2, last=30, status=None, checkpoint=20)
    writer.attempt("resumed", 2, first=20)
    writer.run("killed", 3, last=27, status=None, checkpoint=20)
    writer.run("stopped", 4, last=20, status="stopped")
    store.remember_strategy("a program", "eager")
    store.runs()
    return store


def flip(files: list[Path], generator: random.Random) -> None:
    path = generator.choice(files)
    data = bytearray(path.read_bytes())
    for _ in range(generator.choice([1, 1, 1, 5, 50])):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    path.write_bytes(data)


def truncate(files: list[Path], generator: random.Random) -> None:
    path = generator.choice(files)
    os.truncate(path, generator.randrange(path.stat().st_size))


def swap(files: list[Path], generator: random.Random) -> None:
    """Two files change places; half the time two of the same name, as a mixed-up copy would have it."""
    one = generator.choice(files)
    alike = [path for path in files if path.name == one.name and path != one]
    two = generator.choice(alike if alike and generator.random() < 0.5 else files)
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def remove(files: list[Path], generator: random.Random) -> None:
    generator.choice(files).unlink()


def drop_line(files: list[Path], generator: random.Random) -> None:
    """Some bytes in the middle are gone."""
    path = generator.choice(files)
    data = path.read_bytes()
    start = generator.randrange(len(data))
    path.write_bytes(data[:start] + data[start + generator.randrange(1, 400) :])


def remove_line(files: list[Path], generator: random.Random) -> None:
    """A whole line is gone, and nothing else."""
    path = generator.choice([path for path in files if path.name == "log.jsonl"] or files)
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[generator.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def garble(files: list[Path], generator: random.Random) -> None:
    path = generator.choice(files)
    path.write_bytes(generator.randbytes(generator.randrange(5000)))


MUTATIONS = [flip, flip, flip, truncate, truncate, swap, swap, remove, drop_line, remove_line, garble]


def mutate(folder: Path, generator: random.Random) -> None:
    for _ in range(generator.choice([1, 1, 2, 4])):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        generator.choice(MUTATIONS)(files, generator)


def check_curves(outcome: Outcome, truth: dict[str, Any]) -> None:
    """Every number is right, and a finished run's curves are whole or not shown."""
    for metric, step, value in outcome.curves[["metric", "step", "value"]].itertuples(index=False):
        expected = truth[metric][step - 1] if metric == "batch_loss" else truth[metric][step // 10]
        assert value == expected
    if outcome.status in ("done", "stopped") and len(outcome.curves):
        steps = STEPS[outcome.run_id]
        assert len(outcome.curves) == steps + steps // 10 + 1


def check(folder: Path, writer: Any, expected: Any, spec: Any) -> None:
    store = Store(folder)
    assert store.strategy("a program") in ("eager", None)
    summaries = store.runs()
    assert all(isinstance(note, str) for note in store.notes)
    for summary in summaries:
        truth, steps = expected(SEEDS[summary.run_id]), STEPS[summary.run_id]
        assert summary.status in (STATUSES[summary.run_id], "lost", None)
        assert summary.specification == spec(replicate=SEEDS[summary.run_id])
        if summary.status in ("done", "stopped"):
            batch, validation = truth["batch_loss"][steps - 1], truth["validation_loss"][steps // 10]
            assert summary.final == {"batch_loss": batch, "validation_loss": validation}
            assert (summary.cost.steps, summary.cost.seconds) == (steps, steps / 100)
        if summary.status is not None:
            check_curves(store.outcome(summary.run_id), truth)
        check_parameters(store, summary.run_id, summary.status, writer)


def check_parameters(store: Store, run_id: str, status: str | None, writer: Any) -> None:
    try:
        weight = store.parameters(run_id)["weight"]
    except StoreError:
        return
    steps = {"done": [40], "stopped": [20]}.get(str(status), [20, 40])
    assert any(np.array_equal(weight, writer.parameters(SEEDS[run_id], step) + 1) for step in steps)


def carry_out(whole: Store, writer: Any, expected: Any, spec: Any, seeds: range) -> None:
    folder = whole.path.parent / "damaged"
    for seed in seeds:
        shutil.copytree(whole.path, folder)
        mutate(folder, random.Random(seed))
        try:
            check(folder, writer, expected, spec)
            Store(folder).reindex()
            check(folder, writer, expected, spec)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        shutil.rmtree(folder)


def test_whole_store_passes_its_own_check(whole: Store, writer: Any, expected: Any, spec: Any) -> None:
    check(whole.path, writer, expected, spec)
    assert {summary.run_id: summary.status for summary in whole.runs()} == STATUSES
    assert all(len(outcome.curves) for outcome in whole.outcomes())


def test_two_hundred_mutations(whole: Store, writer: Any, expected: Any, spec: Any) -> None:
    carry_out(whole, writer, expected, spec, range(200))


@pytest.mark.slow
def test_two_thousand_mutations(whole: Store, writer: Any, expected: Any, spec: Any) -> None:
    carry_out(whole, writer, expected, spec, range(1000, 3000))


def lose_caches(store: Store) -> None:
    store.layout.index.unlink()
    for run_id in SEEDS:
        store.layout.seal(run_id).unlink(missing_ok=True)


def damage_log(store: Store, run_id: str, attempt: int, kind: bytes) -> None:
    """Flip a bit in the first record of a kind."""
    path = store.layout.run(run_id) / f"attempt-{attempt}" / "log.jsonl"
    data = bytearray(path.read_bytes())
    data[data.index(b'{"kind":"%b"' % kind) + 30] ^= 1
    path.write_bytes(data)


def test_caches_outlive_the_logs_they_were_made_from(whole: Store) -> None:
    damage_log(whole, "plain", 1, b"points")
    assert whole.status("plain") == "done"
    assert len(whole.outcome("plain").curves) == 45


@pytest.mark.parametrize("kind", [b"points", b"evaluation", b"end", b"start"])
def test_damaged_log_alone_counts_as_lost_and_starts_anew(whole: Store, kind: bytes) -> None:
    lose_caches(whole)
    damage_log(whole, "plain", 1, kind)
    outcome = whole.outcome("plain")
    assert outcome.status == "lost"
    assert "1 of the lines of attempt 1 cannot be read" in outcome.reason
    assert outcome.record["damage"]
    assert whole.latest_attempt("plain") is None or kind == b"end"
    assert not whole.layout.seal("plain").exists()


def test_damage_that_a_later_attempt_stands_on(whole: Store) -> None:
    lose_caches(whole)
    damage_log(whole, "resumed", 1, b"points")
    assert "attempt 1 cannot be read" in whole.outcome("resumed").reason
    assert whole.latest_attempt("resumed") is None


def test_damage_past_the_checkpoint_is_no_damage(whole: Store) -> None:
    lose_caches(whole)
    path = whole.layout.run("resumed") / "attempt-1" / "log.jsonl"
    data = bytearray(path.read_bytes())
    data[data.rindex(b'"kind":"points"') + 30] ^= 1  # steps 21…30, which attempt 2 did again
    path.write_bytes(data)
    assert whole.status("resumed") == "done"
    assert len(whole.outcome("resumed").curves) == 45


def test_missing_attempt_that_a_later_one_stands_on(whole: Store) -> None:
    lose_caches(whole)
    shutil.rmtree(whole.layout.run("resumed") / "attempt-1")
    outcome = whole.outcome("resumed")
    assert outcome.status == "lost"
    assert "at step 20, is missing" in outcome.reason


def test_index_and_log_disagree_about_a_finished_run(whole: Store) -> None:
    """The index still knows its final values; its curves, of which only a part is left, are not shown."""
    whole.layout.seal("plain").unlink()
    damage_log(whole, "plain", 1, b"points")
    outcome = whole.outcome("plain")
    assert outcome.status == "done"
    assert len(outcome.curves) == 0
    assert "curves of run plain cannot be read" in whole.notes[0]
    whole.reindex()
    assert whole.status("plain") == "lost"


def test_damaged_specification_is_read_from_a_cache_or_named(whole: Store, spec: Any) -> None:
    path = whole.layout.specification("plain")
    path.write_text(path.read_text().replace("0.1", "0.2"))
    assert whole.specification("plain") == spec(replicate=1)
    whole.layout.index.unlink()
    assert whole.specification("plain") == spec(replicate=1)
    lose = whole.layout.seal("plain")
    lose.unlink()
    with pytest.raises(StoreError, match="specification of run plain cannot be read"):
        whole.specification("plain")
    assert [summary.run_id for summary in whole.runs()] == ["resumed", "killed", "stopped"]
    assert "specification of run plain" in whole.notes[0]
    (whole.layout.runs / "empty").mkdir()  # killed while it was made known
    assert len(whole.runs()) == 3
    assert len(whole.notes) == 1
    whole.add("plain", spec(replicate=1))
    assert whole.status("plain") == "done"


@pytest.mark.parametrize("content", [b"", b"x" * 20_000, b"x\n" * 10_000])
def test_an_earlier_attempt_does_not_stand_in_for_one_that_is_damaged(whole: Store, content: bytes) -> None:
    """The index still knows that the run is done; the first attempt, which was killed, has less than it all."""
    whole.layout.seal("resumed").unlink()
    (whole.layout.run("resumed") / "attempt-2" / "log.jsonl").write_bytes(content)
    store = Store(whole.path)
    assert store.status("resumed") in ("done", "lost")
    curves = store.outcome("resumed").curves
    assert len(curves) == 0 or store.status("resumed") == "lost"
    store.reindex()
    assert store.status("resumed") == "lost"
