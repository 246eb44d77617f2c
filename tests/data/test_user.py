"""A user's own data: every form that it may come in, and everything that may be wrong with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kit.data import Data, Mapped, fingerprint, from_user, is_table
from kit.data import user as users
from kit.errors import DataError, InvalidValueError, KitError, UnknownNameError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
LABELS = np.arange(30) % 3
VALUES = X @ [1.0, -2.0, 0.5]


class Tensor:
    """What a framework's tensor looks like from outside, on a device and with a gradient."""

    def __init__(self, values):
        self.values, self.attached = values, True

    def detach(self):
        other = Tensor(self.values)
        other.attached = False
        return other

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        assert not self.attached
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize("wrap", [np.asarray, list, Tensor, pd.DataFrame, lambda x: x.tolist()], ids=str)
def test_arrays_in_any_form(wrap):
    data = from_user((wrap(X), LABELS))
    assert data.task == "classification"
    assert data.classes == (0, 1, 2)
    assert np.array_equal(data.x, X)
    assert np.array_equal(data.y, LABELS)


def test_one_feature_and_one_target_as_columns():
    data = from_user((X[:, 0], VALUES[:, None]))
    assert data.x.shape == (30, 1)
    assert data.y.shape == (30,)
    assert data.outputs == 1


def test_validation_data_of_ones_own():
    data = from_user((X, LABELS.astype(str), X[:5], LABELS[:5].astype(str)))
    assert data.classes == ("0", "1", "2")
    assert data.y_validation.tolist() == LABELS[:5].tolist()
    assert data.training_rows(0.2) == 30


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (LABELS, "classification", (0, 1, 2)),
        (LABELS + 5, "classification", (5, 6, 7)),
        (np.where(LABELS > 0, 1, -1), "classification", (-1, 1)),
        (LABELS > 0, "classification", (False, True)),
        (LABELS.astype(str), "classification", ("0", "1", "2")),
        (np.array(["x", "y", "z"], dtype=object)[LABELS], "classification", ("x", "y", "z")),
        (pd.Series(LABELS).map({0: "no", 1: "yes", 2: "no"}), "classification", ("no", "yes")),
        (pd.Series(LABELS).map({0: "no", 1: "yes", 2: "no"}).astype("category"), "classification", ("no", "yes")),
        (VALUES, "regression", ()),
        (VALUES.astype(np.float32), "regression", ()),
        (np.stack([VALUES, VALUES], axis=1), "regression", ()),
    ],
)
def test_the_task_is_read_off_the_target(y, task, classes):
    data = from_user((X, y))
    assert data.task == task
    assert data.classes == classes
    if classes:
        assert [classes[number] for number in data.y] == np.asarray(y).tolist()


def test_whole_numbers_of_many_values_are_counts():
    x = np.zeros((3000, 1)) + np.arange(3000)[:, None]
    assert from_user((x, np.arange(3000) % 100)).task == "classification"
    assert from_user((x, np.arange(3000) % 301)).task == "regression"
    assert from_user((x, np.arange(3000) % 299)).task == "classification"
    assert from_user((X, LABELS), task="regression").task == "regression"


def test_whole_numbers_of_the_samples_shape_are_text():
    tokens = RNG.integers(0, 9, (20, 6))
    data = from_user((tokens, np.roll(tokens, -1, axis=1)))
    assert data.task == "language"
    assert data.tokens == tokens.max() + 1


def test_one_table_of_numbers_and_its_target_column():
    table = np.column_stack([X, VALUES])
    data = from_user(table, target=-1)
    assert np.array_equal(data.x, X)
    assert np.array_equal(data.y, VALUES)
    assert np.array_equal(from_user(table, target=1).x, np.delete(table, 1, axis=1))
    with pytest.raises(InvalidValueError, match="0 to 3"):
        from_user(table)
    with pytest.raises(InvalidValueError, match="target=4"):
        from_user(table, target=4)


