"""One run over several devices, by `tf.distribute`.

    mirrored                 one process drives all devices of a machine (MirroredStrategy)
    multi_worker_mirrored    a process for each device (MultiWorkerMirroredStrategy, ring all-reduce)

Both hold the whole model on every device and add up gradients. A device gets its share of every batch
(`kit.parallel.share`), and its share's mean loss and gradients are weighed by its samples, so that the sums are the
batch's. Batch normalisation takes each share's own mean and variance.

TensorFlow's processes talk over ports of the loopback interface that are not authenticated; they are open for as long
as the run takes.
"""

from __future__ import annotations

import json
import os
from typing import Any

from kit.engine import DeviceReport, Dtype, Native, Problem, Stack
from kit.errors import DeviceError
from kit.parallel import Rank
from kit.rules.rule import Rule
from kit_tensorflow import devices
from kit_tensorflow.distributed import DistributedProgram
from kit_tensorflow.engine import TensorFlowEngine
from kit_tensorflow.environment import quiet, tf
from kit_tensorflow.plan import Plan
from kit_tensorflow.workshop import Workshop


def mirrored(rank: Rank, threads: int) -> RankEngine:
    return RankEngine(rank, threads, several=False)


def multi_worker_mirrored(rank: Rank, threads: int) -> RankEngine:
    return RankEngine(rank, threads, several=True)


class RankEngine:
    """A process's part. See `kit.engine.Engine`. Devices and collective operations must be set up before TensorFlow
    computes anything, so it is the first thing in its process that uses it."""

    name = "tensorflow"

    def __init__(self, rank: Rank, threads: int, *, several: bool) -> None:
        self.rank, self.threads, self.several = rank, threads, several
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # Every device of a process runs its collectives in a thread of its own, and waits there for the others.
        tf.config.threading.set_inter_op_parallelism_threads(max(2, rank.devices if not several else 2))

    def versions(self) -> dict[str, str]:
        return TensorFlowEngine().versions()

    def devices(self) -> list[DeviceReport]:
        return TensorFlowEngine().devices()

    def strategies(self, *_: Any) -> tuple[str, ...]:
        return ("multi_worker_mirrored" if self.several else "mirrored",)

    def compile(
        self,
        problem: Problem,
        optimizer: Rule | Native,
        stack: Stack,
        *,
        device: str,
        dtype: Dtype,
        steps: int,
        strategy: str | None = None,
    ) -> DistributedProgram:
        with quiet():
            distribution = self._together(device) if self.several else self._alone(device)
            TensorFlowEngine()
        workshop = Workshop(problem, optimizer, stack, "/GPU:0" if _cards(device) else "/CPU:0", dtype)
        plan = Plan(problem, optimizer, stack, workshop)
        plan.check()
        return DistributedProgram(plan, distribution, self.rank.number if self.several else 0, self.rank.devices)

    def _alone(self, device: str) -> Any:
        """All devices are this process's; the processor is taken for as many as are asked for."""
        if not _cards(device):
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(self.rank.devices)]
            )
            return tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(self.rank.devices)])
        self._check_cards(self.rank.devices)
        return tf.distribute.MirroredStrategy([f"/gpu:{i}" for i in range(self.rank.devices)])

    def _together(self, device: str) -> Any:
        """One of the devices that this process sees is its own."""
        cards = tf.config.list_physical_devices("GPU")
        if _cards(device):
            self._check_cards(self.rank.local + 1)
        tf.config.set_visible_devices(cards[self.rank.local : self.rank.local + 1] if _cards(device) else [], "GPU")
        os.environ["TF_CONFIG"] = json.dumps(
            {
                "cluster": {"worker": list(self.rank.addresses)},
                "task": {"type": "worker", "index": self.rank.number},
            }
        )
        ring = tf.distribute.experimental.CommunicationImplementation.RING
        chosen = tf.distribute.experimental.CommunicationImplementation.AUTO if _cards(device) else ring
        return tf.distribute.MultiWorkerMirroredStrategy(
            communication_options=tf.distribute.experimental.CommunicationOptions(implementation=chosen)
        )

    def _check_cards(self, needed: int) -> None:
        there = len(tf.config.list_physical_devices("GPU"))
        if there < needed:
            raise DeviceError(
                f"devices={self.rank.devices} is not valid: TensorFlow finds {there} graphics processors."
            )

    def initial_parameters(self, problem: Problem, seeds: Any) -> Any:
        return TensorFlowEngine().initial_parameters(problem, seeds)

    def lost_device(self, error: BaseException) -> bool:
        return devices.lost(error)

    def peak_memory_bytes(self, device: str) -> int | None:
        return TensorFlowEngine().peak_memory_bytes("gpu:0" if _cards(device) else "cpu")


def _cards(device: str) -> bool:
    return device.partition(":")[0] in ("gpu", "cuda")
