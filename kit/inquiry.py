"""Asking a backend's engine what it is and which devices it finds, in a process of its own.

The caller's process loads no framework, and no process ever loads two: importing one takes seconds, and two
of them in one process can end in a segmentation fault.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from kit.errors import KitError
from kit.ledger import said

SECONDS = 180.0  # the first import of a framework from a cold disk takes a minute
_CHILD = "from kit.inquiry import answer; answer()"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an engine said. `fault` is a sentence where it said nothing, and empty otherwise."""

    versions: Mapping[str, str]
    devices: tuple[Mapping[str, Any], ...]  # kit.engine.DeviceReport as JSON
    fault: str = ""


def inquire(engines: Mapping[str, str], seconds: float = SECONDS) -> dict[str, Answer]:
    """Ask every engine at once, each in its own process. engines: any key -> reference of an engine class."""
    if not engines:
        return {}
    with ThreadPoolExecutor(len(engines)) as askers:
        pending = {name: askers.submit(_ask, engine, seconds) for name, engine in engines.items()}
        return {name: future.result() for name, future in pending.items()}


def _ask(engine: str, seconds: float) -> Answer:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, engine],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Answer(versions={}, devices=(), fault=f"It did not answer within {seconds:g} s.")
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return Answer(versions={}, devices=(), fault=f"It crashed ({name}) when its engine was started.")
    try:
        said_by_child = json.loads(child.stdout)
    except ValueError:
        last = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
        fault = f"It ended with exit code {child.returncode} when its engine was started: {last}"
        return Answer(versions={}, devices=(), fault=fault)
    return Answer(
        versions=said_by_child["versions"],
        devices=tuple(said_by_child["devices"]),
        fault=said_by_child["fault"],
    )


def answer() -> None:
    """The child's part: start the engine that the command line names, write its answer to standard output."""
    from kit.records import resolve

    channel = os.dup(1)
    os.dup2(2, 1)  # what a framework prints while it is imported is no part of the answer
    found: dict[str, Any] = {"versions": {}, "devices": [], "fault": ""}
    try:
        engine = resolve(sys.argv[1])(threads=1)
        found["versions"] = dict(engine.versions())
        found["devices"] = [asdict(device) for device in engine.devices()]
    except Exception as error:
        why = str(error) if isinstance(error, KitError) else said(error)
        found["fault"] = f"Its engine could not be started: {why}"
    with os.fdopen(channel, "w") as stream:
        json.dump(found, stream)
