"""One run over several devices, by the framework's own means: what an experiment says of it, and what fits.

`devices=4, parallel="ddp"` trains one experiment on four devices of the kind that `device` names: every step's batch is
divided among them, so the trajectory is the one of a single device. Not to be confused with a study's runs, which
share out the machine by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError, unknown

if TYPE_CHECKING:
    from kit.experiment import Experiment
    from kit.records import BackendSpec, Parallel

FIELDS = ("devices", "parallel")


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One of the processes that train a run together; what a backend's part of it is made with."""

    number: int  # from 0
    size: int  # how many processes
    devices: int  # of all of them; more than `size` where one process drives several
    local: int  # which of the devices that it sees is its own, the first of them where it drives several
    folder: str  # private to the run's processes, for meeting: a file that they may all write
    addresses: tuple[str, ...]  # "host:port" of each, free when they were looked for


def processes(way: Parallel, devices: int) -> int:
    """How many processes it takes."""
    return devices if way.processes == "each" else 1


def share(batch: int, part: int, parts: int) -> tuple[int, int]:
    """(start, stop) of the samples of a batch that one of several devices takes: as equal as can be."""
    return batch * part // parts, batch * (part + 1) // parts


def used(experiment: Experiment, backend: BackendSpec, batch: int) -> dict[str, Any]:
    """What the resolved specification says of it; {} on one device. batch: the samples of a step.

    Raises `InvalidValueError` or `UnknownNameError` for what does not fit.
    """
    devices, name = experiment.devices, experiment.parallel
    if devices == 1 and name is None:
        return {}
    if devices == 1:
        raise InvalidValueError(f"parallel='{name}' divides a run among several devices; give devices=2 or more.")
    if not backend.parallel:
        raise InvalidValueError(f"backend '{backend.name}' trains on one device; leave out devices={devices}.")
    ways = [way.name for way in backend.parallel]
    if name is not None and name not in ways:
        raise unknown(f"way to train on several devices in backend '{backend.name}'", name, ways)
    if devices > batch:
        divided = "cannot be divided" if batch == 1 else f"at most {batch} devices can divide"
        raise InvalidValueError(f"devices={devices} is not valid: a step uses a batch of {batch}, which {divided}.")
    if experiment.strategy != "auto":
        raise InvalidValueError(
            f"strategy='{experiment.strategy}' is for a run on one device; on {devices} it is '{name or ways[0]}'."
        )
    return {"devices": devices, "parallel": name or ways[0]}


def way_of(specification: dict[str, Any], backend: BackendSpec) -> Parallel | None:
    """How a resolved run is divided among devices; None: it is not."""
    name = specification.get("parallel")
    return next((way for way in backend.parallel if way.name == name), None)
