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
