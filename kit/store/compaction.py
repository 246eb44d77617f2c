"""Making a store smaller: what of a run's checkpoints nobody can need any more.

A run that is to be continued needs its furthest checkpoint, whole. One that is done needs its final parameters: the
optimizer's slots, twice as large for Adam, have done their work. The logs stay: they are the truth.
"""

from __future__ import annotations

import os
from pathlib import Path

from kit.store.checkpoint import checkpoint_files, checkpoint_step, load_checkpoint, write_checkpoint
from kit.store.damage import DamagedError
from kit.store.files import sweep, writing
from kit.store.layout import Layout
from kit.store.log import has_writer


def compact_run(layout: Layout, run_id: str, *, done: bool) -> None:
    """Keep the furthest checkpoint that is whole, and of a done run only the parameters in it. Raises `StoreError`."""
    attempts = layout.attempts(run_id)
    if any(has_writer(attempt.folder) for attempt in attempts):
        return
    files = [path for attempt in attempts for path in checkpoint_files(attempt.folder)]
    kept: Path | None = None
    for path in sorted(files, key=lambda path: (checkpoint_step(path), path.parent.name), reverse=True):
        with writing(path):
            if kept is not None:
                path.unlink()
                continue
            try:
                checkpoint = load_checkpoint(path)
            except (OSError, DamagedError):
                continue  # the store's notes name it; it is no matter of space
            kept = path
            evaluated = {name: array for name, array in checkpoint.arrays.items() if name.startswith("evaluated/")}
            if done and evaluated and len(evaluated) < len(checkpoint.arrays):
                write_checkpoint(path.parent, checkpoint.step, evaluated, checkpoint.extra)
    for attempt in attempts:
        sweep(attempt.folder)


def size_of(folder: Path) -> int:
    """Bytes of all files, links not followed."""
    return sum(os.lstat(os.path.join(parent, name)).st_size for parent, _, names in os.walk(folder) for name in names)
