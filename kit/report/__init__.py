"""Results as one HTML file that opens anywhere, offline."""

from __future__ import annotations

from kit.report.write import write_report

__all__ = ["write_report"]
