"""Checkpoints: from where an attempt continues bit for bit.

One safetensors file, `checkpoint-<step>.safetensors`, put in its place atomically. The one before is removed only once
the new one is on the disk (fsync of file and folder), so that the death of the machine leaves one of them whole; an
attempt's first checkpoint replaces nothing and does not wait for the disk: without it the run starts anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import StoreError
from kit.store.damage import DamagedError
from kit.store.encoding import finite, owner, restored
from kit.store.files import make_folder, writing
from kit.store.log import LOG
from kit.store.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    import numpy as np

_NAME = re.compile(r"checkpoint-(\d{1,18})\.safetensors\Z")
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint as read."""

    step: int  # updates done
    arrays: dict[str, np.ndarray[Any, Any]]
    extra: dict[str, Any]  # JSON data as given, tuples as lists
    offset: int  # bytes of the attempt's log when it was taken; what follows is repeated by the attempt that continues


def write_checkpoint(folder: str | Path, step: int, arrays: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """Write an attempt's checkpoint, then remove the one before. Returns the file's name.

    arrays: name -> array of any shape. extra: JSON data, NumPy scalars allowed. Write the records that precede
    it first: it names the log's length. Raises `StoreError` (disk full, …): then the one before is still there.
    """
    folder = Path(folder)
    previous = checkpoint_files(folder)
    path = folder / f"checkpoint-{step}.safetensors"
    log = folder / LOG
    with writing(path):
        make_folder(folder)
        facts = {
            "format": FORMAT,
            "step": step,
            "offset": log.stat().st_size if log.exists() else 0,
            "extra": finite(extra),
        }
        write_tensors(path, arrays, facts, owner(folder), durable=bool(previous))
    for old in previous:
        if old != path:
            with suppress(OSError):  # it only takes up room
                old.unlink()
    return path.name


def read_checkpoint(folder: str | Path) -> Checkpoint | None:
    """An attempt's newest checkpoint that is whole, past any that are damaged; None if there is none.

    Raises `StoreError` for a checkpoint that a newer version wrote.
    """
    for path in checkpoint_files(Path(folder)):
        with suppress(OSError, DamagedError):
            return load_checkpoint(path)
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """One checkpoint. Raises `OSError`, `DamagedError`, and `StoreError` if a newer version wrote it."""
    arrays, facts = read_tensors(path, owner(path.parent))
    if facts["format"] > FORMAT:
        raise StoreError(f"The checkpoint {path} was written by a newer version of descentkit. Update descentkit.")
    if facts["step"] != checkpoint_step(path):
        raise DamagedError(f"{path} is damaged: it holds step {facts['step']}.")
    return Checkpoint(step=facts["step"], arrays=arrays, extra=restored(facts["extra"]), offset=facts["offset"])


def checkpoint_step(path: Path) -> int:
    match = _NAME.match(path.name)
    return int(match[1]) if match else -1


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of an attempt, newest first."""
    try:
        found = [path for path in folder.iterdir() if _NAME.match(path.name)]
    except OSError:
        return []
    return sorted(found, key=checkpoint_step, reverse=True)
