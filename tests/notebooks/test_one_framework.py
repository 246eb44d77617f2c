"""Notebooks that use every framework there is also run with only one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kit.guide.recording import record

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["torch", "tensorflow"])
@pytest.mark.parametrize("name", ["00_start_here", "06_two_frameworks"])
def test_with_the_other_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, missing: str) -> None:
    monkeypatch.setenv("KIT_BLOCK", missing)
    path = tmp_path / f"{name}.ipynb"
    shutil.copy(NOTEBOOKS / path.name, path)
    assert record(path) > 8  # a check that fails would raise
    said = json.dumps(json.loads(path.read_text()), ensure_ascii=False)
    assert "only one framework is installed" in said.lower()
