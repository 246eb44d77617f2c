"""What it costs to begin: processor seconds of a whole process, Python's own start included, and the main job."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "python": ["-c", "pass"],
    "import kit": ["-c", "import kit"],
    "kit plugins": ["-m", "kit", "plugins"],
    "kit --help": ["-m", "kit", "--help"],
}


def processor_seconds(arguments: list[str]) -> float:
    """User and system time of one process and its children."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"`{' '.join(arguments)}` ended with {process.returncode}.")
    return used.ru_utime + used.ru_stime


def startup(turns: int) -> dict[str, float]:
    """Median processor seconds of each command, taken in turns after one that warms the disk's cache."""
    measured: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(turns + 1):
        for name, arguments in COMMANDS.items():
            seconds = processor_seconds(arguments)
            if turn:
                measured[name].append(seconds)
    return {name: statistics.median(values) for name, values in measured.items()}


def demo() -> float:
    """Seconds of `kit compare` without options, in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        out, store = str(Path(folder) / "out"), str(Path(folder) / "runs")
        command = [sys.executable, "-m", "kit", "compare", "--out", out, "--store", store]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        return time.perf_counter() - began
