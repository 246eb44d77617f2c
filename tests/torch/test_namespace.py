"""The array functions that rules use, in PyTorch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from kit.rules.conformance import namespace_faults  # noqa: E402
from kit_torch import xp  # noqa: E402

pytestmark = pytest.mark.torch


def test_the_namespace_agrees_with_numpy() -> None:
    faults = namespace_faults(xp, to_backend=torch.from_numpy, to_numpy=lambda x: x.numpy())
    assert faults == []
