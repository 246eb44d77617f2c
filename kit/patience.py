"""When a worker has said nothing for so long that it must be hanging.

A thread of the worker that says "I am here" would say so while a step is stuck, so nothing counts but what the
training thread itself says: a record after every chunk, which takes a fifth of a second. How long it may be silent
depends on how long it was before: evaluations of large data, or a compilation, are long in the same run again.

Silence is counted in looks, never as a difference of two clock readings: while the machine sleeps, or this process is
stopped, nobody listens, and that is not the worker's silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PREPARING_SECONDS = 1800.0  # until the first points: imports, data, compilation
TRAINING_SECONDS = 120.0  # at least, after them
LONGEST_TRAINING = 20.0  # … and as many times the longest silence between points so far
LONGEST_PREPARING = 3.0  # … and as many times the longest before them: it may compile, or evaluate, again
STOPPING_SECONDS = 10.0  # at least, once it was asked to stop; …
LONGEST_STOPPING = 3.0  # … and as many times the longest silence between points so far, or once that before them
LOOK_SECONDS = 1.0  # at most so much counts of the time between two looks


@dataclass
class Patience:
    """Of one worker and its task."""

    silent: float = 0.0
    training: bool = False
    stopping: bool = False  # whether it was asked to stop
    longest_training: float = 0.0
    longest_preparing: float = 0.0

    def heard(self, record: dict[str, Any]) -> None:
        """It said something."""
        if self.training:
            self.longest_training = max(self.longest_training, self.silent)
        else:
            self.longest_preparing = max(self.longest_preparing, self.silent)
            self.training = record["kind"] == "points"
        self.silent = 0.0

    def waited(self, seconds: float) -> None:
        """So much time has passed since the last look, and nothing was heard."""
        self.silent += min(seconds, LOOK_SECONDS)

    @property
    def limit(self) -> float:
        if not self.training:
            return PREPARING_SECONDS
        if self.stopping:
            return max(STOPPING_SECONDS, LONGEST_STOPPING * self.longest_training, self.longest_preparing)
        return max(
            TRAINING_SECONDS, LONGEST_TRAINING * self.longest_training, LONGEST_PREPARING * self.longest_preparing
        )

    @property
    def exhausted(self) -> bool:
        return self.silent > self.limit

    def said(self) -> str:
        """What happened, as the rest of a sentence about the worker."""
        doing = "while it trained" if self.training else "while it prepared"
        return f"hung {doing}: it said nothing for {self.silent:.0f} s, and was ended"
