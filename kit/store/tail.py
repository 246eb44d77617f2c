"""Reading a log while it is written, for whoever watches a run through the store alone."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from kit.store.encoding import Record, decode, owner
from kit.store.files import open_to_read
from kit.store.log import LOG


class LogTail:
    """Gives each acknowledged record of an attempt once. Nothing is held open between two looks."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        self._seed = crc32(owner(folder).encode())
        self._read = 0  # bytes of whole lines

    def news(self) -> list[Record]:
        """The records since the last look; none where there is no log yet. Damaged lines are left out."""
        try:
            descriptor = open_to_read(self.path)
        except OSError:
            return []
        with open(descriptor, "rb") as file:
            if os.fstat(descriptor).st_size <= self._read:
                return []
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        lines = whole.split(b"\n") if newline else []
        return [record for line in lines if (record := decode(line, self._seed)) is not None]