def frame():
    return pd.DataFrame(
        {
            "area": X[:, 0],
            "rooms": np.arange(30),
            "garden": LABELS > 0,
            "colour": np.array(["red", "blue", "green"])[LABELS],
            "price": VALUES,
        }
    )


def check_frame(data):
    assert data.task == "regression"
    assert data.columns == ("area", "rooms", "garden", "colour=blue", "colour=green", "colour=red")
    wanted = np.column_stack([X[:, 0], np.arange(30), LABELS > 0, LABELS == 1, LABELS == 2, LABELS == 0])
    np.testing.assert_allclose(data.x, wanted, rtol=1e-12)
    np.testing.assert_allclose(data.y, VALUES, rtol=1e-12)


def test_a_frame():
    check_frame(from_user(frame(), target="price"))
    check_frame(from_user(frame().astype({"colour": "category"}), target="price"))
    check_frame(from_user(frame().astype({"rooms": "Int64", "garden": "boolean"}), target="price"))
    data = from_user(frame(), target="colour")
    assert data.classes == ("blue", "green", "red")
    assert data.y.tolist() == [{0: 2, 1: 0, 2: 1}[label] for label in LABELS]


def test_a_frame_of_features_beside_its_target():
    x, y = frame().drop(columns="price"), frame()["price"]
    check_frame(from_user((x, y)))
    data = from_user((x, y, x[1:4], y[1:4]))  # rows 1 to 3 hold other categories, in another order
    check_frame(data)
    assert np.array_equal(data.x_validation, data.x[1:4])
    with pytest.raises(DataError, match="x_validation has the columns area"):
        from_user((x, y, x[["area"]], y))


def test_other_libraries_tables():
    check_frame(from_user(pa.Table.from_pandas(frame()), target="price"))


@pytest.mark.parametrize("codes", [(10, 20, 30), (-1, 0, 1)])
def test_a_column_of_codes_is_labels(codes):
    data = from_user(frame().assign(kind=np.array(codes)[LABELS]), target="kind")
    assert data.classes == codes


def test_ordered_categories_keep_their_order():
    sizes = pd.Categorical(np.array(["S", "M", "L"])[LABELS], categories=["S", "M", "L", "XL"], ordered=True)
    data = from_user(frame().assign(size=sizes), target="size")
    assert data.classes == ("S", "M", "L")
    assert np.array_equal(data.y, LABELS)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_on_disk(tmp_path, suffix):
    path = tmp_path / f"houses{suffix}"
    if suffix == ".parquet":
        frame().to_parquet(path)
    else:
        frame().to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    assert is_table(str(path))
    check_frame(from_user(str(path), target="price"))
    check_frame(from_user(path, target="price"))


def test_what_is_a_table():
    assert is_table("a/b.CSV")
    assert is_table("x.pq")
    assert not is_table("digits")
    assert not is_table("x.npy")


def holed(x=X, place=(4, 1), value=np.nan):
    x = x.astype(float)
    x[place] = value
    return x


def empty_csv(folder):
    (folder / "empty.csv").write_text("")
    return folder / "empty.csv"


def ragged_csv(folder):
    (folder / "ragged.csv").write_text('a,b\n1,2\n1,2,3\n"')
    return folder / "ragged.csv"


def not_parquet(folder):
    (folder / "fake.parquet").write_text("a,b\n1,2\n")
    return folder / "fake.parquet"


def not_numpy(folder):
    (folder / "fake.npy").write_text("1,2\n")
    return str(folder / "fake.npy")


