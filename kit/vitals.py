"""What is seen of a process from outside while it lives, so that its death can be explained.

SIGKILL says nothing about who sent it. The kernel counts, for each control group, the processes that it killed because
memory ran out (cgroup v2: memory.events; v1: memory.oom_control; the whole machine: /proc/vmstat); a counter that rose
while the process lived tells one from the other. Linux only; elsewhere the death is told without its cause.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from kit.machine import memory_limit

LOOK_SECONDS = 1.0  # memory is looked at so often: a look takes 50 µs
_GROUPS = Path("/sys/fs/cgroup")
_MACHINE = Path("/proc/vmstat")


class Vitals:
    """Looks at one process. `resident`: the bytes of memory that it held when last seen; 0: never seen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.resident = 0
        self.counter: Path | None = None
        self.counted: int | None = None  # of the counter, before
        self._looked = -LOOK_SECONDS
        self.look()

    def look(self) -> None:
        """Take note of its memory and of its control group; at most once a second."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            if pages:  # one that is dead and not yet reaped has none
                self.resident = pages * os.sysconf("SC_PAGE_SIZE")
                counter = counter_of(self.pid)
                if counter != self.counter:
                    self.counter, self.counted = counter, kills(counter)

    def death(self, code: int) -> str:
        """How it ended, as the rest of a sentence. code: as `subprocess.Popen.returncode`."""
        if code >= 0:
            return f"ended with exit code {code}"
        if code != -signal.SIGKILL:
            return f"was killed by {signal.Signals(-code).name}"
        held = f"; it held {self.resident / 1e9:.2f} GB when last seen" if self.resident else ""
        now = kills(self.counter)
        if now is None or self.counted is None:
            return f"was killed by SIGKILL (whether memory ran out cannot be read here{held})"
        if now > self.counted:
            limit = memory_limit()
            allowed = f", of {limit / 1e9:.2f} GB allowed" if limit else ""
            return f"was killed by the kernel because memory ran out (SIGKILL{held}{allowed})"
        return f"was killed by SIGKILL, from outside: memory had not run out{held.replace(';', ',')}"


def counter_of(pid: int, root: Path = _GROUPS) -> Path | None:
    """The file that counts the kills in a process's control group; the machine's where the group has none."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            names = ("", "memory.events") if not controllers else ("memory", "memory.oom_control")
            if controllers and "memory" not in controllers.split(","):
                continue
            # In a container the group's path may be the host's, and what is mounted is the container's own group.
            for folder in (root / names[0] / path.lstrip("/"), root / names[0]):
                if (folder / names[1]).is_file():
                    return folder / names[1]
    return _MACHINE if _MACHINE.is_file() else None


def kills(counter: Path | None) -> int | None:
    """How many processes the kernel has killed for want of memory, by a counter; None where it cannot be read."""
    with suppress(OSError):
        if counter is not None and (found := re.search(r"^oom_kill (\d+)$", counter.read_text(), re.MULTILINE)):
            return int(found[1])
    return None
