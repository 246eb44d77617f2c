"""PyTorch as a backend of the kit. See `kit.engine.Engine`."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import torch

from kit.engine import DeviceReport, Dtype, Native, Problem, Stack
from kit.errors import InvalidValueError
from kit.rules.rule import Rule
from kit_torch import devices
from kit_torch.modules import check_output, make, make_loss, moving, vmappable
from kit_torch.program import TorchProgram


class TorchEngine:
    """Made once per worker process."""

    name = "torch"

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__, "numpy": np.__version__, "machine": platform.machine()}

    def devices(self) -> list[DeviceReport]:
        return devices.find()

    def strategies(self, problem: Problem, optimizer: Rule | Native, stack: Stack) -> tuple[str, ...]:
        if isinstance(optimizer, Native) or not vmappable(problem, make(problem, int(stack.seeds[0]))):
            return ("views",)
        # Random draws of the host come as a mapping, which the compiled step does not take.
        compiled = () if problem.noise else ("compiled",)
        return ("views", *(("vmap",) if stack.size > 1 else ()), *compiled)

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
    ) -> TorchProgram:
        place = devices.device(device, dtype)
        strategies = self.strategies(problem, optimizer, stack)
        if strategy is not None and strategy not in strategies:
            raise InvalidValueError(
                f"strategy='{strategy}' is not valid here; it must be one of {', '.join(strategies)}."
            )
        precision = torch.float64 if dtype == "float64" else torch.float32
        modules = [make(problem, int(seed)) for seed in stack.seeds]
        autocast = dtype == "bfloat16"
        loss = make_loss(problem, autocast)
        for block in list(problem.evaluation.values())[:1]:
            check_output(problem, modules[0], loss, block, precision)
        return TorchProgram(
            problem,
            optimizer,
            stack,
            modules=modules,
            loss=loss,
            device=place,
            dtype=precision,
            autocast=autocast,
            steps=steps,
            strategies=strategies,
            strategy=strategy,
        )

    def initial_parameters(self, problem: Problem, seeds: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        modules = [make(problem, int(seed)) for seed in seeds]
        parameters = {
            name: np.stack([module.get_parameter(name).detach().cpu().numpy() for module in modules])
            for name, _ in modules[0].named_parameters()
        }
        buffers = {
            name: np.stack([module.get_buffer(name).detach().cpu().numpy() for module in modules])
            for name in moving(modules[0])
        }
        return parameters, buffers

    def peak_memory_bytes(self, device: str) -> int | None:
        if not device.startswith("cuda"):
            return None
        peak = torch.cuda.max_memory_allocated(torch.device(device))
        torch.cuda.reset_peak_memory_stats(torch.device(device))
        return int(peak)
