"""Every executor that is installed, and the NumPy backend, which trains for real and faults on demand."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import kit.recorder

BACKEND = Path(__file__).parents[1] / "numpy_backend"
RAY = all(importlib.util.find_spec(name) for name in ("ray", "kit_ray"))
EXECUTORS = ("inline", "processes", *(["ray"] if RAY else []))


@pytest.fixture(autouse=True, scope="module")
def numpy_backend() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BACKEND))
        patch.setenv("PYTHONPATH", str(BACKEND))
        patch.setenv("KIT_PLUGINS", "builtin,numpy,ray" if RAY else "builtin,numpy")
        patch.setenv("KIT_NUMPY_CHECKPOINT_SECONDS", "0.1")
        for name in (
            "CHECKPOINT_SECONDS",
            "CHECKPOINT_SHARE",
        ):  # set by the backend, where it is
            patch.setattr(kit.recorder, name, getattr(kit.recorder, name))
        patch.delenv("KIT_STORE", raising=False)
        yield


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[name for name in EXECUTORS if name != "inline"])
def distant(request: pytest.FixtureRequest) -> str:
    """An executor whose workers are processes of their own."""
    return str(request.param)
