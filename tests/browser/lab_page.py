"""Labs to be tried in a browser, and what one does with one."""

from __future__ import annotations

import time
from typing import Any

START = """
import os
os.environ["KIT_PLUGINS"] = "builtin,numpy"
import kit
"""
# About 500 steps a second and lane: long enough to be watched, stopped and reloaded.
LAB = (
    START
    + """
slow = kit.model("faulty", seconds=0.002)
lab = kit.lab(["minibatch", "adam"], model=slow, dataset="iris", batch_size=16, budget={budget}, replicates=2)
lab
"""
)
QUICK = LAB.replace("seconds=0.002", "seconds=0.0").format(budget=60)
LONG = LAB.format(budget=100_000)


class LabPage:
    """What one does with a lab. `root` is its element."""

    def __init__(self, page: Any, number: int = 0) -> None:
        self.page = page
        self.root = page.locator(".kit-lab").nth(number)
        self.root.wait_for(timeout=60_000)

    def button(self, name: str) -> Any:
        return self.root.get_by_role("button", name=name, exact=True)

    def said(self) -> str:
        return str(self.root.locator(".kit-said").inner_text())

    def fault(self) -> str:
        return str(self.root.locator(".kit-alert").inner_text())

    def until_said(self, text: str, seconds: float = 40) -> None:
        self.root.locator(".kit-said", has_text=text).wait_for(timeout=seconds * 1000)

    def points(self) -> int:
        return int(self.root.evaluate("root => [...root.kitLab.curves.map.values()].reduce((n, c) => n + c.count, 0)"))

    def until_points(self, more_than: int = 0, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.points() <= more_than:
            assert time.monotonic() < deadline, f"no points came beyond {self.points()}; the lab says {self.said()!r}"
            self.page.wait_for_timeout(50)

    def stop(self) -> float:
        """Press Stop; seconds until the lab says that it has."""
        began = time.monotonic()
        self.button("Stop").click()
        self.until_said("Stopped")
        return time.monotonic() - began
