"""Where things stand in a store's folder, and the claiming of attempts."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kit.errors import InvalidValueError
from kit.store.files import FOLDER_MODE, make_folder, sweep, writing
from kit.store.log import LOG, has_writer

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}\Z")
_ATTEMPT = re.compile(r"attempt-([1-9]\d{0,8})\Z")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a run: a folder that is its worker's alone."""

    number: int  # from 1
    folder: Path


Signature = list[list[int]]  # [number, bytes of the log] of each attempt that has a log


def has_grown(before: Signature, now: Signature) -> bool:
    """Whether something was recorded since. Logs that have shrunk are damaged: what was read before still holds."""
    known = {entry[0]: entry[1] for entry in before}
    return any(size > known.get(number, -1) for number, size in now)


@dataclass(frozen=True)
class Layout:
    """The paths of a store."""

    root: Path

    @property
    def marker(self) -> Path:
        return self.root / "store.json"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def strategies(self) -> Path:
        return self.root / "strategies"

    def run(self, run_id: str) -> Path:
        """A run's folder. Raises `InvalidValueError` for an identifier that could lead out of the store."""
        if not _RUN_ID.match(run_id):
            raise InvalidValueError(f"'{run_id}' is not a run's identifier: use letters, digits, '_', '-' and '.'.")
        return self.runs / run_id

    def specification(self, run_id: str) -> Path:
        return self.run(run_id) / "specification.json"

    def seal(self, run_id: str) -> Path:
        return self.run(run_id) / "sealed.safetensors"

    def run_ids(self) -> list[str]:
        """The runs that have a folder, in the order of their names."""
        try:
            with os.scandir(self.runs) as entries:
                return sorted(e.name for e in entries if _RUN_ID.match(e.name) and e.is_dir(follow_symlinks=False))
        except OSError:
            return []

    def attempts(self, run_id: str) -> list[Attempt]:
        """The attempts at a run, oldest first, those whose log was never opened included."""
        folder = self.run(run_id)
        try:
            names = os.listdir(folder)
        except OSError:
            return []
        numbers = sorted(int(match[1]) for name in names if (match := _ATTEMPT.match(name)))
        return [Attempt(number=number, folder=folder / f"attempt-{number}") for number in numbers]

    def signature(self, run_id: str) -> Signature:
        """The logs as they are, for a cache to know whether it still holds."""
        folder = str(self.run(run_id))  # plain text paths: this is asked of every run that is listed
        try:
            names = os.listdir(folder)
        except OSError:
            return []
        found = []
        for name in names:
            if match := _ATTEMPT.match(name):
                with suppress(OSError):
                    found.append([int(match[1]), os.lstat(f"{folder}/{name}/{LOG}").st_size])
        return sorted(found)

    def claim(self, run_id: str) -> Attempt:
        """Make the next attempt's folder. Two processes that claim at once get different ones."""
        folder = self.run(run_id)
        for earlier in self.attempts(run_id):
            if not has_writer(earlier.folder):
                sweep(earlier.folder)
        with writing(folder):
            for level in (self.root, self.runs, folder):
                make_folder(level)
            number = max((attempt.number for attempt in self.attempts(run_id)), default=0) + 1
            while True:
                path = folder / f"attempt-{number}"
                try:
                    path.mkdir(mode=FOLDER_MODE)
                except FileExistsError:
                    number += 1
                else:
                    return Attempt(number=number, folder=path)
