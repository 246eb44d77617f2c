"""An outcome whose curves are read from the disk when they are asked for.

So ten thousand runs can be listed and summarised without ten thousand frames in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kit.outcome import Outcome
from kit.store.curves import Series, frame
from kit.store.summary import RunSummary

if TYPE_CHECKING:
    import pandas as pd


class StoredOutcome(Outcome):
    """See `kit.outcome.Outcome`; `curves` is read on first use, and then kept."""

    _read: Callable[[], Mapping[str, Series]]

    def __init__(self, summary: RunSummary, read: Callable[[], Mapping[str, Series]]) -> None:
        facts: dict[str, Any] = {
            "run_id": summary.run_id,
            "specification": summary.specification,
            "status": summary.status,
            "reason": summary.reason,
            "cost": summary.cost,
            "attempts": summary.attempts,
            "record": summary.record,
            "final": summary.final,
            "lowest": summary.lowest,
            "highest": summary.highest,
            "started": summary.started,
            "_read": read,
        }
        self.__dict__.update(facts)  # the class is frozen

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The tidy frame. Raises `StoreError` if the run has been removed or damaged since."""
        return frame(self._read(), batch_size_of(self.specification))


def batch_size_of(specification: Mapping[str, Any]) -> int:
    """Samples a step, as the resolved specification has it."""
    size = specification.get("batch_size", 1)
    return size if isinstance(size, int) else 1
