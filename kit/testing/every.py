"""Every check, registered: importing this fills `kit.testing.checks.CHECKS`, in the order in which they are listed."""

from kit.testing import (
    backends,
    components,
    datasets,
    devices,
    losses,
    models,
    natives,
    optimizers,
    plugins,
    probes,
    rules,
    schedules,
)
from kit.testing.checks import CHECKS

__all__ = [
    "CHECKS", "backends", "components", "datasets", "devices", "losses", "models", "natives", "optimizers", "plugins",
    "probes", "rules", "schedules",
]  # fmt: skip
