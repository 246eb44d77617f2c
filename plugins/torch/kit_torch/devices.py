"""The devices that PyTorch sees, named one by one."""

from __future__ import annotations

import os
import platform

import torch

from kit.engine import DTYPES, DeviceReport
from kit.errors import DeviceError


def find() -> list[DeviceReport]:
    """The processor, every CUDA device, Apple's if it is there."""
    found = [DeviceReport(name="cpu", title=f"{platform.machine()}, {os.cpu_count()} cores")]
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(i)
        dtypes = DTYPES if torch.cuda.is_bf16_supported() else DTYPES[:2]
        found.append(
            DeviceReport(name=f"cuda:{i}", title=properties.name, memory_bytes=properties.total_memory, dtypes=dtypes)
        )
    if torch.backends.mps.is_available():
        found.append(DeviceReport(name="mps", title="Apple GPU", dtypes=("float32", "bfloat16")))
    return found


def device(name: str, dtype: str) -> torch.device:
    """The device of a name; `cuda` is the first. Raises `DeviceError` naming those that are there."""
    present = {report.name: report for report in find()}
    wanted = "cuda:0" if name in ("cuda", "gpu", "gpu:0") else name
    if wanted not in present:
        raise DeviceError(f"device '{name}' is not there; PyTorch has: {', '.join(present)}.")
    if dtype not in present[wanted].dtypes:
        raise DeviceError(f"device '{name}' cannot compute in {dtype}; it can in {', '.join(present[wanted].dtypes)}.")
    return torch.device(wanted)
