"""The store as its caller sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import AmbiguousNameError, StoreError
from kit.store.catalogue import SHOWN, Catalogue
from kit.store.checkpoint import Checkpoint, checkpoint_files, checkpoint_step, load_checkpoint
from kit.store.compaction import compact_run, size_of
from kit.store.damage import DamagedError
from kit.store.documents import normal, read_document, write_document
from kit.store.files import make_folder, writing
from kit.store.history import lineage, read_attempts, run_history
from kit.store.layout import Attempt, Layout
from kit.store.stored import StoredOutcome, batch_size_of
from kit.store.summary import RunSummary, check_filters

if TYPE_CHECKING:
    import numpy as np

    from kit.outcome import Outcome

FORMAT = 1
_OWNER = "descentkit store"


class Store:
    """A folder of runs. Several processes may use one at a time; each attempt at a run has a folder of its own.

    path: made when something is first written. create: False asks that it be there.
    `notes` collects a sentence for each thing that was passed over: a damaged file, a cache that could not be written.
    Raises `StoreError` where there is no store, or a newer version wrote it.
    """

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        self.layout = Layout(self.path)
        self.notes: list[str] = []
        self._catalogue = Catalogue(self.layout, self.notes)
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path} is a file; a store is a folder.")
        if not create and not self.layout.runs.is_dir() and not self.layout.marker.exists():
            raise StoreError(f"There is no store at {self.path}.")
        self._check_version()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def __len__(self) -> int:
        """How many runs have a folder."""
        return len(self.layout.run_ids())

    def __bool__(self) -> bool:
        return True  # a store without runs is one

    # --- recording

    def add(self, run_id: str, specification: Mapping[str, Any]) -> None:
        """Make a run known. Doing so again changes nothing; a damaged specification is mended.

        Raises `StoreError` if the store cannot be written, or holds another specification under this identifier.
        """
        path = self.layout.specification(run_id)
        wanted = normal(specification)
        with suppress(OSError, DamagedError):
            if read_document(path, run_id) == wanted:
                return
            raise StoreError(f"Run {run_id} is in {self.path} already, with another specification.")
        self._prepare()
        with writing(path):
            make_folder(self.layout.runs)
            make_folder(path.parent)
            write_document(path, run_id, wanted)

    def begin(self, run_id: str) -> Attempt:
        """Claim the next attempt at a run: its folder belongs to whoever called. Raises `StoreError`."""
        self._prepare()
        return self.layout.claim(run_id)

    def finish(self, run_id: str, attempt: int) -> None:
        """Take in what an attempt recorded: seal the run, and write its row of the index.

        Both are caches, so what keeps them from being written (a full disk) is a note and no error. Raises `StoreError`
        for a run that is not known.
        """
        specification = self._catalogue.specification(run_id)
        history = run_history(self.layout, run_id, batch_size_of(specification))
        if history is None:
            return
        summary = RunSummary.of(run_id, specification, history)
        try:
            self._catalogue.seal(summary, history)
            self._catalogue.remember([summary])
        except StoreError as error:
            self._catalogue.note(str(error))

    def remember_strategy(self, key: str, name: str) -> None:
        """Keep the training loop that timing chose for a program. Raises `StoreError` if it cannot be written."""
        if self.strategy(key) == name:
            return
        self._prepare()
        path = self._strategy_file(key)
        with writing(path):
            make_folder(path.parent)
            write_document(path, key, name)

    def strategy(self, key: str) -> str | None:
        """The training loop remembered for a program; None if there is none."""
        with suppress(OSError, StoreError):
            return str(read_document(self._strategy_file(key), key))
        return None

    # --- reading

    def status(self, run_id: str) -> str | None:
        """`kit.outcome.STATUSES`, or "running"; None for a run that is not here or has recorded nothing."""
        return self._catalogue.summary(run_id).status if self.layout.signature(run_id) else None

    def statuses(self, run_ids: Iterable[str]) -> dict[str, str | None]:
        """`status` of several at once, in the order given. Raises as `summary`."""
        return {summary.run_id: summary.status for summary in self._catalogue.summaries(run_ids)}

    def summary(self, run_id: str) -> RunSummary:
        """A run without its curves. Raises `UnknownNameError`, and `StoreError` for a damaged one."""
        return self._catalogue.summary(run_id)

    def runs(self, **filters: Any) -> list[RunSummary]:
        """Every run that passes the filters (see `RunSummary.matches`), oldest first; damaged ones become `notes`.

        Raises `UnknownNameError` for a filter that no run knows.
        """
        found = self._catalogue.summaries(self.layout.run_ids(), skip_damaged=True)
        check_filters(filters, found)
        found.sort(key=lambda summary: (summary.started or float("inf"), summary.run_id))
        return [summary for summary in found if summary.matches(filters)]

    def outcome(self, run_id: str) -> Outcome:
        """A run with its curves, which are read when they are used.

        Raises `UnknownNameError`, and `StoreError` for a run that has recorded nothing or is damaged.
        """
        return self._outcome(self._catalogue.summary(run_id))

    def outcomes(self, run_ids: Iterable[str] | None = None) -> list[Outcome]:
        """Runs in the order given; None: all that have recorded something, oldest first."""
        if run_ids is None:
            return [self._outcome(summary) for summary in self.runs() if summary.status is not None]
        return [self._outcome(summary) for summary in self._catalogue.summaries(run_ids)]

    def specification(self, run_id: str) -> dict[str, Any]:
        """A run's resolved specification. Raises `UnknownNameError`, or `StoreError` if it is damaged everywhere."""
        return self._catalogue.specification(run_id)

    def find(self, prefix: str) -> str:
        """The one run whose identifier begins so.

        Raises `UnknownNameError` where there is none, `AmbiguousNameError` where there are several.
        """
        matches = [run_id for run_id in self.layout.run_ids() if prefix and run_id.startswith(prefix)]
        if prefix in matches:
            return prefix
        if len(matches) > 1:
            listing = ", ".join(matches[:SHOWN]) + (", …" if len(matches) > SHOWN else "")
            raise AmbiguousNameError(f"'{prefix}' begins the identifiers of {len(matches)} runs: {listing}.")
        if not matches:
            raise self._catalogue.unknown(prefix)
        return matches[0]

    def latest_attempt(self, run_id: str) -> Path | None:
        """The folder of the attempt to continue from; None: start anew.

        It is the one whose whole checkpoint is furthest, among those whose record up to there is whole.
        """
        attempts = read_attempts(self.layout, run_id)
        for checkpoint, folder in self._checkpoints(run_id):
            own = next((a for a in attempts if folder.name == f"attempt-{a.number}"), None)
            if own and own.holds(checkpoint.step) and not lineage(attempts, own, checkpoint.step)[1]:
                return folder
        return None

    def parameters(self, run_id: str) -> dict[str, np.ndarray[Any, Any]]:
        """A run's parameters, canonical name -> array: a done run's final ones, else those of its last checkpoint.

        Raises `StoreError` where no checkpoint was kept (a run that diverged, or failed, early), or it is damaged.
        """
        summary = self._catalogue.summary(run_id)
        before = len(self.notes)
        checkpoint = next((checkpoint for checkpoint, _ in self._checkpoints(run_id)), None)
        if checkpoint is None or (summary.status == "done" and checkpoint.step != summary.cost.steps):
            why = " ".join(self.notes[before:]) or "No checkpoint of it was kept."
            raise StoreError(f"Run {run_id} ({summary.status or 'not begun'}) has no stored parameters. {why}")
        arrays = checkpoint.arrays
        for part in ("evaluated/", "parameters/"):
            if chosen := {name.removeprefix(part): a for name, a in arrays.items() if name.startswith(part)}:
                return chosen
        return arrays

    def reindex(self) -> list[RunSummary]:
        """Rebuild the index and the seals from the runs' folders alone. Raises `StoreError` if it cannot be written."""
        self._prepare()
        found = []
        for run_id in self.layout.run_ids():
            try:
                found.append(self._catalogue.read(run_id, logs_only=True))
            except StoreError as error:
                self._catalogue.note(str(error))
        self._catalogue.remember(found, replace_all=True)
        return found

    def compact(self) -> tuple[int, int]:
        """Throw away what no run needs any more (see `kit.store.compaction`): bytes before, bytes after.

        Runs that train, that can be continued or that are damaged are left as they are. Raises `StoreError` if the
        store cannot be written.
        """
        before = size_of(self.path)
        for summary in self.runs():
            if summary.ended:
                compact_run(self.layout, summary.run_id, done=summary.status == "done")
        self._catalogue.index.shrink()
        return before, size_of(self.path)

    def _outcome(self, summary: RunSummary) -> Outcome:
        if summary.status is None:
            raise StoreError(f"Run {summary.run_id} has recorded nothing yet.")
        return StoredOutcome(summary, partial(self._catalogue.series, summary))

    def _checkpoints(self, run_id: str) -> Iterable[tuple[Checkpoint, Path]]:
        """Whole checkpoints of a run with their attempts' folders, the furthest first; a damaged one becomes a note."""
        files = [path for attempt in self.layout.attempts(run_id) for path in checkpoint_files(attempt.folder)]
        for path in sorted(files, key=checkpoint_step, reverse=True):
            try:
                yield load_checkpoint(path), path.parent
            except (OSError, DamagedError) as error:
                self._catalogue.note(str(error))

    def _strategy_file(self, key: str) -> Path:
        return self.layout.strategies / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def _prepare(self) -> None:
        """Make the folder and say in it which format it has."""
        if not self.layout.marker.exists():
            with writing(self.path):
                make_folder(self.path)
                write_document(self.layout.marker, _OWNER, {"format": FORMAT})

    def _check_version(self) -> None:
        try:
            version = read_document(self.layout.marker, _OWNER)["format"]
        except OSError:
            return
        except (StoreError, KeyError, TypeError):
            self._catalogue.note(f"{self.layout.marker} is damaged; the runs are read all the same.")
            return
        if isinstance(version, int) and version > FORMAT:
            raise StoreError(
                f"The store at {self.path} was written by a newer version of descentkit (format {version}; this "
                f"version reads format {FORMAT}). Update descentkit."
            )
