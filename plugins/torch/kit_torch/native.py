"""PyTorch's own optimizers: their names, and one of them at work on one member of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# torch.optim's classes with the learning rate that each takes by itself. SparseAdam is for sparse gradients only.
NATIVE = {
    "ASGD": 0.01,
    "Adadelta": 1.0,
    "Adafactor": 0.01,
    "Adagrad": 0.01,
    "Adam": 0.001,
    "AdamW": 0.001,
    "Adamax": 0.002,
    "LBFGS": 1.0,
    "Muon": 0.001,
    "NAdam": 0.002,
    "RAdam": 0.001,
    "RMSprop": 0.01,
    "Rprop": 0.01,
    "SGD": 0.001,
}
MATRICES_ONLY = ("Muon",)


def construct(kind: Any, parameters: Mapping[str, torch.Tensor], options: Mapping[str, Any], rate: float) -> Any:
    """A fresh optimizer over one member's parameters. Raises `InvalidValueError` with the class's own words."""
    from kit.errors import InvalidValueError

    try:
        return kind(list(parameters.values()), **{"lr": rate, **options})
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidValueError(f"optimizer '{kind.__name__}' cannot be made: {error}") from error


def set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def state_arrays(optimizer: Any) -> dict[str, Any]:
    """The optimizer's state as arrays: "<index>/<key>" -> array. Numbers become arrays of no dimension; anything else
    (a closure's history in nested lists) is flattened with its position in the key."""
    import torch

    found: dict[str, Any] = {}

    def visit(key: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found[key] = value.detach().cpu().numpy().copy()
        elif isinstance(value, bool | int | float):
            found[key] = _number(value)
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                visit(f"{key}/{i}", item)
        elif isinstance(value, dict):
            for name, item in value.items():
                visit(f"{key}/{name}", item)

    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            visit(f"{index}/{name}", value)
    return found


def _number(value: float) -> Any:
    import numpy as np

    return np.array(value)


def restore(optimizer: Any, arrays: Mapping[str, Any]) -> None:
    """The inverse of `state_arrays`: tensors and numbers at their places, without pickle."""
    import numpy as np
    import torch

    tree: dict[Any, Any] = {}
    for key, array in arrays.items():
        index, *path = key.split("/")
        place = tree.setdefault(int(index), {})
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = torch.from_numpy(np.array(array))  # a stack's row of numbers is a NumPy scalar
    # load_state_dict casts what it loads to the parameter's dtype, but for a tensor named "step": so numbers that were
    # Python's own (LBFGS counts its calls) are given back as such.
    state = {index: {name: _listed(value) for name, value in entries.items()} for index, entries in tree.items()}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _listed(value: Any) -> Any:
    if isinstance(value, dict) and value and all(key.isdigit() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if value.ndim == 0 and not value.dtype.is_floating_point:
        return value.item()
    return value
