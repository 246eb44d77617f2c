"""Mean loss and accuracy over a split, in slices of rows, so that memory stays bounded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from kit.engine import Split
from kit_torch.setting import Setting
from kit_torch.tensors import as_tensor

SLICE_BYTES = 8 * 2**20  # of what a forward pass computes at once: less than what a training step does
MOST_ROWS = 4096


class Evaluation:
    """The splits on the device, and how they are measured."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.blocks = {
            split: tuple(as_tensor(v, dtype=setting.dtype, device=setting.device) for v in (block.x, block.y))
            for split, block in setting.problem.evaluation.items()
        }
        self._rows: int | None = None

    def measure(self, split: Split, parameters: list[Tensor]) -> dict[str, Any]:
        """{"loss": (N,), "accuracy": (N,)}, float64. parameters: each (N, *shape)."""
        x, y = self.blocks[split]
        rows = x.shape[1]
        totals: dict[str, Tensor] = {}
        for module in self.setting.members:
            module.eval()
        try:
            with torch.no_grad():
                size = self._slice(parameters, x, y)
                for start in range(0, rows, size):
                    part = slice(start, min(rows, start + size))
                    for name, values in self._slice_means(parameters, x[:, part], y[:, part]).items():
                        share = values.double() * ((part.stop - start) / rows)
                        totals[name] = totals[name] + share if name in totals else share
        finally:
            for module in self.setting.members:
                module.train()
        return {name: value.cpu().numpy() for name, value in totals.items()}

    def _slice_means(self, parameters: list[Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Means over a slice of the rows: name -> (N,)."""
        setting = self.setting
        names = list(setting.stacked.spans)
        replicates = torch.as_tensor(setting.stack.replicates)
        own = None if len(x) == 1 else 0
        if setting.traits.vectorises and setting.stack.size > 1:
            xs, ys = (x[0], y[0]) if own is None else (x[replicates], y[replicates])
            found: dict[str, Tensor] = setting.vectorised(
                lambda p, a, b: self.means(setting.members[0], dict(zip(names, p, strict=True)), a, b),
                (0, own, own),
            )(parameters, xs, ys)
            return found
        each = []
        for n, module in enumerate(setting.members):
            r = 0 if own is None else int(replicates[n])
            each.append(self.means(module, dict(zip(names, (p[n] for p in parameters), strict=True)), x[r], y[r]))
        return {name: torch.stack([values[name] for values in each]) for name in each[0]}

    def means(self, module: nn.Module, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        output = self.setting.output(lambda *given: functional_call(module, parameters, given), x)
        found = {"loss": self.setting.loss(output, y)}
        accuracy = self.setting.problem.accuracy
        if accuracy == "argmax" and output.ndim > y.ndim:
            found["accuracy"] = (output.argmax(-1) == y).to(output.dtype).mean()
        elif accuracy is not None:
            found["accuracy"] = ((output.reshape(y.shape) > 0) == (y > 0.5)).to(output.dtype).mean()
        return found

    def _slice(self, parameters: list[Tensor], x: Tensor, y: Tensor) -> int:
        """Rows that are evaluated at once, found by counting what one row computes."""
        if self._rows is None:
            counted = min(2, x.shape[1])
            with _Bytes() as bytes_of:
                self._slice_means(parameters, x[:, :counted], y[:, :counted])
            self._rows = max(1, min(MOST_ROWS, SLICE_BYTES * counted // max(1, bytes_of.total)))
        return self._rows


class _Bytes(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes that operations give."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # see `kit_torch.tape`

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for each in result if isinstance(result, list | tuple) else (result,):
            if isinstance(each, Tensor) and not function.is_view:
                self.total += each.numel() * each.element_size()
        return result
