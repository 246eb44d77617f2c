"""`kit lab`: the lab as an application, in Voilà."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.jupyter import Complaints, free_port, places
from tests.browser.conftest import NUMPY
from tests.browser.lab_page import QUICK, LabPage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process]]:
    """(address, process) of `kit lab` on the app notebook, whose cell makes a lab of the NumPy backend."""
    folder = tmp_path_factory.mktemp("application")
    notebook = json.loads((ROOT / "notebooks" / "lab-app.ipynb").read_text())
    notebook["cells"][-1]["source"] = QUICK
    (folder / "lab-app.ipynb").write_text(json.dumps(notebook))
    port = free_port()
    path = os.pathsep.join(filter(None, [NUMPY, os.environ.get("PYTHONPATH", "")]))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kit", "lab", ".", "--", f"--port={port}", "--no-browser"],
            cwd=folder,
            env={**os.environ, **places(folder, folder / "settings"), "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        )
    try:
        await_port(port, process, folder / "log")
        yield f"http://localhost:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def await_port(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("localhost", port), timeout=5).close()
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def until_no_kernel(process: psutil.Process, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while process.children(recursive=True):
        assert time.monotonic() < deadline, process.children(recursive=True)
        time.sleep(0.1)


def test_the_application_trains_and_ends_with_its_page(application: Any, browser: Any) -> None:
    address, process = application
    context = browser.new_context(viewport={"width": 420, "height": 900}, color_scheme="dark")
    page = context.new_page()
    complaints = Complaints(address)
    complaints.watch(page)
    page.goto(address)
    lab = LabPage(page)
    lab.button("Run").click()
    lab.until_said("Done: 4 runs")
    assert lab.points() > 0
    assert lab.root.get_attribute("data-theme") == "dark"  # as the system, here by the browser's word
    assert page.title() == "The lab"
    assert page.get_by_text("Choose a problem").is_visible()
    assert not page.get_by_text("Shift and Enter run the cell").is_visible()  # that is for notebooks
    assert lab.root.evaluate("root => root.scrollWidth <= root.clientWidth")  # nothing stands out of a narrow window
    page.close(run_before_unload=True)
    until_no_kernel(process)
    context.close()
    assert complaints == []
