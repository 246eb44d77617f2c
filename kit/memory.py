"""The most memory that this process used."""

from __future__ import annotations

import contextlib
from pathlib import Path


def reset_peak() -> None:
    """Start measuring anew, where the operating system can (Linux: proc(5), clear_refs 5)."""
    with contextlib.suppress(OSError):  # elsewhere the peak is that of the process's whole life
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int:
    """Resident, at its peak, framework included."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))
