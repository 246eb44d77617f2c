"""Functions that make what wraps another optimizer, or steps otherwise than by `step()` or `step(closure)`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer import lr_scheduler


def base_class(name: str) -> Any:
    """A class by its name. Raises `ValueError` for one that neither package has."""
    found = getattr(torch.optim, name, None) or getattr(pytorch_optimizer, name, None)
    if not isinstance(found, type):
        raise ValueError(f"base={name!r} is no optimizer of torch.optim or pytorch_optimizer")
    return found


# --- sharpness-aware minimisation: the optimizer within takes the step


def sam(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.SAM(params, base_class(base), lr=lr, **options)


def friendly_sam(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.FriendlySAM(params, base_class(base), lr=lr, **options)


def look_sam(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.LookSAM(params, base_class(base), lr=lr, **options)


def wsam(params: Any, lr: float, base: str, model: Any, **options: Any) -> Any:
    return pytorch_optimizer.WSAM(model, params, base_class(base), lr=lr, **options)


class GSAM(pytorch_optimizer.GSAM):
    """Takes a closure that gives the loss, and lets ρ follow the learning rate."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        self.update_rho_t()
        return super().step(lambda: (None, closure()))[1]


def gsam(params: Any, lr: float, base: str, model: Any, rho: float = 0.05, **options: Any) -> Any:
    """rho: at the full learning rate; it falls with it, in proportion."""
    within = base_class(base)(params, lr=lr)
    # What the scheduler reads where its own scheduler keeps no record: the rate of the optimizer's first group.
    reads = SimpleNamespace(optimizer=within)
    radius = lr_scheduler.proportion.ProportionScheduler(reads, max_lr=lr, max_value=rho, min_value=0.0)
    return GSAM(params, within, model, radius, **options)


# --- wrappers of an optimizer


def lookahead(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.Lookahead(base_class(base)(params, lr=lr), **options)


def magma(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.optimizer.Magma(base_class(base)(params, lr=lr), **options)


def ortho_grad(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.OrthoGrad(base_class(base)(params, lr=lr), **options)


def schedule_free_wrapper(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.ScheduleFreeWrapper(base_class(base)(params, lr=lr), **options)


def trac(params: Any, lr: float, base: str, **options: Any) -> Any:
    return pytorch_optimizer.TRAC(base_class(base)(params, lr=lr), **options)


class SafeFP16Optimizer(pytorch_optimizer.SafeFP16Optimizer):
    """Takes a closure that gives the loss with its graph, which it scales before it takes gradients."""

    def step(self, closure: Callable[[], Any]) -> Any:
        loss = closure()
        self.backward(loss)
        super().step()
        return loss


def safe_fp16(params: Any, lr: float, base: str, **options: Any) -> Any:
    return SafeFP16Optimizer(base_class(base)(params, lr=lr), **options)


# --- updates that are fused into the backward pass


class Fused:
    """Takes a closure that gives the loss with its graph."""

    def step(self, closure: Callable[[], Any]) -> Any:
        loss = closure()
        if self.clip_grad_norm:
            self.grad_norm(loss)
        self.fused_backward(loss, self.param_groups[0]["lr"])
        return loss


class LOMO(Fused, pytorch_optimizer.LOMO): ...


class AdaLOMO(Fused, pytorch_optimizer.AdaLOMO): ...


def lomo(model: Any, lr: float, **options: Any) -> Any:
    return LOMO(model, lr=lr, **options)


def ada_lomo(model: Any, lr: float, **options: Any) -> Any:
    return AdaLOMO(model, lr=lr, **options)
