"""A plugin looked at in a process of its own: what importing it brings in, what its hooks yield.

`looked_at` starts the process and reads its answer; `answer` is the process's part.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kit.testing.checks import Violation

SECONDS = 120.0
_CHILD = "from kit.testing.alone import answer; answer()"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one process saw."""

    records: tuple[tuple[str, ...], ...]  # of each of the two times that the plugin's hooks were called, in words
    brought: tuple[str, ...]  # top-level packages that it was the first to import
    failures: tuple[tuple[str, str], ...]  # (stage, reason)


def looked_at(plugin: str, distribution: str, *, blocked: Collection[str] = (), seed: int = 1) -> Look:
    """blocked: packages that are as if not installed. seed: of Python's hashes, which order sets.

    Raises `Violation` where the process does not end well.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-c", _CHILD, json.dumps([plugin, distribution, sorted(blocked)])]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, env=environment, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Violation(expected="a plugin that loads", got=f"no end within {SECONDS:g} s") from None
    try:
        found = json.loads(child.stdout.rpartition("\n")[2])
    except ValueError:
        last = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
        got = f"a process that ended with code {child.returncode}: {last}"
        raise Violation(expected="a plugin that loads", got=got) from None
    return Look(
        records=tuple(tuple(each) for each in found["records"]),
        brought=tuple(found["brought"]),
        failures=tuple((stage, reason) for stage, reason in found["failures"]),
    )


class _Blocker:
    """An import finder to which some packages are not there."""

    def __init__(self, blocked: Collection[str]) -> None:
        self.blocked = set(blocked)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def answer() -> None:
    """Load one plugin twice, and say what came of it, as one line of JSON on standard output."""
    plugin, distribution, blocked = json.loads(sys.argv[1])
    channel = os.dup(1)
    os.dup2(2, 1)  # what a plugin prints is no part of the answer
    sys.meta_path.insert(0, _Blocker(blocked))
    from kit.loader import load

    before = set(sys.modules)
    looks = [load([distribution]) for _ in range(2)]
    mine = [[p for p in loaded.plugins if (p.name, p.distribution) == (plugin, distribution)] for loaded in looks]
    document = {
        "records": [[repr(record) for p in plugins for record in p.records] for plugins in mine],
        "brought": sorted({name for name in sys.modules.keys() - before if "." not in name}),
        "failures": [[f.stage, f.reason] for f in looks[0].failures if f.plugin == plugin],
    }
    with os.fdopen(channel, "w") as stream:
        stream.write("\n" + json.dumps(document))
