"""What a study came to: frames, tables, comparisons and their words. Works without any framework installed."""

from __future__ import annotations

from kit.results.results import Results
from kit.results.run import Run

__all__ = ["Results", "Run"]
