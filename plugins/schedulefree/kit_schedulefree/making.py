"""Functions that make the wrappers, around an optimizer of `torch.optim`."""

from __future__ import annotations

from typing import Any

import schedulefree
import torch


def wrapper(params: Any, lr: float, base: str, **options: Any) -> Any:
    return schedulefree.ScheduleFreeWrapper(getattr(torch.optim, base)(params, lr=lr), **options)


def wrapper_reference(params: Any, lr: float, base: str, **options: Any) -> Any:
    return schedulefree.ScheduleFreeWrapperReference(getattr(torch.optim, base)(params, lr=lr), **options)
