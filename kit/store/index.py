"""The index: one row for each run, so that listing ten thousand opens none of them.

A cache. Only a caller's process opens it, never a worker; each operation is a connection and a transaction of its own.
`BEGIN IMMEDIATE` takes the write lock at once: a plain `BEGIN` that reads first fails when another process writes in
between. The rollback journal, not WAL, which does not work on network file systems. It does not wait for the disk:
after the death of the machine a damaged index is thrown away, and filled again from the runs' folders. Each row carries
a checksum, so that a damaged one is read from its folder instead.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from kit.errors import StoreError
from kit.store.files import FILE_MODE

SCHEMA = 1
TIMEOUT_SECONDS = 30.0
_TABLE = "CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, facts TEXT NOT NULL, checksum INTEGER NOT NULL)"
Row = dict[str, Any]
_FAULTS = (sqlite3.Error, ValueError)  # ValueError: SQLite's message quotes a damaged name that is not UTF-8
# What stands in the way of writing a sound file. Any other failure means that the file is damaged.
_OBSTACLES = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


class Index:
    """Rows of JSON by run. Reading never raises but for a newer version's index; writing raises `StoreError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, run_id: str) -> Row | None:
        return self._select("SELECT run_id, facts, checksum FROM runs WHERE run_id = ?", (run_id,)).get(run_id)

    def all(self) -> dict[str, Row]:
        return self._select("SELECT run_id, facts, checksum FROM runs", ())

    def put(self, rows: Mapping[str, Row], *, replace_all: bool = False) -> None:
        """Write rows, in one transaction; replace_all: and throw away every other."""
        if not rows and not replace_all:
            return
        try:
            self._write(rows, replace_all)
        except _FAULTS as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _OBSTACLES:
                raise StoreError(f"The index of the store cannot be written ({self.path}: {error}).") from error
            self._write_anew(rows)

    def shrink(self) -> None:
        """Give back the room of rows that were replaced. Raises `StoreError`."""
        if self.path.exists():
            try:
                with self._connection("rw") as connection:
                    connection.execute("VACUUM")
            except _FAULTS as error:
                raise StoreError(f"The index of the store cannot be written ({self.path}: {error}).") from error

    def _write_anew(self, rows: Mapping[str, Row]) -> None:
        """The file is damaged: start it again. What it held is found in the runs' folders."""
        with suppress(OSError):
            self.path.unlink()
            self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)
        try:
            self._write(rows, replace_all=True)
        except _FAULTS as error:
            raise StoreError(f"The index of the store cannot be written ({self.path}: {error}).") from error

    def _write(self, rows: Mapping[str, Row], replace_all: bool) -> None:
        with self._connection("rwc") as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            if replace_all:
                connection.execute("DELETE FROM runs")
            texts = {run_id: json.dumps(row, allow_nan=False) for run_id, row in rows.items()}
            connection.executemany(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?)",
                [(run_id, text, _checksum(run_id.encode(), text.encode())) for run_id, text in texts.items()],
            )
            connection.execute("COMMIT")

    def _select(self, query: str, values: tuple[str, ...]) -> dict[str, Row]:
        """run_id -> row, damaged ones left out; empty where there is no index that can be read."""
        if not self.path.exists():
            return {}
        for mode in ("rw", "ro"):  # "rw" also rolls back what a killed process left half written
            try:
                with self._connection(mode) as connection:
                    found = connection.execute(query, values).fetchall()
            except _FAULTS:
                continue
            rows = [_row(*values) for values in found]
            return {row[0]: row[1] for row in rows if row is not None}
        return {}

    @contextmanager
    def _connection(self, mode: str) -> Iterator[sqlite3.Connection]:
        if mode == "rwc" and not self.path.exists():
            with suppress(OSError):  # SQLite says what is wrong
                self.path.touch(mode=FILE_MODE)
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None)
        connection.text_factory = bytes  # damaged text need not be UTF-8
        try:
            connection.execute("PRAGMA trusted_schema = OFF")  # nothing that a stranger's schema defines is run
            connection.execute("PRAGMA cell_size_check = ON")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA and self._is_newer(connection):
                raise StoreError(
                    f"The index {self.path} was written by a newer version of descentkit (schema {version}; this "
                    f"version reads {SCHEMA}). Update descentkit."
                )
            yield connection
        finally:
            connection.close()

    @staticmethod
    def _is_newer(connection: sqlite3.Connection) -> bool:
        """Whether the file is sound; in a damaged one the version means nothing."""
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == (b"ok",))


def _checksum(run_id: bytes, facts: bytes) -> int:
    return crc32(facts, crc32(run_id))


def _row(run_id: Any, facts: Any, checksum: Any) -> tuple[str, Row] | None:
    """(run, row); None for a damaged one, whose columns may be of any type."""
    try:
        row = json.loads(facts) if _checksum(run_id, facts) == checksum else None
        return (run_id.decode(), row) if isinstance(row, dict) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
