"""Facts of the machine that decide how fast a run is and what fits: cores, memory, disk, compiler."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def machine_facts() -> dict[str, Any]:
    """Platform, cores (all, usable by this process, a container's quota), memory and disk in bytes."""
    import psutil

    memory = psutil.virtual_memory()
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "cores_usable": cores(),
        "cores_quota": core_quota(),
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "memory_limit_bytes": memory_limit(),
        "disk_free_bytes": shutil.disk_usage(".").free,
        "thread_variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "nvidia_driver": shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """The processors that this process may use, a container's quota included."""
    present = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(present, int(core_quota() or present)))


def core_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The cores that a container's quota allows, e.g. 1.5; None without one (cgroup v2, else v1)."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def memory_limit(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The memory that a container may use, in bytes; None without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        # cgroup v1 writes "no limit" as the largest multiple of a page in 63 bits.
        return None if text == "max" or int(text) >= 2**62 else int(text)
    return None


def allowed_memory() -> int:
    """The memory that this process may use, in bytes: the machine's, or what a container's limit leaves of it."""
    import psutil

    total = int(psutil.virtual_memory().total)
    return min(total, memory_limit() or total)


def compiler_facts() -> dict[str, Any]:
    """The C++ compiler and the Python headers that torch.compile needs: its CPU kernels include Python.h."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    command = os.environ.get("CXX") or usual
    path = shutil.which(command)
    headers = Path(sysconfig.get_path("include"))
    return {
        "command": command,
        "path": path,
        "version": _first_line([path, "--version"]) if path else None,
        "python_headers": str(headers) if (headers / "Python.h").exists() else None,
    }


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(done.stdout.splitlines()), None) if done.returncode == 0 else None
