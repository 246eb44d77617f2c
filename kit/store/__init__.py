"""What was recorded, on disk: append-only logs, checkpoints, sealed runs, and an index over them.

    store = Store("runs")
    store.add(run_id, specification); attempt = store.begin(run_id)         # the caller
    log = AttemptLog(attempt.folder); log.append({"kind": "start", …})      # the worker, which never opens the index
    store.finish(run_id, attempt.number); store.outcome(run_id).curves

    <store>/store.json                          the format, so that an older version refuses a newer store
    <store>/runs/<id>/specification.json        what the run is
    <store>/runs/<id>/attempt-<n>/log.jsonl     what was recorded: the truth, from which the rest can be rebuilt
    <store>/runs/<id>/attempt-<n>/checkpoint-<step>.safetensors
    <store>/runs/<id>/sealed.safetensors        an ended run's curves as columns: a cache
    <store>/index.sqlite                        one row for each run: a cache
    <store>/strategies/<key>.json               the training loop that timing chose for a program

Acknowledged means: `write` has returned, so the record outlives the process (kill -9 included). Everything that is read
back carries a checksum that names its run, and nothing read is ever executed: no pickle, no import paths.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Imported on first use: a worker writes logs and checkpoints, and needs neither SQLite nor pandas.
_HOMES = {
    "Attempt": "kit.store.layout",
    "AttemptLog": "kit.store.log",
    "Checkpoint": "kit.store.checkpoint",
    "RunSummary": "kit.store.summary",
    "Store": "kit.store.store",
    "read_checkpoint": "kit.store.checkpoint",
    "read_log": "kit.store.log",
    "write_checkpoint": "kit.store.checkpoint",
}
__all__ = [
    "Attempt",
    "AttemptLog",
    "Checkpoint",
    "RunSummary",
    "Store",
    "read_checkpoint",
    "read_log",
    "write_checkpoint",
]

if TYPE_CHECKING:
    from kit.store.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
    from kit.store.layout import Attempt
    from kit.store.log import AttemptLog, read_log
    from kit.store.store import Store
    from kit.store.summary import RunSummary


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kit.store' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
