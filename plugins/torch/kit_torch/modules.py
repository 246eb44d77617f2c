"""Making the modules of a stack: from a plugin's function or the user's own object, checked against the data."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kit.engine import Block, Problem
from kit.errors import InvalidValueError

Loss = Callable[[Tensor, Tensor], Tensor]


def make(problem: Problem, seed: int) -> nn.Module:
    """One module. A user's instance is copied; a class or a function is called, its draws seeded.

    Raises `InvalidValueError` where what was passed makes no module.
    """
    given = problem.model_object
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    torch.manual_seed(seed)
    if given is None:
        module = problem.build_model(inputs=problem.inputs, **problem.model_options)
    else:
        module = given(**problem.model_options)
    if not isinstance(module, nn.Module):
        raise InvalidValueError(f"model {given!r} made a {type(module).__name__}; it must make a torch.nn.Module.")
    return module


def make_loss(problem: Problem, autocast: bool = False) -> Loss:
    """The mean loss of a batch, whatever the loss function gives for it: one number, or one for each sample.

    autocast: the model's output comes in bfloat16; three digits are too few for a loss, so it is taken in float32.
    """
    build, options = problem.build_loss, dict(problem.loss_options)

    def mean(output: Tensor, target: Tensor) -> Tensor:
        output = fitted(output, target)
        return build(output.float() if autocast else output, target, **options).mean()

    return mean


def fitted(output: Tensor, target: Tensor) -> Tensor:
    """(batch, 1) as (batch,) beside a target of one number per sample: what a last layer of one unit gives."""
    if output.ndim == target.ndim + 1 and output.shape[-1] == 1 and target.is_floating_point():
        return output.squeeze(-1)
    return output


def check_output(problem: Problem, module: nn.Module, loss: Loss, block: Block, dtype: torch.dtype) -> None:
    """Run two samples through, so that a misfit is said before training. Raises `InvalidValueError` naming the
    shapes."""
    x, y = torch.as_tensor(block.x[0, :2]), torch.as_tensor(block.y[0, :2])
    probe = copy.deepcopy(module).to(dtype=dtype, device="cpu").eval()  # two samples must not move a BatchNorm
    where = f"samples {tuple(x.shape)} and targets {tuple(y.shape)}, {str(y.dtype).removeprefix('torch.')}"
    try:
        with torch.no_grad():
            output = probe(x)
    except Exception as error:
        raise InvalidValueError(
            f"The model does not take the data ({where}): {type(error).__name__}: {error}"
        ) from error
    if not isinstance(output, Tensor):
        raise InvalidValueError(f"The model gives a {type(output).__name__}; it must give one tensor.")
    expected = _expected(problem, x, y)
    if expected is not None and tuple(fitted(output, y).shape) != expected:
        raise InvalidValueError(
            f"The model's output does not fit the loss: it is {tuple(output.shape)} for {where}; it must be {expected}."
        )
    try:
        with torch.no_grad():
            value = loss(output, y)
    except Exception as error:
        raise InvalidValueError(
            f"The loss does not take the model's output {tuple(output.shape)} ({where}): {type(error).__name__}: "
            f"{error}"
        ) from error
    if value.ndim:
        raise InvalidValueError("The loss must give one number for each sample, or one for the batch.")


def _expected(problem: Problem, x: Tensor, y: Tensor) -> tuple[int, ...] | None:
    """The output that the task asks for: logits for every class, or a value for every target; None: anything goes."""
    if problem.inputs.task in ("classification", "language"):
        return (*y.shape, problem.inputs.outputs)
    if problem.inputs.task in ("regression", "binary"):
        return tuple(y.shape)
    return None


def moving(module: nn.Module) -> list[str]:
    """The names of the buffers that training may change: all, unless the module says that it is `pure`."""
    return [] if getattr(module, "pure", False) else [name for name, _ in module.named_buffers()]


def vmappable(problem: Problem, module: nn.Module) -> bool:
    """Whether one call may stand for all members: no state beside the parameters, no draws of its own.

    A module may say so itself, by an attribute `pure`: its buffers, if any, are then constants.
    """
    return not moving(module) and not draws(problem, module)


def draws(problem: Problem, module: nn.Module) -> bool:
    """Whether the module draws from PyTorch's generator in training. It is tried on two samples where there are any."""
    if problem.noise or getattr(module, "pure", False):
        return False
    block = next(iter(problem.evaluation.values()), problem.train)
    layers = (nn.modules.dropout._DropoutNd, nn.RReLU)
    if block is None or any(isinstance(part, layers) for part in module.modules()):
        return any(isinstance(part, layers) for part in module.modules())
    probe, before = copy.deepcopy(module).train(), torch.get_rng_state()
    with torch.no_grad(), contextlib.suppress(Exception):  # what does not fit is said by `check_output`
        probe(torch.as_tensor(block.x[0, :2]).to(_dtype(probe, block)))
    drawn = not torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(before)
    return drawn


def _dtype(module: nn.Module, block: Block) -> torch.dtype:
    """Of the samples as the module takes them: its parameters' for numbers, their own for token numbers."""
    x = torch.as_tensor(block.x[0, :1])
    return next((p.dtype for p in module.parameters()), x.dtype) if x.is_floating_point() else x.dtype
