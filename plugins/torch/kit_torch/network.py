"""The modules and the loss of a stack: made from a plugin's function or the user's own object, and tried on two
samples.

What is found out in the trial decides which loops may train it (`Traits`): a module that draws random numbers or keeps
moving means must run as it is; one whose forward pass is a function of its arguments and parameters alone may be
vectorised; and where nothing but PyTorch's own layers and ours take part, its operations may be recorded and played
back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kit.engine import Block, Problem
from kit.errors import InvalidValueError, KitError
from kit_torch import losses
from kit_torch.tensors import as_tensor

Loss = Callable[[Tensor, Tensor], Tensor]
PLAIN_MODULES = ("torch.nn.modules.", "kit_torch.")
PLAIN_LOSSES = ("torch.nn.functional", "torch.nn.modules.", "kit_torch.")


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a problem's module and loss do beside computing."""

    draws: bool  # random numbers of its own, in training
    keeps: bool  # more than trained parameters: moving means, counters, frozen parameters
    pure: bool  # nothing but PyTorch's own operations and ours, and no state: what one step computes, every step does

    @property
    def vectorises(self) -> bool:
        """Whether one call may stand for all members of a stack."""
        return not self.draws and not self.keeps


def make(problem: Problem, seed: int) -> nn.Module:
    """One module. A user's instance is copied; a class or a function is called, its draws seeded; the process's own
    random state is left alone.

    Raises `InvalidValueError` where what was passed makes no module.
    """
    given = problem.model_object
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if given is None:
            module = problem.build_model(inputs=problem.inputs, **problem.model_options)
        else:
            module = given(**problem.model_options)
        if not isinstance(module, nn.Module):
            raise InvalidValueError(f"model {given!r} made a {type(module).__name__}; it must make a torch.nn.Module.")
        return _materialised(module, problem)


def _materialised(module: nn.Module, problem: Problem) -> nn.Module:
    """Lazy layers get their shapes from a first sample."""
    block = _some_block(problem)
    if block is not None and any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
        with torch.no_grad():
            module.eval()(as_tensor(block.x[0, :2], dtype=torch.get_default_dtype()))
    return module


def _some_block(problem: Problem) -> Block | None:
    return problem.train or next(iter(problem.evaluation.values()), None)


def make_loss(problem: Problem) -> Loss:
    """The mean loss of a batch, whatever the loss function gives for it: one number, or one for each sample."""
    build, options = problem.build_loss, dict(problem.loss_options)
    if isinstance(build, type) and issubclass(build, nn.Module):
        build, options = build(**options), {}

    def mean(output: Tensor, target: Tensor) -> Tensor:
        value: Tensor = build(fitted(output, target), target, **options)
        return value.mean() if value.ndim else value

    return mean


def fitted(output: Tensor, target: Tensor) -> Tensor:
    """(batch, 1) as (batch,) beside a target of one number per sample: what a last layer of one unit gives."""
    if output.ndim == target.ndim + 1 and output.shape[-1] == 1 and target.is_floating_point():
        return output.squeeze(-1)
    return output


def try_out(problem: Problem, module: nn.Module, loss: Loss, dtype: torch.dtype) -> Traits:
    """Run two samples through a copy of the module, on the CPU. Raises `InvalidValueError` naming the shapes where the
    module does not take the data, or its output does not fit the loss."""
    buffers = bool(list(module.buffers())) or not all(p.requires_grad for p in module.parameters())
    block = _some_block(problem)
    if block is None:
        return Traits(draws=True, keeps=buffers, pure=False)  # nothing to try it on: the universal loop runs anything
    probe = copy.deepcopy(module).to(dtype=dtype, device="cpu")
    x, y = (as_tensor(v[0, :2], dtype=dtype) for v in (block.x, block.y))
    _check(problem, probe.eval(), loss, x, y)  # two samples must not move a BatchNorm
    draws = _draws(problem, probe.train(), loss, x, y)
    pure = not draws and not buffers and _plain(module) and _plain_loss(problem)
    return Traits(draws=draws, keeps=buffers, pure=pure)


def _said(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}, {str(tensor.dtype).removeprefix('torch.')}"


def _check(problem: Problem, probe: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> None:
    where = f"samples {_said(x)} and targets {_said(y)}"
    with torch.no_grad():
        try:
            output = probe(x)
        except Exception as error:
            raise InvalidValueError(
                f"The model does not take the data ({where}): {type(error).__name__}: {error}"
            ) from error
        if not isinstance(output, Tensor):
            raise InvalidValueError(f"The model gives a {type(output).__name__}; it must give one tensor.")
        expected = _expected(problem, y)
        if expected is not None and tuple(fitted(output, y).shape) != expected:
            raise InvalidValueError(
                f"The model's output does not fit the loss: it is {tuple(output.shape)} for {where}; it must be "
                f"{expected}."
            )
        try:
            value = loss(output, y)
        except KitError:
            raise
        except Exception as error:
            raise InvalidValueError(
                f"The loss does not take the model's output {tuple(output.shape)} ({where}): "
                f"{type(error).__name__}: {error}"
            ) from error
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise InvalidValueError(
            f"The loss gives {value!r} for {where}; it must give one number for each sample, or one for the batch."
        )


def _expected(problem: Problem, y: Tensor) -> tuple[int, ...] | None:
    """The output that the task asks for: logits for every class, or a value for every target; None: anything goes."""
    if problem.inputs.task in ("classification", "language"):
        return (*y.shape, problem.inputs.outputs)
    if problem.inputs.task in ("regression", "binary"):
        return tuple(y.shape)
    return None


def _draws(problem: Problem, probe: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> bool:
    """Whether a training pass draws random numbers: those that the host makes for it do not count."""
    noise = {name: torch.full((len(x), *shape), 0.5, dtype=x.dtype) for name, shape in problem.noise}
    with torch.random.fork_rng(), torch.no_grad():
        before = torch.random.get_rng_state()
        try:
            loss(probe(x, noise) if noise else probe(x), y)
        except (RuntimeError, ValueError):
            return True  # it takes no two samples in training: let the loop that runs everything say so, if it must
        return not torch.equal(before, torch.random.get_rng_state())


def _plain(module: nn.Module) -> bool:
    """Whether every part is PyTorch's own layer, or one that says `pure`, without hooks or parametrisations."""
    if getattr(module, "pure", False) and type(module).__module__.startswith("kit_torch."):
        return True
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return all(
        type(part).__module__.startswith(PLAIN_MODULES) and not any(getattr(part, name) for name in hooks)
        for part in module.modules()
    )


def _plain_loss(problem: Problem) -> bool:
    build: Any = problem.build_loss
    where = getattr(build, "__module__", None) or type(build).__module__
    name = getattr(build, "__name__", "")
    if where == losses.__name__:
        return hasattr(losses, name)
    return isinstance(where, str) and where.startswith(PLAIN_LOSSES)
