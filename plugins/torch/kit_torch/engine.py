"""PyTorch as a backend of the kit. See `kit.engine.Engine`."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import torch
from torch import nn

from kit.engine import DeviceReport, Dtype, Native, Problem, Stack
from kit.errors import InvalidValueError
from kit.rules.rule import Rule
from kit_torch import checkpointing, choice, devices, members
from kit_torch.draws import Draws
from kit_torch.network import Traits, make, make_loss, try_out
from kit_torch.program import TorchProgram
from kit_torch.setting import Setting
from kit_torch.stacked import Stacked


class TorchEngine:
    """Made once per worker process.

    Deterministic: the same program on the same device gives the same bits. Products are computed in the full precision
    of their type (no TF32).
    """

    name = "torch"

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with a fixed workspace

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__, "numpy": np.__version__, "machine": platform.machine()}

    def devices(self) -> list[DeviceReport]:
        return devices.find()

    def lost_device(self, error: BaseException) -> bool:
        """See `kit.engine.TellsLoss`: after one of these a CUDA context is dead, and so is its process."""
        return isinstance(error, getattr(torch, "AcceleratorError", ()))

    def strategies(self, problem: Problem, optimizer: Rule | Native, stack: Stack) -> tuple[str, ...]:
        traits = _tried(problem, make(problem, int(stack.seeds[0])), torch.float32)
        again = problem.activation_checkpointing
        return choice.strategies(traits, stack.size, native=isinstance(optimizer, Native), again=again)

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
        precision = torch.float64 if dtype == "float64" else torch.float32
        modules = [make(problem, int(seed)) for seed in stack.seeds]
        traits = _tried(problem, modules[0], precision)
        again = problem.activation_checkpointing
        strategies = choice.strategies(traits, stack.size, native=isinstance(optimizer, Native), again=again)
        if strategy is not None and strategy not in strategies:
            why = " with activation_checkpointing" if again else ""
            raise InvalidValueError(
                f"strategy='{strategy}' is not valid here{why}; it must be one of {', '.join(strategies)}."
            )
        modules = [module.to(device=place, dtype=precision) for module in modules]
        shapes = {name: tuple(p.shape) for name, p in members.trained(modules[0]).items()}
        _check_parameters(problem, shapes)
        stacked = Stacked(shapes, stack.size, precision, place)
        members.place(modules, stacked)
        for module in modules if again else ():
            checkpointing.recompute(module)
        draws = traits.draws or isinstance(optimizer, Native)  # an optimizer may draw too, and does not say so
        setting = Setting(
            problem=problem,
            stack=stack,
            stacked=stacked,
            members=modules,
            loss=make_loss(problem),
            traits=traits,
            draws=Draws([int(seed) for seed in stack.seeds], place) if draws else None,
            device=place,
            dtype=precision,
            autocast=dtype == "bfloat16",
        )
        return TorchProgram(setting, optimizer, steps=steps, strategies=strategies, strategy=strategy)

    def initial_parameters(self, problem: Problem, seeds: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        modules = [make(problem, int(seed)) for seed in seeds]
        each = [members.trained(module) for module in modules]
        parameters = {name: np.stack([own[name].detach().cpu().numpy() for own in each]) for name in each[0]}
        return parameters, members.arrays(modules)

    def peak_memory_bytes(self, device: str) -> int | None:
        return devices.peak_memory_bytes(device)


def _tried(problem: Problem, module: nn.Module, dtype: torch.dtype) -> Traits:
    return try_out(problem, module, make_loss(problem), dtype)


def _check_parameters(problem: Problem, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise `InvalidValueError` where the module has other parameters than its record says, or none."""
    if not shapes:
        raise InvalidValueError("The model has no parameters to train.")
    if problem.parameters is None:
        return
    declared = {p.name: p.shape for p in problem.parameters}
    if declared != shapes:
        names = sorted(name for name in {*declared, *shapes} if declared.get(name) != shapes.get(name))
        said = ", ".join(f"'{name}' {shapes.get(name, 'missing')} instead of {declared.get(name)}" for name in names)
        raise InvalidValueError(f"The module's parameters are not those that its record declares: {said}.")
