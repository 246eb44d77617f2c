"""The devices that PyTorch finds here, and whether one can do what is asked of it."""

from __future__ import annotations

import platform
from collections.abc import Callable

import torch

from kit.engine import DTYPES, DeviceReport, Dtype
from kit.errors import DeviceError


def find() -> list[DeviceReport]:
    """Every device that is there: the processor, each CUDA GPU, Apple's GPU."""
    return cpu() + cuda() + mps()


def cpu() -> list[DeviceReport]:
    threads = torch.get_num_threads()
    title = f"{platform.machine()}, {threads} thread{'s' * (threads > 1)}"
    return [DeviceReport(name="cpu", title=title, dtypes=DTYPES)]


def cuda() -> list[DeviceReport]:
    if not torch.cuda.is_available():
        return []
    found = []
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        whole = properties.major >= 8  # bfloat16 in hardware from Ampere on
        found.append(
            DeviceReport(
                name=f"cuda:{i}",
                title=properties.name,
                memory_bytes=properties.total_memory,
                dtypes=DTYPES if whole else DTYPES[:2],
            )
        )
    return found


def mps() -> list[DeviceReport]:
    if not torch.backends.mps.is_available():
        return []
    bfloat16 = torch.backends.mps.is_macos_or_newer(14, 0)
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16") if bfloat16 else ("float32",)  # Metal has no float64
    return [DeviceReport(name="mps", title="Apple GPU", memory_bytes=_mps_memory(), dtypes=dtypes)]


def _mps_memory() -> int | None:
    recommended: Callable[[], int] | None = getattr(torch.mps, "recommended_max_memory", None)
    return recommended() if recommended else None


def device(name: str, dtype: Dtype) -> torch.device:
    """The device of a name: `cpu`, `mps`, `cuda` (the first) or `cuda:1`.

    Raises `DeviceError` that names those that are there, or the precisions that this one has.
    """
    reports = {report.name: report for report in find()}
    report = reports.get("cuda:0" if name in ("cuda", "gpu") else name)
    if report is None:
        raise DeviceError(f"device '{name}' is not there; PyTorch finds: {', '.join(reports)}.")
    if dtype not in report.dtypes:
        raise DeviceError(f"device '{report.name}' has no {dtype}; it has {', '.join(report.dtypes)}.")
    return torch.device(report.name)


def peak_memory_bytes(name: str) -> int | None:
    """The most memory used on an accelerator since the last call; None where it is not counted."""
    if not name.startswith(("cuda", "gpu")) or not torch.cuda.is_available():
        return None
    here = torch.device(name.replace("gpu", "cuda"))
    peak = torch.cuda.max_memory_allocated(here)
    torch.cuda.reset_peak_memory_stats(here)
    return int(peak)
