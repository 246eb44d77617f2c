"""The NumPy namespace is the reference; the check finds what a wrong one does otherwise."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kit.rules import numpy_namespace
from kit.rules.conformance import namespace_faults
from kit.rules.namespace import Namespace


def faults(**replaced: Any) -> list[str]:
    functions = {name: getattr(numpy_namespace, name) for name in dir(Namespace) if not name.startswith("_")}
    xp: Any = SimpleNamespace(**functions | replaced)
    return namespace_faults(xp, to_backend=np.asarray, to_numpy=np.asarray)


def test_numpy_namespace_offers_the_protocol() -> None:
    assert faults() == []


def reduce_all(x: Any, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """torch.sum's way with an empty tuple."""
    return np.sum(x, axis=axes or None, keepdims=keepdims)


WRONG = {
    "sum": reduce_all,
    "mean": lambda x, axes, keepdims=False: np.mean(x, axis=axes),
    "maximum": np.fmax,  # lets NaN go
    "transpose": np.transpose,  # all axes
    "sign": lambda x: np.where(x >= 0, 1, -1).astype(x.dtype),
    "full_like": lambda x, value: np.full(x.shape, value),  # float64 whatever x is
    "reshape": lambda x, shape: np.reshape(x, shape, order="F"),
    "epsilon": lambda x: 2.0**-23,
    "tiny": lambda x: np.finfo(x.dtype).smallest_subnormal,
    "matmul": lambda x, y: (x.astype(np.float16) @ y.astype(np.float16)).astype(x.dtype),
}


@pytest.mark.parametrize("name", WRONG)
def test_check_finds_what_is_wrong(name: str) -> None:
    assert any(fault.startswith(f"{name}(") for fault in faults(**{name: WRONG[name]}))


def test_check_reports_what_raises() -> None:
    def broken(x: Any) -> Any:
        raise TypeError("no such kernel")

    assert faults(sqrt=broken)[0] == "sqrt(x) in float32 raised TypeError: no such kernel."


def test_importing_the_rules_imports_no_framework() -> None:
    heavy = "{'numpy', 'torch', 'tensorflow', 'pandas'} & set(sys.modules)"
    code = f"import sys, kit.rules; [r.record() for r in kit.rules.ALL]; print({heavy} or 'none')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "none"
