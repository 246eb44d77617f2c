"""The TensorFlow backend: `kit.engine.Engine`."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from kit.engine import DeviceReport, Dtype, Native, Problem, Stack
from kit.errors import InvalidValueError, unknown
from kit.rules.rule import Rule
from kit_tensorflow import devices, own_models
from kit_tensorflow.environment import keras, quiet, tf
from kit_tensorflow.network import Network
from kit_tensorflow.plan import Plan
from kit_tensorflow.program import TensorFlowProgram
from kit_tensorflow.strategies import ALL, BY_NAME
from kit_tensorflow.workshop import Workshop, Workshops

Array = np.ndarray[Any, np.dtype[Any]]


class TensorFlowEngine:
    """One per worker process. threads: for each operation; None leaves TensorFlow's own choice."""

    name = "tensorflow"

    def __init__(self, threads: int | None = None) -> None:
        self._workshops = Workshops()
        if threads is not None:
            _set_threads(threads)
        with quiet():
            for card in tf.config.list_physical_devices("GPU"):
                _share(card)
        if tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_tensor_float_32_execution(False)
            tf.config.experimental.enable_op_determinism()
        with quiet():
            tf.constant(0.0)  # the device's first use announces itself

    def versions(self) -> dict[str, str]:
        return {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            # Both change the last bits of every matrix product.
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
            "threads": str(_threads() or "default"),
        }

    def devices(self) -> list[DeviceReport]:
        return devices.find()

    def lost_device(self, error: BaseException) -> bool:
        return devices.lost(error)

    def strategies(self, problem: Problem, optimizer: Rule | Native, stack: Stack) -> tuple[str, ...]:
        workshop = Workshop(problem, optimizer, stack, "/CPU:0", "float32")  # nothing is made in it
        refusals = Plan(problem, optimizer, stack, workshop).refusals()
        return tuple(strategy.name for strategy in ALL if strategy.name not in refusals)

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
    ) -> TensorFlowProgram:
        if strategy is not None and strategy not in BY_NAME:
            raise unknown("strategy of backend 'tensorflow'", strategy, BY_NAME)
        place = devices.device(device, dtype)
        plan = Plan(problem, optimizer, stack, self._workshops.get(problem, optimizer, stack, place, dtype))
        if strategy is not None and (reason := plan.refusals().get(strategy)):
            possible = ", ".join(self.strategies(problem, optimizer, stack))
            raise InvalidValueError(
                f"strategy '{strategy}' cannot train this: {reason}. Strategies for it: {possible}."
            )
        plan.check()
        return TensorFlowProgram(plan, steps, strategy)

    def initial_parameters(self, problem: Problem, seeds: Array) -> tuple[dict[str, Array], dict[str, Any]]:
        network = Network(problem, "float32")
        thing = (
            problem.model_object
            if network.own
            else lambda: problem.build_model(inputs=problem.inputs, **problem.model_options)
        )
        return own_models.start(thing, problem.inputs, (network.names, network.buffers), seeds)

    def peak_memory_bytes(self, device: str) -> int | None:
        place = devices.device(device, "float32")
        if place.startswith("/CPU"):
            return None
        card = place.strip("/")
        peak = int(tf.config.experimental.get_memory_info(card)["peak"])
        tf.config.experimental.reset_memory_stats(card)
        return peak


def _set_threads(threads: int) -> None:
    """Fixed once TensorFlow has computed anything, as in a notebook that uses it: then it stays, and is said."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if (present := _threads()) != threads:
            logging.getLogger("kit_tensorflow").info(
                "TensorFlow already runs in this process, with %s; it cannot change to %d threads.",
                f"{present} threads" if present else "its own choice of threads",
                threads,
            )


def _threads() -> int:
    """For each operation; 0: TensorFlow's own choice."""
    return int(tf.config.threading.get_intra_op_parallelism_threads())


def _share(card: Any) -> None:
    try:
        tf.config.experimental.set_memory_growth(card, True)
    except RuntimeError:  # fixed once the card is in use
        return
