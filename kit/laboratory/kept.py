"""What was kept: sessions with a name, their runs in the user's store, to be laid over later ones.

kept = Kept(Store("runs"))
kept.keep("small steps", results, lanes)          # copies the runs, writes runs/kept/small steps.json
kept.names(); kept.read("small steps")            # [Overlay: a lane with its curves, …]
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError, KitError, UnknownNameError, nearest
from kit.store import AttemptLog, Store, read_checkpoint, read_log, write_checkpoint
from kit.store.documents import read_document, write_document
from kit.store.files import make_folder, writing

if TYPE_CHECKING:
    from kit.outcome import Outcome

_NAME = re.compile(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,59}\Z")


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """A lane of a kept session."""

    session: str
    lane: str
    runs: tuple[Outcome, ...]


class Kept:
    """Kept sessions of one store. Nothing is overwritten and nothing is removed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.path / "kept"

    def names(self) -> list[str]:
        """Oldest first."""
        try:
            files = [path for path in self.folder.iterdir() if path.suffix == ".json"]
        except OSError:
            return []
        return [path.stem for path in sorted(files, key=lambda path: (path.stat().st_mtime, path.name))]

    def free_name(self) -> str:
        """A name that is not taken: `run 1`, `run 2`, …"""
        taken, number = set(self.names()), 1
        while f"run {number}" in taken:
            number += 1
        return f"run {number}"

    def keep(self, name: str, source: Store, lanes: Sequence[tuple[str, Sequence[str]]]) -> str:
        """Copy runs into the store, and remember which lane they were. lanes: (name, run ids) in order.

        A run that the store holds as done already is not copied again. Returns the name.
        Raises `InvalidValueError` for a name that is empty, taken or no file's; `StoreError`.
        """
        name = name.strip()
        if not _NAME.match(name):
            raise InvalidValueError(
                f"The name {name!r} is not valid; it must have 1 to 60 characters, without slashes, not beginning "
                "with a dot."
            )
        if name in self.names():
            raise InvalidValueError(f"Something is kept as '{name}' already; choose another name.")
        for run_id in dict.fromkeys(run for _, runs in lanes for run in runs):
            copy_run(source, self.store, run_id)
        content = {"time": time.time(), "lanes": [{"name": lane, "runs": list(runs)} for lane, runs in lanes]}
        path = self._path(name)
        with writing(path):
            make_folder(self.folder)
            write_document(path, name, content)
        return name

    def read(self, name: str) -> list[Overlay]:
        """The lanes of a kept session. Raises `UnknownNameError`, and `StoreError` for a damaged one."""
        try:
            content: dict[str, Any] = read_document(self._path(name), name)
        except OSError:
            known = ", ".join(nearest(name, self.names())) or "nothing"
            raise UnknownNameError(f"Nothing is kept as '{name}' in {self.store.path}. It has: {known}.") from None
        return [
            Overlay(session=name, lane=str(lane["name"]), runs=tuple(self.store.outcomes(lane["runs"])))
            for lane in content["lanes"]
        ]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def copy_run(source: Store, target: Store, run_id: str) -> None:
    """Copy the latest attempt at a run, record by record: checksums are bound to the attempt's own place."""
    if target.status(run_id) == "done":
        return
    target.add(run_id, source.specification(run_id))
    attempts = source.layout.attempts(run_id)
    attempt = target.begin(run_id)
    log = AttemptLog(attempt.folder)
    try:
        if attempts:
            checkpoint = read_checkpoint(attempts[-1].folder)
            if checkpoint is not None:
                write_checkpoint(attempt.folder, checkpoint.step, checkpoint.arrays, checkpoint.extra)
            for record in read_log(attempts[-1].folder / "log.jsonl"):
                log.append({key: value for key, value in record.items() if key != "crc"})
    finally:
        log.close()
    target.finish(run_id, attempt.number)


def readable(kept: Kept, name: str) -> tuple[list[Overlay], str]:
    """(lanes, "") or ([], why they cannot be read)."""
    try:
        return kept.read(name), ""
    except KitError as error:
        return [], str(error)
