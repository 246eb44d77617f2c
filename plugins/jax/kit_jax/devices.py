"""The devices that JAX finds here, and whether one can do what is asked of it."""

from __future__ import annotations

import platform
import re
from typing import Any

from kit.engine import DTYPES, DeviceReport, Dtype
from kit.errors import DeviceError
from kit_jax.environment import jax

# JAX's own names of a platform -> ours. "gpu" may be asked for too, so that an experiment moves between backends.
ASKED = re.compile(r"(cpu|cuda|gpu|tpu)(?::(\d+))?\Z")
NO_FLOAT64: tuple[Dtype, ...] = ("float32", "bfloat16")


def find() -> list[DeviceReport]:
    """Every device that is there: the processor, each GPU, each TPU."""
    return cpu() + cuda() + tpu()


def cpu() -> list[DeviceReport]:
    return [DeviceReport(name="cpu", title=f"{platform.machine()}, by XLA {jax.__version__}", dtypes=DTYPES)]


def cuda() -> list[DeviceReport]:
    return [
        DeviceReport(name=f"cuda:{i}", title=device.device_kind, memory_bytes=_memory(device), dtypes=DTYPES)
        for i, device in enumerate(_of("gpu"))
    ]


def tpu() -> list[DeviceReport]:
    return [
        DeviceReport(name=f"tpu:{i}", title=device.device_kind, memory_bytes=_memory(device), dtypes=NO_FLOAT64)
        for i, device in enumerate(_of("tpu"))
    ]


def _of(kind: str) -> list[Any]:
    try:
        return list(jax.devices(kind))
    except RuntimeError:  # this build of JAX has no such platform, or the machine no such device
        return []


def _memory(device: Any) -> int | None:
    return (device.memory_stats() or {}).get("bytes_limit")


def device(name: str, dtype: Dtype) -> Any:
    """JAX's device of a name: `cpu`, `cuda` (the first), `cuda:1`, `tpu`.

    Raises `DeviceError` that names those that are there, or the precisions that this one has.
    """
    asked = ASKED.match(name)
    kind, number = (asked.group(1), int(asked.group(2) or 0)) if asked else ("", 0)
    ours = {"gpu": "cuda"}.get(kind, kind)
    reports = find()
    named = "cpu" if ours == "cpu" and number == 0 else f"{ours}:{number}"
    report = next((report for report in reports if report.name == named), None)
    if report is None:
        raise DeviceError(f"device '{name}' is not there; JAX finds: {', '.join(r.name for r in reports)}.")
    if dtype not in report.dtypes:
        raise DeviceError(f"device '{report.name}' has no {dtype}; it has {', '.join(report.dtypes)}.")
    return _of({"cuda": "gpu"}.get(ours, ours))[number]


def peak_memory_bytes(name: str) -> int | None:
    """The most memory used on an accelerator since the process began (JAX cannot count anew); None on a CPU."""
    if name.startswith("cpu"):
        return None
    found = device(name, "float32").memory_stats() or {}
    peak = found.get("peak_bytes_in_use")
    return None if peak is None else int(peak)
