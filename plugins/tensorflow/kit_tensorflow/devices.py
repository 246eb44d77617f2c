"""The devices that TensorFlow sees, named one by one, and the names that they are asked for by."""

from __future__ import annotations

import os
import platform
import re

from kit.engine import DTYPES, DeviceReport
from kit.errors import DeviceError
from kit_tensorflow.environment import quiet, tf

# "cuda" and "mps" too, so that an experiment moves between backends; "/GPU:0" is TensorFlow's own way to say it.
_GPU = re.compile(r"/?(?:device:)?(?:gpu|cuda|mps)(?::(\d+))?\Z", re.IGNORECASE)
_CPU = re.compile(r"/?(?:device:)?cpu(?::0)?\Z", re.IGNORECASE)

# What CUDA's driver says once a process can compute on its device no more: "the process must be terminated and
# relaunched" (cuda.h, CUresult). Where TensorFlow ends the process itself, as it often does, nothing need be read.
_GONE = re.compile(
    r"CUDA_ERROR_(ASSERT|CONTEXT_IS_DESTROYED|DEINITIALIZED|DEVICE_UNAVAILABLE|ECC_UNCORRECTABLE|HARDWARE_STACK_ERROR"
    r"|ILLEGAL_ADDRESS|ILLEGAL_INSTRUCTION|INVALID_ADDRESS_SPACE|INVALID_PC|LAUNCH_FAILED|LAUNCH_TIMEOUT"
    r"|MISALIGNED_ADDRESS|NVLINK_UNCORRECTABLE)"
)


def lost(error: BaseException) -> bool:
    """Whether an error says that the device answers no more. Memory that ran out (`ResourceExhaustedError`) does not.

    TensorFlow has no error of its own for it: it is an `InternalError`, or what the collective operations make of one,
    with the driver's word in its message.
    """
    told = isinstance(error, tf.errors.OpError) and not isinstance(error, tf.errors.ResourceExhaustedError)
    return told and _GONE.search(str(error)) is not None


def find() -> list[DeviceReport]:
    """The processor, then every graphics processor."""
    found = [DeviceReport(name="cpu", title=f"{platform.machine()}, {os.cpu_count()} cores")]
    with quiet():
        cards = tf.config.list_physical_devices("GPU")
    for i, card in enumerate(cards):
        details = tf.config.experimental.get_device_details(card)
        found.append(DeviceReport(name=f"gpu:{i}", title=details.get("device_name", card.name)))
    return found


def device(name: str, dtype: str) -> str:
    """TensorFlow's name of a device, "/CPU:0" or "/GPU:1". Raises `DeviceError` naming those that are there."""
    if dtype not in DTYPES:
        raise DeviceError(f"device '{name}' cannot compute in {dtype}; it can in {', '.join(DTYPES)}.")
    if _CPU.match(name):
        return "/CPU:0"
    card = _GPU.match(name)
    present = [report.name for report in find()]
    number = int(card.group(1) or 0) if card else -1
    if f"gpu:{number}" not in present:
        raise DeviceError(f"device '{name}' is not there; TensorFlow has: {', '.join(present)}.")
    return f"/GPU:{number}"
