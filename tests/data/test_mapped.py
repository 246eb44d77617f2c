"""Arrays that stay on disk: the same numbers as in memory, whatever view, order and cache."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import batching
from kit.batching import Order
from kit.data import Mapped, fingerprint, from_user, prepare
from kit.data import reader as reading
from kit.data import split as splitting
from kit.data import user as users
from kit.data import view as viewing
from kit.data.reader import Reader
from kit.errors import DataError

X = np.random.default_rng(0).normal(3, 2, (1003, 5)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


@pytest.fixture
def large_small(monkeypatch):
    """Large-data rules at small sizes: blocks of 8 rows, pools of 8 blocks, nothing resident."""
    for module in (batching, splitting, viewing, reading):
        for name, value in (("BLOCK", 8), ("POOL", 64), ("POOL_BLOCKS", 8)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(reading, "SPARE_BLOCKS", 1)
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)


VIEWS = {
    "whole": lambda m: m,
    "tail": lambda m: m[100:],
    "middle of a middle": lambda m: m[10:500][5:100],
    "plain array": lambda m: np.asarray(m[7:]),
    "reshaped": lambda m: m.reshape(1003, 5, 1),
    "one column": lambda m: m.reshape(-1),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_found_in_its_file(path, view):
    array = VIEWS[view](np.load(path, mmap_mode="r"))
    mapped = Mapped.of(array)
    assert mapped.shape == array.shape
    assert np.array_equal(mapped[:], array)
    assert np.array_equal(mapped[3:9], array[3:9])
    assert np.array_equal(mapped[9:3], array[9:3])


def test_raw_files_with_an_offset_and_another_byte_order(tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b"\0" * 10_002 + X.astype(">f4").tobytes())
    array = np.memmap(file, dtype=">f4", mode="r", offset=10_002, shape=X.shape)
    mapped = Mapped.of(array)
    assert np.array_equal(mapped.gather([[5, 1], [1000, 5]]), X[[[5, 1], [1000, 5]]])
    assert np.array_equal(Reader(mapped).rows(np.array([1002, 0])), X[[1002, 0]])


def test_what_lies_in_memory_is_not_mapped(path):
    assert Mapped.of(X) is None
    assert Mapped.of(np.load(path, mmap_mode="c")) is None  # what is changed there is not in the file
    assert Mapped.of(np.load(path, mmap_mode="r") + 1) is None


@pytest.mark.parametrize(
    "view", [lambda m: m[::2], lambda m: m[:, :3], lambda m: m.T], ids=["rows", "columns", "turned"]
)
def test_a_view_with_holes_is_refused(path, view):
    with pytest.raises(DataError, match="contiguous stretch"):
        Mapped.of(view(np.load(path, mmap_mode="r")))


def test_a_file_stored_by_columns_is_refused(tmp_path):
    np.save(tmp_path / "f.npy", np.asfortranarray(X))
    with pytest.raises(DataError, match="C order"):
        Mapped.open(tmp_path / "f.npy")


def test_it_travels_as_a_name(path):
    mapped = Mapped.of(np.load(path, mmap_mode="r"))
    assert len(pickle.dumps(mapped)) < 1000
    assert np.array_equal(pickle.loads(pickle.dumps(mapped))[:], X)


@given(indices=st.lists(st.integers(0, 1002), min_size=1, max_size=400))
@settings(deadline=None, max_examples=40)
def test_gather_is_indexing(tmp_path_factory, indices):
    file = tmp_path_factory.mktemp("g") / "x.npy"
    np.save(file, X)
    mapped = Mapped.open(file)
    assert np.array_equal(mapped.gather(indices), X[indices])
    assert np.array_equal(mapped.without_column(2).gather(indices), np.delete(X, 2, axis=1)[indices])


@given(data=st.data(), pool_blocks=st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_the_cache_gives_what_the_file_holds(tmp_path_factory, data, pool_blocks):
    """Whatever is asked for, more than fits included, and in whatever order the slots are reused."""
    file = tmp_path_factory.mktemp("c") / "x.npy"
    np.save(file, X)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", 8)
        patch.setattr(reading, "POOL_BLOCKS", pool_blocks)
        patch.setattr(reading, "SPARE_BLOCKS", 1)
        reader = Reader(Mapped.open(file))
        assert reader.cached
        for _ in range(8):
            wanted = data.draw(st.lists(st.integers(0, 1002), min_size=1, max_size=60))
            assert np.array_equal(reader.rows(np.array(wanted)), X[wanted])


def test_a_block_is_read_once_in_a_pool(path, monkeypatch, large_small):
    read = []
    original = Mapped.read_into

    def counted(self, file, start, content):
        read.append(start // 8)
        original(self, file, start, content)

    monkeypatch.setattr(Mapped, "read_into", counted)
    monkeypatch.setattr(reading, "SPARE_BLOCKS", 8)  # as many as one step's batches can touch
    reader, order = Reader(Mapped.open(path)), Order(1003, 4, 0, [0, 1])
    for step in range(1003 // 4):
        rows = order.indices(step, 1)
        assert np.array_equal(reader.rows(rows), X[rows])
    assert sorted(read) == list(range(126))


def test_rows_too_large_for_a_pool_are_read_one_by_one(path):
    reader = Reader(Mapped.open(path), cache_bytes=100)
    assert not reader.cached
    assert np.array_equal(reader.rows(np.array([[3, 1002], [3, 0]])), X[[[3, 1002], [3, 0]]])


def both(path, y, **options):
    """The same data in memory and on disk, prepared."""
    arguments = {"seed": 0, "replicates": [0, 1], "evaluated_rows": 50} | options
    disk = from_user((str(path), y))
    assert disk.streamed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "RESIDENT_VALUES", 2**26)
        memory = from_user((np.load(path), y))
    return prepare(memory, **arguments), prepare(disk, **arguments)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("y", [np.arange(1003) % 3, X @ np.arange(5.0)], ids=["classes", "values"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_on_disk_train_as_data_in_memory(path, request, monkeypatch, large, y, dtype):
    if large:
        request.getfixturevalue("large_small")
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    memory, disk = both(path, y, dtype=dtype)
    assert disk.rows == memory.rows
    assert disk.train is None
    assert list(disk.evaluation) == ["train", "validation"]
    for name, block in memory.evaluation.items():
        assert np.array_equal(block.x, disk.evaluation[name].x)
        assert np.array_equal(block.y, disk.evaluation[name].y)
    indices = Order(memory.rows, 32, 0, [0, 1]).indices(0, 60)
    x, targets = disk.gather(indices)
    assert memory.train.x.shape[0] == (1 if large else 2)
    for r in range(2):
        block = r if memory.train.x.shape[0] > 1 else 0
        assert np.array_equal(x[:, r], memory.train.x[block][indices[:, r]])
        assert np.array_equal(targets[:, r], memory.train.y[block][indices[:, r]])


def test_reading_ahead_changes_nothing(path, large_small):
    _, disk = both(path, X @ np.arange(5.0))
    _, plain = both(path, X @ np.arange(5.0))
    order = Order(disk.rows, 16, 0, [0, 1])
    for step in range(0, 200, 10):
        disk.prefetch(order.indices(step + 10, 10))
        if step % 30 == 0:
            disk.gather(order.indices(step + 3, 1))  # a probe asks for something else in between
        x, y = disk.gather(order.indices(step + 10, 10))
        wanted = plain.gather(order.indices(step + 10, 10))
        assert np.array_equal(x, wanted[0])
        assert np.array_equal(y, wanted[1])


def test_a_table_on_disk_with_its_target_in_a_column(path, monkeypatch):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    data = from_user(np.load(path, mmap_mode="r"), target=2)
    assert data.streamed
    assert np.array_equal(data.y, X[:, 2])
    ready = prepare(data, seed=0, replicates=[0], standardise=False, validation_fraction=0)
    assert np.array_equal(ready.gather(np.array([[[4, 1000]]]))[0][0, 0], np.delete(X, 2, axis=1)[[4, 1000]])


def test_targets_may_stay_on_disk(path, tmp_path, monkeypatch):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    np.save(tmp_path / "y.npy", X[:, :1])
    data = from_user((str(path), str(tmp_path / "y.npy")))
    assert isinstance(data.y, Mapped)
    assert data.outputs == 1
    ready = prepare(data, seed=0, replicates=[0], dtype="float64")
    x_scale, y_scale = ready.scales[0]
    x, y = ready.gather(np.array([[[7, 500]]]))
    np.testing.assert_allclose(x_scale.undo(x)[..., 0], y_scale.undo(y), rtol=1e-12)


def test_labels_may_lie_on_disk(path, tmp_path, monkeypatch):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    labels = np.arange(1003) % 4 + 1
    np.save(tmp_path / "y.npy", labels)
    data = from_user((str(path), str(tmp_path / "y.npy")))
    assert data.classes == (1, 2, 3, 4)
    assert np.array_equal(data.y + 1, labels)
    assert data.y.dtype == np.uint8


def test_a_value_that_is_not_finite_is_found_when_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    monkeypatch.setattr("kit.data.check.CHECKED_BYTES", 100)
    holed = X.copy()
    holed[700, 3] = np.nan
    np.save(tmp_path / "x.npy", holed)
    ready = prepare(
        from_user((str(tmp_path / "x.npy"), np.arange(1003) % 2)),
        seed=0,
        replicates=[0],
        standardise=False,
        validation_fraction=0,
        evaluated_rows=5,
    )
    indices = np.array([[[0, 1], [2, 3]], [[4, 5], [700, 6]]])
    with pytest.raises(DataError, match="x has 1 value that is not finite; the first is nan at row 700, column 3"):
        ready.gather(indices)
    ready.prefetch(indices)
    with pytest.raises(DataError, match="row 700"):
        ready.gather(indices)


def test_a_file_that_goes_or_is_cut_is_said(path, monkeypatch):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    data = from_user((str(path), np.arange(1003) % 2))
    ready = prepare(data, seed=0, replicates=[0])
    os.truncate(path, 5000)
    with pytest.raises(DataError, match=r"has 5000 bytes, fewer than its array of shape \(1003, 5\) needs"):
        ready.gather(np.array([[[799]]]))
    path.unlink()
    for use in (lambda: ready.gather(np.array([[[800]]])), lambda: fingerprint(data)):
        with pytest.raises(DataError, match="cannot be read: No such file"):
            use()


def test_fingerprints_of_files(path, monkeypatch, tmp_path):
    monkeypatch.setattr(users, "RESIDENT_VALUES", 0)
    monkeypatch.setattr("kit.data.identity.SAMPLED_BYTES", 100)
    y = np.arange(1003) % 2
    first = fingerprint(from_user((str(path), y)))
    assert first == fingerprint(from_user((np.load(path, mmap_mode="r"), y)))
    moved = tmp_path / "moved.npy"
    path.rename(moved)
    assert first == fingerprint(from_user((str(moved), y)))
    with moved.open("r+b") as file:  # the same size, other content, even where no sample is taken
        file.seek(2000)
        file.write(b"\1")
    os.utime(moved, ns=(1, 1))
    assert first != fingerprint(from_user((str(moved), y)))


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited and read the Linux way")
def test_four_gigabytes_in_one_gigabyte_of_address_space(tmp_path):
    """The file is sparse, so that it takes no disk; its pages are read all the same."""
    rows = 2**24
    array = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(rows, 64))
    array[:: 2**14] = 1.0
    del array
    code = f"""
        import resource, numpy as np
        from kit.batching import Order
        from kit.data import from_user, prepare
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
        try:
            np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
        except (OSError, MemoryError):
            print("the limit holds")
        y = (np.arange({rows}) % 2).astype(np.uint8)
        ready = prepare(from_user(({str(tmp_path / "x.npy")!r}, y)), seed=0, replicates=[0, 1, 2])
        order = Order(ready.rows, 64, 0, [0, 1, 2])
        for step in range(0, 4608, 128):  # past the end of a pool
            ready.prefetch(order.indices(step + 128, 128))
            x, y = ready.gather(order.indices(step, 128))
        print(x.shape, ready.rows)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[0] == "the limit holds"
    assert run.stdout.split("\n")[1] == f"(128, 3, 64, 64) {rows - 256 * round(rows / 256 * 0.2)}"
