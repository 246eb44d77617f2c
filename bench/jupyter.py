"""A JupyterLab of its own and Debian's Chromium, for tests and measurements in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TOKEN = "kit-browser-tests"
SIZE = {"width": 1280, "height": 1000}
START_SECONDS = 90

# Nothing is fetched from elsewhere, and a notebook is saved when we say so.
SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
    "docmanager-extension/plugin": {"autosave": False},
}


class Server:
    """A JupyterLab in a folder of its own. `url` is its address, `root` where its notebooks are."""

    def __init__(self, folder: Path, application: str = "jupyterlab", **environment: str) -> None:
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = folder / "settings"
        for name, values in SETTINGS.items():
            path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self.log = folder / "server.log"
        command = [sys.executable, "-m", application, "--no-browser", "--expose-app-in-browser"]
        command += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.root}"]
        command += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.allow_root=True", "--ServerApp.log_level=WARN"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**os.environ, **places(folder, settings), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await()

    def _await(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/api/status?token={TOKEN}", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        self.close()
        raise RuntimeError(f"JupyterLab did not start: {self.log.read_text()[-2000:]}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}?token={TOKEN}", timeout=10) as answer:
            return json.load(answer)

    def kernels(self) -> list[str]:
        return [kernel["id"] for kernel in self.get("api/kernels")]

    def end_kernels(self) -> None:
        for kernel in self.kernels():
            request = urllib.request.Request(f"{self.url}/api/kernels/{kernel}?token={TOKEN}", method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def places(folder: Path, settings: Path) -> dict[str, str]:
    """Everything that Jupyter writes goes into the folder."""
    found = {"JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    return found | {name: str(folder / name.lower()) for name in names}


class Complaints(list[str]):
    """What pages should not have done, but for what is allowed: ask another host, write an error, fail."""

    def __init__(self, address: str, allow: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.own = (address, address.replace("http", "ws"), "blob:", "data:")
        self.allow = allow

    def watch(self, page: Any) -> None:
        page.on("request", lambda request: request.url.startswith(self.own) or self._take(f"asked {request.url}"))
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._take(f"page error: {error}"))

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self._take(f"console: {message.text} ({message.location.get('url', '')})")

    def _take(self, complaint: str) -> None:
        if not any(text in complaint for text in self.allow):
            self.append(complaint)


class Notebook:
    """An open notebook. `page` is Playwright's; allow: parts of complaints about it that are none."""

    def __init__(self, server: Server, context: Any, path: str, allow: tuple[str, ...] = ()) -> None:
        self.server, self.context, self.path = server, context, path
        self.complaints = Complaints(server.url, allow)
        self.page = self.open()

    def open(self) -> Any:
        """The notebook in a tab of its own, and in a workspace of its own: the server's common one would bring the
        tabs of whoever came before, hidden, with labs in them."""
        page = self.context.new_page()
        self.complaints.watch(page)
        page.goto(f"{self.server.url}/lab/workspaces/{uuid.uuid4().hex}/tree/{self.path}?token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        return page

    def command(self, name: str, page: Any = None) -> None:
        """One of JupyterLab's own commands."""
        (page or self.page).evaluate("name => void window.jupyterapp.commands.execute(name)", name)

    def await_kernel(self) -> None:
        status = "window.jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status"
        self.page.wait_for_function(f"() => {status} === 'idle'", timeout=60_000)

    def run_all(self) -> None:
        self.await_kernel()
        self.command("notebook:run-all-cells")

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def output(self, cell: int) -> str:
        return str(self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea").inner_text())


def written(path: Path, cells: list[str]) -> None:
    """A notebook with code cells."""
    fresh: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    code = [{**fresh, "id": f"cell-{i}", "source": source} for i, source in enumerate(cells)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": code, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
