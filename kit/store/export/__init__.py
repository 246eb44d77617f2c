"""Runs in other tools' formats.

    export(store.outcomes(), "parquet", "curves.parquet")
    export(store.outcome(run_id), "tensorboard", "logs")

Exports are copies to look at elsewhere: a store is never read back from one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from kit.errors import unknown
from kit.outcome import Outcome

Exporter = Callable[[Sequence[Outcome], str], str]

# Imported when asked for: two of them need packages of their own.
_EXPORTERS = {
    "csv": "kit.store.export.table:csv",
    "parquet": "kit.store.export.table:parquet",
    "tensorboard": "kit.store.export.tensorboard:tensorboard",
    "mlflow": "kit.store.export.mlflow:mlflow",
}
FORMATS = tuple(_EXPORTERS)


def export(outcomes: Outcome | Sequence[Outcome], to: str, path: str | Path) -> str:
    """Write runs for another tool; returns where they are.

    to: one of `FORMATS`. path: a file for csv and parquet; a folder for tensorboard; for mlflow a tracking address
    (`sqlite:///…`, `https://…`), a database file (`….db`) or a folder. Runs exported there before are replaced.
    Raises `UnknownNameError` for another format, `MissingPackageError` with the command that mends it, `StoreError` if
    `path` cannot be written.
    """
    if to not in _EXPORTERS:
        raise unknown("export format", to, FORMATS)
    module, _, name = _EXPORTERS[to].partition(":")
    exporter: Exporter = getattr(importlib.import_module(module), name)
    return exporter([outcomes] if isinstance(outcomes, Outcome) else list(outcomes), str(path))
