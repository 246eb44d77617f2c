"""The ledger of what went wrong with plugins: one `Failure` each, and the others go on."""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kit.entry_points import EntryPoint

# Where it failed: asked for by name, its metadata, its requirement on the host, its import, a hook.
# The others are notes: the plugin is loaded all the same.
Stage = Literal[
    "selection", "metadata", "requirement", "import", "hook", "output", "framework", "versions", "slow", "process"
]
NOTES = ("output", "framework", "versions", "slow", "process")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One entry of the ledger. `reason` is a sentence; `detail` the traceback, where there is one."""

    plugin: str
    distribution: str
    version: str
    stage: Stage
    reason: str
    detail: str = ""

    @property
    def note(self) -> bool:
        """Whether the plugin was loaded all the same."""
        return self.stage in NOTES


class Ledger(list[Failure]):
    """The failures in the order in which they were met."""

    def add(self, point: EntryPoint, stage: Stage, reason: str, error: BaseException | None = None) -> None:
        self.append(
            Failure(
                plugin=point.name,
                distribution=point.distribution,
                version=point.version,
                stage=stage,
                reason=reason,
                detail=_traceback(error) if error is not None else "",
            )
        )

    @contextlib.contextmanager
    def holding_back_output(self, point: EntryPoint, when: str) -> Iterator[None]:
        """Keep what a plugin prints from standing in the middle of a listing or a JSON document."""
        output = io.StringIO()
        try:
            with contextlib.redirect_stdout(output):
                yield
        finally:
            text = output.getvalue().strip()
            if text:
                short = text if len(text) <= 80 else text[:79] + "…"
                self.add(point, "output", f"It printed {short!r} {when}; that was held back.")


def _traceback(error: BaseException) -> str:
    """The traceback from the plugin's own code on: how the host came there tells its author nothing."""
    frames = error.__traceback__
    while frames is not None and _is_the_host_s(frames.tb_frame.f_globals.get("__name__", "")):
        frames = frames.tb_next
    return "".join(traceback.format_exception(error.with_traceback(frames)))


def _is_the_host_s(module: str) -> bool:
    return module in ("kit.loader", "kit.hookcalls", "kit.supervision", "functools", "contextlib") or module.startswith(
        ("importlib", "pluggy")
    )


def said(error: BaseException) -> str:
    """An exception in a few words, on one line: `ValueError: no such thing`."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
