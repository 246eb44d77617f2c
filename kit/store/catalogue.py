"""What is known of the runs without opening their logs, kept true to them.

Two caches stand before the logs: the index (a row for each run) and the seals (a run's curves as columns). Each names
the logs that it was made from by their lengths; a run whose logs have grown since is read again. What a cache cannot
answer, the logs do.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kit.errors import StoreError, UnknownNameError, nearest
from kit.store.curves import Series
from kit.store.documents import read_document
from kit.store.files import writing
from kit.store.history import History, run_history
from kit.store.index import Index, Row
from kit.store.layout import Layout, has_grown
from kit.store.seal import read_seal, write_seal
from kit.store.stored import batch_size_of
from kit.store.summary import RunSummary

SHOWN = 5  # how many identifiers a message lists
_FEW = 16  # up to so many rows are looked up one by one


@contextmanager
def _unwatched() -> Iterator[None]:
    """Without the garbage collector, which would walk a hundred thousand new dictionaries over and over (a third of the
    time that ten thousand runs take) and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Catalogue:
    """Summaries and curves of runs. `notes` gets a sentence for each thing that was passed over."""

    def __init__(self, layout: Layout, notes: list[str]) -> None:
        self.layout, self.notes = layout, notes
        self.index = Index(layout.index)

    def specification(self, run_id: str) -> dict[str, Any]:
        """From the run's own file, else from a cache. Raises `UnknownNameError`, or `StoreError` if it is damaged."""
        try:
            found = read_document(self.layout.specification(run_id), run_id)
        except OSError as error:
            if not self.layout.run(run_id).is_dir():
                raise self.unknown(run_id) from None
            fault = str(error)
        except StoreError as error:
            fault = str(error)
        else:
            return dict(found) if isinstance(found, dict) else {}
        if (row := self._summary_of(self.index.get(run_id))) is not None:
            return row.specification
        if (sealed := read_seal(self.layout.seal(run_id), run_id, None)) is not None:
            return sealed[0].specification
        raise StoreError(f"The specification of run {run_id} cannot be read: {fault}")

    def summary(self, run_id: str) -> RunSummary:
        """Raises `UnknownNameError`, or `StoreError` for a run whose specification is damaged."""
        return self._fresh(run_id, self.index.get(run_id)) or self.read(run_id)

    def summaries(self, run_ids: Iterable[str], *, skip_damaged: bool = False) -> list[RunSummary]:
        """Several at once; what the index lacked is written into it. skip_damaged: note them instead of raising."""
        wanted = list(run_ids)
        with _unwatched():
            return self._summaries(wanted, skip_damaged)

    def _summaries(self, wanted: list[str], skip_damaged: bool) -> list[RunSummary]:
        rows = self.index.all() if len(wanted) > _FEW else {r: row for r in wanted if (row := self.index.get(r))}
        found: list[RunSummary] = []
        missing: list[RunSummary] = []
        for run_id in wanted:
            summary = self._fresh(run_id, rows.get(run_id))
            if summary is None:
                try:
                    summary = self.read(run_id)
                except StoreError as error:
                    if not skip_damaged:
                        raise
                    if self.layout.attempts(run_id):  # else its caller was killed while making it known
                        self.note(str(error))
                    continue
                missing.append(summary)
            found.append(summary)
        with suppress(StoreError):  # a read-only store is read without its caches
            self.remember(missing)
        return found

    def read(self, run_id: str, *, logs_only: bool = False) -> RunSummary:
        """A run as its seal, or its logs, have it; sealed on the way if it has ended."""
        if not logs_only:
            sealed = read_seal(self.layout.seal(run_id), run_id, self.layout.signature(run_id))
            if sealed is not None:
                return sealed[0]
        specification = self.specification(run_id)
        history = run_history(self.layout, run_id, batch_size_of(specification))
        summary = RunSummary.of(run_id, specification, history)
        if history is not None:
            with suppress(StoreError):
                self.seal(summary, history)
        return summary

    def series(self, summary: RunSummary) -> Mapping[str, Series]:
        """A run's curves. None of a finished run whose curves are damaged: a gap is not to be taken for a curve."""
        run_id = summary.run_id
        sealed = read_seal(self.layout.seal(run_id), run_id, self.layout.signature(run_id))
        if sealed is not None:
            return sealed[1]
        history = run_history(self.layout, run_id, batch_size_of(summary.specification))
        shrunk = history is None or has_grown(history.signature, summary.signature)
        if history is None or (summary.ended and (shrunk or history.damaged or history.status != summary.status)):
            self.note(f"The curves of run {run_id} cannot be read: its log is damaged or missing.")
            return {}
        return history.series

    def seal(self, summary: RunSummary, history: History) -> None:
        """Write the columns of a run that has ended. Raises `StoreError`."""
        if summary.ended:
            path = self.layout.seal(summary.run_id)
            with writing(path):
                write_seal(path, summary, history)

    def remember(self, summaries: Iterable[RunSummary], *, replace_all: bool = False) -> None:
        """Write rows of the index. Raises `StoreError`."""
        self.index.put({summary.run_id: summary.document() for summary in summaries}, replace_all=replace_all)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def unknown(self, run_id: str) -> UnknownNameError:
        """The sentence for a run that is not here, with the nearest that are."""
        known = nearest(run_id, self.layout.run_ids())
        listing = ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
        return UnknownNameError(f"There is no run '{run_id}' in {self.layout.root}. It holds: {listing or 'no runs'}.")

    def _fresh(self, run_id: str, row: Row | None) -> RunSummary | None:
        """The row's summary, if the run had ended and nothing was recorded since."""
        summary = self._summary_of(row)
        if summary is None or not summary.ended or has_grown(summary.signature, self.layout.signature(run_id)):
            return None
        return summary

    @staticmethod
    def _summary_of(row: Row | None) -> RunSummary | None:
        try:
            return None if row is None else RunSummary.from_document(row)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
