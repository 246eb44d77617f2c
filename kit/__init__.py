"""descentkit: find out, on your own model, which optimizer to choose, how to set its learning rate, and what it costs.

    import kit
    results = kit.compare(optimizer=["sgd", "adam"], backend=["torch", "tensorflow"], replicates=3)
    print(results.table())

Names are imported when they are first used, so that `import kit` is quick and loads no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Budget": "kit.experiment",
    "Experiment": "kit.experiment",
    "Study": "kit.study",
    "Results": "kit.results",
    "Run": "kit.results",
    "Store": "kit.store",
    "Registry": "kit.registry",
    "KitError": "kit.errors",
    "compare": "kit.api",
    "dataset": "kit.api",
    "lab": "kit.api",
    "log_grid": "kit.api",
    "loss": "kit.api",
    "model": "kit.api",
    "open_store": "kit.api",
    "optimizer": "kit.api",
    "probe": "kit.api",
    "schedule": "kit.api",
    "sweep": "kit.api",
    "hookimpl": "kit.hookspecs",
}
__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from kit.api import compare, dataset, lab, log_grid, loss, model, open_store, optimizer, probe, schedule, sweep
    from kit.errors import KitError
    from kit.experiment import Budget, Experiment
    from kit.hookspecs import hookimpl
    from kit.registry import Registry
    from kit.results import Results, Run
    from kit.store import Store
    from kit.study import Study


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kit' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
