"""The NumPy backend for every test of this folder: it trains for real, loads no framework, and faults on demand."""

from pathlib import Path

import pytest

BACKEND = str(Path(__file__).parents[1] / "numpy_backend")


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.syspath_prepend(BACKEND)
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy")
    monkeypatch.delenv("KIT_STORE", raising=False)


@pytest.fixture
def base():
    """A quick experiment on the NumPy backend, in float64."""
    import kit

    return kit.Experiment(
        dataset="iris", model="linear", optimizer="adam", backend="numpy", dtype="float64", budget=40, batch_size=16
    )
