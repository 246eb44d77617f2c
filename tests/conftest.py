"""What tests of every area share."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., str]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands first on the path, here and in child processes; forgotten after."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("KIT_PLUGINS", raising=False)
    monkeypatch.delenv("KIT_BLOCK", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """Install a fake plugin: `install("kit-extra", "code of its module")`; returns the distribution's name.

    entry_points: lines `name = target`; by default the module, under its own name. requires: Requires-Dist.
    """

    def build(
        distribution: str,
        source: str | None = "",
        *,
        version: str = "1.0",
        entry_points: str | None = None,
        requires: tuple[str, ...] = (),
    ) -> str:
        module = distribution.replace("-", "_")
        if source is not None:
            (site / f"{module}.py").write_text(textwrap.dedent(source))
        folder = site / f"{module}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        declared = entry_points if entry_points is not None else f"{module} = {module}"
        (folder / "entry_points.txt").write_text(f"[kit.plugins]\n{textwrap.dedent(declared)}\n")
        return distribution

    return build
