"""Checkpoints: bit for bit, replaced atomically, and never trusted."""

from __future__ import annotations

import os
import pickle
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import kit.store.files
from kit.errors import InvalidValueError, StoreError
from kit.store import AttemptLog, Checkpoint, Store, read_checkpoint, write_checkpoint

TYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "uint32", "bool"]


def arrays() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    found: dict[str, Any] = {f"a/{name}": (generator.random((3, 4)) * 9).astype(name) for name in TYPES}
    found["scalar"] = np.float64(0.1)
    found["empty"] = np.zeros((0, 3))
    found["nan"] = np.array([np.nan, np.inf, -0.0])
    found["a view"] = np.arange(12.0).reshape(3, 4).T[1:]
    found["big-endian"] = np.arange(5, dtype=">f8")
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == np.asarray(value).dtype.newbyteorder("=")
        and found[name].shape == np.shape(value)
        and found[name].tobytes() == np.asarray(value).astype(np.asarray(value).dtype.newbyteorder("=")).tobytes()
        for name, value in expected.items()
    )


def read(folder: Path) -> Checkpoint:
    checkpoint = read_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint


def test_every_bit_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    extra = {"carry": {"t": 3.5}, "loss": float("inf"), "list": [1, None, "x"], "scalar": np.float32(0.5)}
    name = write_checkpoint(folder, 12, arrays(), extra)
    found = read(folder)
    assert found.step == 12
    assert same(found.arrays, arrays())
    assert found.extra == {"carry": {"t": 3.5}, "loss": float("inf"), "list": [1, None, "x"], "scalar": 0.5}
    assert same(load_file(folder / name), arrays())  # any safetensors reader opens it
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_names_the_length_of_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    log = AttemptLog(folder)
    log.append({"kind": "start", "from_step": 0})
    size = log.path.stat().st_size
    write_checkpoint(folder, 1, {}, {})
    log.append({"kind": "checkpoint", "step": 1, "file": "x"})
    log.close()
    assert read(folder).offset == size


def test_the_one_before_goes_once_the_new_one_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run" / "attempt-1"
    events: list[str] = []
    monkeypatch.setattr(kit.store.files.os, "fsync", lambda descriptor: events.append("fsync"))
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self, **options: (events.append("unlink"), unlink(self, **options))[1])
    write_checkpoint(folder, 5, {"w": np.ones(3)}, {})
    assert events == []
    write_checkpoint(folder, 10, {"w": np.ones(3)}, {})
    assert events == ["fsync", "fsync", "unlink"]
    assert [path.name for path in folder.iterdir()] == ["checkpoint-10.safetensors"]
    write_checkpoint(folder, 10, {"w": np.zeros(3)}, {})
    assert read(folder).arrays["w"].tolist() == [0, 0, 0]


def test_what_a_killed_writer_left_is_swept_by_its_successor(store: Store) -> None:
    store.add("run", {})
    attempt = store.begin("run")
    half = attempt.folder / ".checkpoint-5.safetensors.abcd.partial"
    half.touch()
    folder = attempt.folder / ".ray-train.partial"
    (folder / "ranks").mkdir(parents=True)
    log = AttemptLog(attempt.folder)
    store.begin("run")
    assert half.exists()  # its writer lives
    log.close()
    store.begin("run")
    assert not half.exists()
    assert not folder.exists()


def test_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    assert read_checkpoint(tmp_path / "missing") is None


def damage(path: Path, generator: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(generator.choice([1, 1, 4])):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    if generator.random() < 0.3:
        del data[generator.randrange(len(data)) :]
    path.write_bytes(data)


def test_damage_is_seen_and_the_one_before_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    previous = folder / write_checkpoint(folder, 5, {"w": np.ones(3)}, {})
    kept = previous.read_bytes()
    newest = folder / write_checkpoint(folder, 10, arrays(), {"x": 1})
    previous.write_bytes(kept)  # as after a death between the writing of one and the removing of the other
    whole = newest.read_bytes()
    generator = random.Random(1)
    for _ in range(200):
        newest.write_bytes(whole)
        damage(newest, generator)
        found = read(folder)
        assert found.step == 5 or newest.read_bytes() == whole
    previous.unlink()
    assert read_checkpoint(folder) is None


def test_checkpoint_of_another_run_or_step_is_refused(tmp_path: Path) -> None:
    name = write_checkpoint(tmp_path / "one" / "attempt-1", 5, {"w": np.ones(3)}, {})
    (tmp_path / "two" / "attempt-1").mkdir(parents=True)
    (tmp_path / "one" / "attempt-1" / name).rename(tmp_path / "two" / "attempt-1" / name)
    assert read_checkpoint(tmp_path / "two" / "attempt-1") is None
    name = write_checkpoint(tmp_path / "one" / "attempt-1", 5, {"w": np.ones(3)}, {})
    (tmp_path / "one" / "attempt-1" / name).rename(tmp_path / "one" / "attempt-1" / "checkpoint-6.safetensors")
    assert read_checkpoint(tmp_path / "one" / "attempt-1") is None


def test_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("kit.store.checkpoint.FORMAT", 2)
        write_checkpoint(tmp_path, 5, {}, {})
    with pytest.raises(StoreError, match="newer version"):
        read_checkpoint(tmp_path)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    crater = tmp_path / "crater"
    (tmp_path / "checkpoint-5.safetensors").write_bytes(pickle.dumps(Bomb(crater)))
    np.save(tmp_path / "checkpoint.npy", np.array([Bomb(crater)]), allow_pickle=True)
    (tmp_path / "checkpoint.npy").rename(tmp_path / "checkpoint-6.safetensors")
    assert read_checkpoint(tmp_path) is None
    assert not crater.exists()


def test_only_numbers(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="'w' of type object"):
        write_checkpoint(tmp_path, 1, {"w": np.array([object()])}, {})
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_the_one_before(small_disk: Path) -> None:
    folder = small_disk / "run" / "attempt-1"
    write_checkpoint(folder, 5, {"w": np.full(10_000, 5.0)}, {})
    with pytest.raises(StoreError, match="no space is left"):
        write_checkpoint(folder, 10, {"w": np.full(25_000, 10.0)}, {})
    assert (read(folder).arrays["w"] == 5).all()
    assert [path.name for path in folder.iterdir()] == ["checkpoint-5.safetensors"]
    write_checkpoint(folder, 11, {"w": np.full(10_000, 11.0)}, {})
    assert read(folder).step == 11
