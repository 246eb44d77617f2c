"""A real JupyterLab and a real browser (`bench/jupyter.py`), one of each for all tests here.

`notebook(cells)` writes a notebook, opens it, and gives what one does with it. A page that asks another host for
anything, or writes an error to its console, fails its test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.jupyter import ARGUMENTS, CHROMIUM, SIZE, Notebook, Server, written

NUMPY = str(Path(__file__).parents[1] / "numpy_backend")


def missing() -> str:
    """What these tests need and is not there; empty where all is."""
    if CHROMIUM is None:
        return "Chromium is not installed: apt-get install chromium"
    try:
        import playwright.sync_api  # noqa: F401
    except ModuleNotFoundError:
        return "Playwright is not installed: pip install playwright"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    if ours and (reason := missing()):
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab whose kernels see the NumPy backend besides what is installed."""
    path = os.pathsep.join(filter(None, [NUMPY, os.environ.get("PYTHONPATH", "")]))
    running = Server(tmp_path_factory.mktemp("jupyter"), PYTHONPATH=path)
    yield running
    running.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield opened
        opened.close()


Opener = Callable[..., Notebook]


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    opened = browser.new_context(viewport=SIZE)
    opened.set_default_timeout(30_000)
    yield opened
    opened.close()


@pytest.fixture
def notebook(server: Server, context: Any, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """`notebook(["import kit", …])` or `notebook(path)`: opened in JupyterLab. In the end nothing may be wrong.

    allow: parts of complaints that a test provokes.
    """
    opened: list[Notebook] = []

    def make(source: list[str] | Path, allow: tuple[str, ...] = ()) -> Notebook:
        name = f"{request.node.name.partition('[')[0]}-{len(opened)}.ipynb"
        if isinstance(source, Path):
            shutil.copy2(source, server.root / name)
        else:
            written(server.root / name, source)
        opened.append(Notebook(server, context, name, allow))
        return opened[-1]

    yield make
    server.end_kernels()
    assert [complaint for book in opened for complaint in book.complaints] == []
