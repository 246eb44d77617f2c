"""The Ray cluster that tasks go to: one that is there, or one of our own on this machine.

Our own listens with token authentication (a port of Ray's executes what it is sent), keeps its files in a folder of its
own, starts no dashboard, reports no usage, and ends with this process.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
from dataclasses import dataclass

import ray

from kit.errors import WorkError
from kit.machine import cores
from kit.scratch import Scratch


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What tasks may use: the cores of each node that is alive."""

    cores: tuple[int, ...]

    @property
    def smallest(self) -> int:
        return min(self.cores)

    def places(self, threads: int) -> int:
        """Tasks of so many threads that run at once."""
        return max(1, sum(each // threads for each in self.cores))


def connected() -> Cluster:
    """The cluster that this process is connected to, that RAY_ADDRESS names, or else one of our own.

    Raises `WorkError` where none can be had.
    """
    if not ray.is_initialized():
        try:
            _join(os.environ["RAY_ADDRESS"]) if os.environ.get("RAY_ADDRESS") else _start()
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise WorkError(f"Ray cannot be reached: {str(error).strip().splitlines()[0]}") from error
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = tuple(int(resources["CPU"]) for resources in nodes if resources.get("CPU", 0) >= 1)
    if not found:
        raise WorkError("The Ray cluster has no node with a core to give.")
    return Cluster(cores=found)


def _join(address: str) -> None:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def _start() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray 2.60 asks for a token unless told not to; ours is this cluster's alone, and not the one in the user's home.
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    scratch = Scratch("ray", folder=True)
    atexit.register(_stop, scratch)
    ray.init(
        num_cpus=cores(),
        include_dashboard=False,
        _temp_dir=str(scratch.path / "ray"),  # which Ray opens to everybody; what stands above it is its user's alone
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _stop(scratch: Scratch) -> None:
    ray.shutdown()
    scratch.remove()
