"""The NumPy backend for every test of the lab: it trains for real, loads no framework, and faults on demand."""

from pathlib import Path

import pytest

BACKEND = str(Path(__file__).parents[1] / "numpy_backend")


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.syspath_prepend(BACKEND)
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy")
    monkeypatch.delenv("KIT_STORE", raising=False)


@pytest.fixture
def quick():
    """What a lab needs to end within a second."""
    return {"dataset": "iris", "model": "linear", "budget": 40, "batch_size": 16, "dtype": "float64"}


@pytest.fixture
def make(tmp_path, quick):
    """`make(["sgd", "adam"], replicates=2)`: a lab on the NumPy backend with a store of its own."""
    import kit

    def lab(optimizer=("minibatch", "adam"), **options):
        return kit.lab(optimizer, **{"replicates": 2, "store": tmp_path / "runs", **quick, **options})

    return lab


@pytest.fixture
def slow():
    """A model that takes 0.01 s a step."""
    import kit

    return kit.model("faulty", seconds=0.01)