BAD = {
    "empty": (lambda f: (X[:0], LABELS[:0]), {}, "0 samples"),
    "empty values": (lambda f: (X[:0], VALUES[:0]), {}, "0 samples"),
    "one row": (lambda f: (X[:1], VALUES[:1]), {}, "one sample"),
    "lengths": (lambda f: (X, VALUES[:7]), {}, "x has 30 samples and y has 7 targets"),
    "no features": (lambda f: (X[:, :0], VALUES), {}, r"x has shape \(30, 0\)"),
    "nan": (lambda f: (holed(), VALUES), {}, "x has 1 value that is not finite; the first is nan at row 4, column 1"),
    "inf": (lambda f: (holed(value=-np.inf), VALUES), {}, "-inf at row 4, column 1"),
    "nan in y": (lambda f: (X, holed(VALUES, 9)), {}, "y has 1 value that is not finite; the first is nan at row 9"),
    "nan in an image": (lambda f: (holed(RNG.random((9, 2, 2, 1)), (8, 1, 0, 0)), VALUES[:9]), {}, r"\(1, 0, 0\)"),
    "nan in validation": (lambda f: (X, VALUES, holed(), VALUES), {}, "In the validation data, x"),
    "object": (lambda f: (X.astype(object), VALUES), {}, "x has dtype object"),
    "text in x": (lambda f: (X.astype(str), VALUES), {}, "x has dtype"),
    "complex": (lambda f: (X + 1j, VALUES), {}, "x has dtype complex128"),
    "dates": (lambda f: (X, np.arange(30).astype("datetime64[D]")), {}, "y has dtype datetime64"),
    "ragged": (lambda f: ([[1.0], [1.0, 2.0]], [0, 1]), {}, "different lengths"),
    "mixed labels": (lambda f: (X, np.array([1, "a"] * 15, dtype=object)), {}, "types int, str"),
    "missing label": (
        lambda f: (X, np.array(["a", None] * 15, dtype=object)),
        {},
        "missing in 15 rows; the first is row 1",
    ),
    "stray label": (lambda f: (X, np.where(np.arange(30) == 7, 999, LABELS)), {}, "out of range: row 7 has 999"),
    "negative label": (lambda f: (X, np.where(np.arange(30) == 7, -1, LABELS)), {}, "out of range: row 7 has -1"),
    "unseen label": (lambda f: (X, LABELS, X[:3], [0, 1, 5]), {}, "y_validation has labels out of range: row 2 has"),
    "one class": (lambda f: (X, np.ones(30, int)), {}, "the same class, 1"),
    "constant": (lambda f: (X, np.full(30, 2.5)), {}, "the same target, 2.5"),
    "one-hot": (lambda f: (X, np.eye(3, dtype=int)[LABELS]), {}, "argmax"),
    "other shape": (lambda f: (X, VALUES, X[:, :2], VALUES), {}, "must be alike"),
    "single value": (lambda f: (X, 3), {}, "single value"),
    "three parts": (lambda f: (X, VALUES, X), {}, "Data are"),
    "no pair": (lambda f: X[:, 0], {}, "Data are"),
    "task": (lambda f: (X, VALUES), {"task": "clustering"}, "clustering"),
    "no target": (lambda f: frame(), {}, "target=.*area, rooms"),
    "no such target": (lambda f: frame(), {"target": "prise"}, "Did you mean 'price'"),
    "empty frame": (lambda f: frame()[:0], {"target": "price"}, "0 samples"),
    "target alone": (lambda f: frame()[["price"]], {"target": "price"}, "no column besides"),
    "twins": (lambda f: pd.concat([frame(), frame()], axis=1), {"target": "price"}, "more than one column"),
    "missing": (lambda f: frame().replace({"rooms": {3: None}}), {"target": "price"}, "'rooms' has 1 values.* row 3"),
    "infinite": (
        lambda f: frame().replace({"rooms": {3: np.inf}}),
        {"target": "price"},
        "inf at row 3, column 'rooms'",
    ),
    "missing text": (lambda f: frame().replace({"colour": {"red": None}}), {"target": "price"}, "'colour' has 10"),
    "missing target": (lambda f: frame().replace({"rooms": {3: None}}), {"target": "rooms"}, "missing in 1 rows"),
    "names": (lambda f: frame().assign(id=[f"n{i}" for i in range(30)]), {"target": "price"}, "'id' has 30 different"),
    "times": (lambda f: frame().assign(at=pd.Timestamp("2020-01-01")), {"target": "price"}, "'at' has dtype datetime"),
    "no file": (lambda f: f / "none.csv", {"target": "price"}, "There is no file"),
    "no array file": (lambda f: str(f / "none.npy"), {"target": 0}, "There is no file"),
    "empty file": (empty_csv, {"target": "price"}, "cannot be read as a table"),
    "ragged file": (ragged_csv, {"target": "a"}, "cannot be read as a table"),
    "not parquet": (not_parquet, {"target": "a"}, "cannot be read as a table"),
    "not numpy": (not_numpy, {"target": 0}, "cannot be read as a NumPy array"),
    "other file": (lambda f: f / "data.xlsx", {"target": "a"}, "is not a table"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_said_in_a_sentence(case, tmp_path):
    make, options, said = BAD[case]
    with pytest.raises(KitError, match=said) as caught:
        from_user(make(tmp_path), **options)
    assert isinstance(caught.value, DataError | InvalidValueError | UnknownNameError)
    assert caught.value.exit_code == 2
    assert str(caught.value).endswith((".", "?"))


def test_an_unreadable_file(tmp_path, monkeypatch):
    """Tests may run as a user whom no permission stops, so the refusal is pandas'."""
    path = tmp_path / "secret.csv"
    path.write_text("a,b\n1,2\n")
    monkeypatch.setattr(pd, "read_csv", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(DataError, match="Permission denied"):
        from_user(path, target="a")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": np.array([0, 1, 2, 3])}, "row 3 has 3, but there are 3 classes, numbered 0 to 2"),
        ({"y": np.array([0, 1, -1, 2])}, "row 2 has -1"),
        ({"y": np.array([0.0, 1.0, 2.0, 1.0])}, "class numbers are whole"),
        ({"task": "clasification"}, "must be one of classification"),
        ({"x_validation": np.zeros((2, 2))}, "without y_validation"),
        ({"x_validation": np.zeros((0, 2)), "y_validation": np.zeros(0, int)}, "0 samples"),
        ({"x_validation": np.zeros((2, 2)), "y_validation": np.array([0, 7])}, "y_validation has labels out of range"),
        ({"task": "language", "tokens": 3}, "targets of the samples' shape"),
        ({"task": "language", "x": np.array([[0, 9]] * 4), "y": np.array([[9, 0]] * 4), "tokens": 3}, "from 0 to 9"),
    ],
)
def test_a_plugins_faulty_data_are_refused(changes, said):
    fair = {"x": np.ones((4, 2)), "y": np.array([0, 1, 2, 1]), "task": "classification", "classes": ("a", "b", "c")}
    with pytest.raises(DataError, match=said):
        Data(**(fair | changes))


def test_a_plugin_may_give_lists():
    assert Data(x=[[1.0], [2.0]], y=[0, 1], task="classification", classes=("a", "b")).x.shape == (2, 1)


def test_fingerprints_tell_contents_apart():
    base = fingerprint(from_user((X, LABELS)))
    assert base == fingerprint(from_user((X.tolist(), LABELS.copy())))
    assert base == fingerprint(from_user((np.asfortranarray(X), LABELS)))
    others = [
        (X + 1e-12, LABELS),
        (X, (LABELS + 1) % 3),
        (X, LABELS.astype(str)),
        (X[:, ::-1], LABELS),
        (X.astype(np.float32), LABELS),
        (X, LABELS, X[:5], LABELS[:5]),
    ]
    assert len({base, *(fingerprint(from_user(other)) for other in others)}) == 1 + len(others)


def test_small_memory_maps_are_read_large_ones_stay(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    small = from_user((np.load(tmp_path / "x.npy", mmap_mode="r"), VALUES))
    assert not small.streamed
    assert fingerprint(small) == fingerprint(from_user((X, VALUES)))
    monkeypatch.setattr(users, "RESIDENT_VALUES", 50)
    for large in (np.load(tmp_path / "x.npy", mmap_mode="r"), str(tmp_path / "x.npy")):
        data = from_user((large, VALUES))
        assert data.streamed
        assert isinstance(data.x, Mapped)
        assert np.array_equal(data.x[:], X)
