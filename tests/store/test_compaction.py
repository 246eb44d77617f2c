"""A store that is made smaller says the same of every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.store import AttemptLog, Store, read_checkpoint


@pytest.fixture
def full(store: Store, writer: Any) -> Store:
    writer.run("plain", 1)
    writer.run("resumed", 2, last=30, status=None, checkpoint=20)
    writer.attempt("resumed", 2, first=20)
    writer.run("killed", 3, last=27, status=None, checkpoint=20)
    writer.run("stopped", 4, last=20, status="stopped")
    return store


def told(store: Store) -> list[Any]:
    return [
        (summary.document(), store.outcome(summary.run_id).curves.to_dict("list"), parameters(store, summary.run_id))
        for summary in store.runs()
    ]


def parameters(store: Store, run_id: str) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in store.parameters(run_id).items()}


def checkpoints(store: Store) -> dict[str, list[str]]:
    return {
        run_id: sorted(f"{path.parent.name}/{path.name}" for path in store.layout.run(run_id).glob("*/*.safetensors"))
        for run_id in store.layout.run_ids()
    }


def test_it_says_the_same_of_every_run_in_less_room(full: Store) -> None:
    before, files = told(full), checkpoints(full)
    assert files["resumed"] == ["attempt-1/checkpoint-20.safetensors", "attempt-2/checkpoint-40.safetensors"]
    sizes = full.compact()
    assert sizes[1] < sizes[0]
    assert sizes[1] == sum(path.stat().st_size for path in full.path.rglob("*") if path.is_file())
    assert told(Store(full.path)) == before
    assert checkpoints(full) == files | {"resumed": ["attempt-2/checkpoint-40.safetensors"]}
    full.reindex()
    assert told(Store(full.path)) == before
    assert full.notes == []
    assert full.compact() == (sizes[1], sizes[1])


def test_what_can_be_continued_keeps_all_it_needs(full: Store, writer: Any) -> None:
    folders = {run_id: full.latest_attempt(run_id) for run_id in ("killed", "stopped")}
    full.compact()
    for run_id, seed in (("killed", 3), ("stopped", 4)):
        folder = full.latest_attempt(run_id)
        assert folder == folders[run_id]
        checkpoint = read_checkpoint(folder)
        assert checkpoint is not None
        assert {name.partition("/")[0] for name in checkpoint.arrays} == {"parameters", "evaluated", "slots"}
        assert np.array_equal(checkpoint.arrays["parameters/weight"], writer.parameters(seed, 20))


def test_a_run_that_trains_and_a_damaged_checkpoint_are_left_alone(full: Store) -> None:
    damaged = full.layout.run("plain") / "attempt-1" / "checkpoint-40.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    attempt = full.begin("stopped")
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "from_step": 20})
    files = checkpoints(full)
    content: dict[Path, bytes] = {path: path.read_bytes() for path in full.layout.run("stopped").rglob("*.safetensors")}
    full.compact()
    assert checkpoints(full)["plain"] == files["plain"]
    assert {path: path.read_bytes() for path in full.layout.run("stopped").rglob("*.safetensors")} == content
    log.close()
