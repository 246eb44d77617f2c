"""PyTorch's own optimizers: their names, and one of them at work on one member of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NUMBER = "="  # ends the name of what is a number of Python's in the optimizer, not a tensor


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
    """The optimizer's state as arrays: "<index>/<key>" -> array. Python's own numbers become arrays of no dimension
    under "<key>=", lists (a closure's history) are flattened with the position in the key."""
    import numpy as np
    import torch

    found: dict[str, Any] = {}

    def visit(key: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found[key] = value.detach().cpu().numpy().copy()
        elif isinstance(value, bool | int | float):
            found[key + NUMBER] = np.array(value)
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                visit(f"{key}/{i}", item)
        elif isinstance(value, dict):
            for name, item in value.items():
                visit(f"{key}/{name}", item)

    for index, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            visit(f"{index}/{name}", value)
    return found


def _parameters(optimizer: Any) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


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
        if path[-1].endswith(NUMBER):
            place[path[-1].removesuffix(NUMBER)] = np.asarray(array).item()
            continue
        place[path[-1]] = torch.from_numpy(np.array(array))  # a stack's row of numbers is a NumPy scalar
    # Not by load_state_dict, which casts every tensor but "step" to the parameter's dtype (ASGD and NAdam keep float32
    # numbers beside float64 parameters), and so would change the numbers of the steps to come.
    optimizer.state.clear()
    for index, parameter in enumerate(_parameters(optimizer)):
        if index in tree:
            entries = {name: _listed(value, parameter.device) for name, value in tree[index].items()}
            optimizer.state[parameter] = entries


def _listed(value: Any, device: torch.device) -> Any:
    """Lists for what has positions in place of names; tensors on the device, but for counts, which stay on the CPU."""
    if isinstance(value, dict) and value and all(key.isdigit() for key in value):
        return [_listed(value[key], device) for key in sorted(value, key=int)]
    if isinstance(value, dict):
        return {key: _listed(item, device) for key, item in value.items()}
    if isinstance(value, bool | int | float):
        return value
    return value.to(device) if value.ndim else value
