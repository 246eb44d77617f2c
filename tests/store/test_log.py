"""The log of an attempt: what was acknowledged is there, and what is there is right."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit.store.log
from kit.errors import StoreError
from kit.store import AttemptLog, read_log
from kit.store.log import LOG, has_writer

VALUES = [0.1, 1 / 3, 1e-300, -2.5e17, 5e-324, 1.7976931348623157e308, float("nan"), float("inf"), -float("inf"), 0.0]


def points(first: int, values: Any) -> dict[str, Any]:
    return {"kind": "points", "first": first, "metrics": {"batch_loss": values}, "seconds": [0.0, 0.5]}


def write(folder: Path, count: int = 8) -> list[dict[str, Any]]:
    """A log of `count` points records; returns what it must read as."""
    generator = np.random.default_rng(count)
    log = AttemptLog(folder)
    records = [points(5 * i + 1, generator.random(5)) for i in range(count)]
    for record in records:
        log.append(record)
    log.close()
    return [points(r["first"], r["metrics"]["batch_loss"].tolist()) for r in records]


@pytest.mark.parametrize("convert", [list, np.array, tuple], ids=["list", "array", "tuple"])
def test_every_bit_of_a_number_comes_back(tmp_path: Path, convert: Callable[[list[float]], Any]) -> None:
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    log.append(points(1, convert(VALUES)))
    log.append({"kind": "evaluation", "step": 3, "seconds": 0.5, "metrics": {str(v): np.float64(v) for v in VALUES}})
    log.close()
    first, second = read_log(log.path)
    bits = np.array(VALUES).tobytes()
    assert np.array(first["metrics"]["batch_loss"]).tobytes() == bits
    assert np.array(list(second["metrics"].values())).tobytes() == bits


def test_single_precision_numbers_come_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(300).astype(np.float32)
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    log.append(points(1, values))
    log.append({"kind": "evaluation", "step": 1, "seconds": 0, "metrics": {"loss": values[0]}})
    log.close()
    first, second = read_log(log.path)
    assert np.array_equal(np.array(first["metrics"]["batch_loss"], dtype=np.float32), values)
    assert second["metrics"]["loss"] == float(values[0])


def test_lines_are_strict_json(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    log.append(points(1, VALUES))
    log.append({"kind": "start", "from_step": 0, "title": 'a "quoted"\nline, ×'})
    log.close()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not strict JSON")

    lines = log.path.read_text().splitlines()
    assert [json.loads(line, parse_constant=refuse)["kind"] for line in lines] == ["points", "start"]


def test_one_write_for_each_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    written = []
    real = os.write

    def count(descriptor: int, data: bytes) -> int:
        written.append(bytes(data))
        return real(descriptor, data)

    monkeypatch.setattr(kit.store.log.os, "write", count)
    for first in range(3):
        log.append(points(first, [1.0, 2.0]))
    log.close()
    monkeypatch.undo()
    assert b"".join(written) == log.path.read_bytes()
    assert len(written) == 3


def test_torn_tail_is_cut_wherever_it_was_torn(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    records = write(folder, 3)
    data = (folder / LOG).read_bytes()
    start = data[:-1].rindex(b"\n") + 1
    for length in range(start, len(data)):
        (folder / LOG).write_bytes(data[:length])
        assert read_log(folder / LOG) == records[:2]
        log = AttemptLog(folder)
        log.append(points(99, [1.5]))
        log.close()
        assert read_log(folder / LOG) == [*records[:2], points(99, [1.5])]


def test_tail_longer_than_one_look_is_cut(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    records = write(folder, 2)
    with open(folder / LOG, "ab") as file:
        file.write(b"x" * 200_000)
    AttemptLog(folder).close()
    assert read_log(folder / LOG) == records
    (folder / LOG).write_bytes(b"x" * 200_000)
    AttemptLog(folder).close()
    assert (folder / LOG).read_bytes() == b""


def test_damage_never_shows_a_wrong_number(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    records = write(folder)
    data = (folder / LOG).read_bytes()
    generator = random.Random(2)
    for _ in range(200):
        changed = bytearray(data)
        for _ in range(generator.choice([1, 1, 3])):
            changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
        if generator.random() < 0.3:
            del changed[generator.randrange(len(changed)) :]
        (folder / LOG).write_bytes(changed)
        found = read_log(folder / LOG)
        assert all(record in records for record in found)
        assert [r["first"] for r in found] == sorted(r["first"] for r in found)
        assert len(found) >= len(bytes(changed).split(b"\n")) - 1 - 2 * 3


def test_log_of_another_run_is_not_taken_for_this_one(tmp_path: Path) -> None:
    write(tmp_path / "one" / "attempt-1")
    write(tmp_path / "two" / "attempt-1")
    (tmp_path / "one" / "attempt-1" / LOG).replace(tmp_path / "two" / "attempt-1" / LOG)
    assert read_log(tmp_path / "two" / "attempt-1" / LOG) == []


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "points", "first": "x", "metrics": {}, "seconds": [0, 1]},
        {"kind": "points", "first": 1, "metrics": [], "seconds": [0, 1]},
        {"kind": "points", "first": 1, "metrics": {"a": [[1]]}, "seconds": [0, 1]},
        {"kind": "points", "first": 1, "metrics": {}, "seconds": [0]},
        {"kind": "evaluation", "step": None, "seconds": 0, "metrics": {}},
        {"kind": "end", "status": "splendid"},
        {"kind": "checkpoint"},
        {"kind": 5},
    ],
)
def test_a_strangers_record_of_the_wrong_form_counts_as_damaged(tmp_path: Path, record: dict[str, Any]) -> None:
    """Its checksum is right: a checksum is no signature."""
    from zlib import crc32

    body = json.dumps(record)[:-1].encode()
    folder = tmp_path / "run" / "attempt-1"
    folder.mkdir(parents=True)
    (folder / LOG).write_bytes(body + b',"crc":"%08x"}\n' % crc32(body, crc32(b"run/attempt-1")))
    assert read_log(folder / LOG) == []


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    write(folder)
    (folder / LOG).rename(tmp_path / "elsewhere")
    (folder / LOG).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="no log to read"):
        read_log(folder / LOG)
    (folder / LOG).unlink()
    os.mkfifo(folder / LOG)
    with pytest.raises(StoreError, match="no log to read"):
        read_log(folder / LOG)


def test_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit.store.log, "LOCK_SECONDS", 0.05)
    folder = tmp_path / "run" / "attempt-1"
    log = AttemptLog(folder)
    assert has_writer(folder)
    with pytest.raises(StoreError, match="one writer"):
        AttemptLog(folder)
    log.append(points(1, [1.0]))
    log.close()
    assert not has_writer(folder)
    AttemptLog(folder).close()
    assert len(read_log(folder / LOG)) == 1


def test_closed_log_says_so(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    log.close()
    log.close()
    with pytest.raises(StoreError, match="closed"):
        log.append(points(1, [1.0]))


def test_only_the_user_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "attempt-1"
    previous = os.umask(0)
    try:
        write(folder)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((folder / LOG).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(log: AttemptLog) -> int:
    """Append until the disk is full; returns how many records were acknowledged."""
    said = ""
    count = -1
    while not said:
        count += 1
        try:
            log.append(points(count, np.full(20, math.pi)))
        except StoreError as error:
            said = str(error)
    assert "no space is left" in said
    return count


def test_full_disk_keeps_what_was_acknowledged_and_goes_on_later(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    with file_size_limit(10_000):  # cuts a record in its middle
        count = fill(log)
        with pytest.raises(StoreError, match="no space is left"):
            log.append(points(0, np.full(20, math.pi)))
    assert 10_000 - log.path.stat().st_size < 500
    log.append(points(count, [1.0]))
    log.close()
    assert [record["first"] for record in read_log(log.path)] == list(range(count + 1))


def test_full_file_system(small_disk: Path) -> None:
    log = AttemptLog(small_disk / "run" / "attempt-1")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    count = fill(log)
    assert [record["first"] for record in read_log(log.path)] == list(range(count))
    ballast.unlink()
    log.append(points(count, [1.0]))
    log.close()
    assert len(read_log(log.path)) == count + 1


def test_record_that_cannot_be_taken_back_is_cut_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes half a record and then neither more nor a truncation; later it works again."""
    log = AttemptLog(tmp_path / "run" / "attempt-1")
    log.append(points(1, [1.0]))
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        real(descriptor, bytes(data)[: len(data) // 2])
        raise OSError(errno.EIO, "Input/output error")

    def broken(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(kit.store.log.os, "write", half)
        patch.setattr(kit.store.log.os, "ftruncate", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            log.append(points(2, [2.0]))
    log.append(points(3, [3.0]))
    log.close()
    assert [record["first"] for record in read_log(log.path)] == [1, 3]
    assert log.path.read_bytes().count(b"\n") == 2


def test_read_only_folder(tmp_path: Path, make_read_only: Callable[[Path], None]) -> None:
    folder = tmp_path / "run" / "attempt-1"
    records = write(folder)
    make_read_only(tmp_path / "run")
    with pytest.raises(StoreError, match="read-only"):
        AttemptLog(folder)
    assert read_log(folder / LOG) == records
