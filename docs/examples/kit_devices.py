"""Intel's accelerators, as PyTorch's `xpu` devices: listed where there are any."""

import kit
from kit.records import DeviceSpec


def find():
    """Runs in the backend's worker; one report for each device that is there."""
    import torch

    from kit.engine import DeviceReport

    if not torch.xpu.is_available():
        return []
    return [
        DeviceReport(name=f"xpu:{i}", title=torch.xpu.get_device_name(i), dtypes=("float32", "bfloat16"))
        for i in range(torch.xpu.device_count())
    ]


@kit.hookimpl
def kit_devices():
    yield DeviceSpec(
        name="xpu", backend="torch", find=f"{__name__}:find", requires=("torch",), dtypes=("float32", "bfloat16"),
        help="Intel's accelerators.",
    )  # fmt: skip
