"""PyTorch's compiler, called for one graph: without what `torch.compile` does at every call.

`torch.compile` looks at each call whether its trace still holds (guards), which takes longer than a step of a small
model: 112 µs for one of the digits MLP, of which the step itself takes 52. What does the same operations every time may
be traced once and handed to inductor as it is; anything else goes through `torch.compile`, which traces it again where
it changed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# What compiles; inductor writes C++ or Triton. Any other name is taken for a backend of torch.compile; with "eager" a
# trace is run as it is.
BACKEND = "inductor"

Program = Callable[[list[Tensor]], Tensor]


def keep_compiled_code() -> None:
    """Have inductor keep what it compiled in the user's cache folder, where a later process finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "descentkit" / "inductor"))


def compiled(function: Callable[..., Tensor], inputs: Sequence[Tensor], *, pure: bool) -> Program:
    """`function(*inputs)` as one program. It is called with a list, whose tensors must be like `inputs`, and may write
    into them.

    pure: the function does the same operations at every call.
    """
    keep_compiled_code()
    if pure:
        try:
            return _traced(function, inputs)
        except (ImportError, AttributeError, TypeError):  # another PyTorch, whose inner functions differ
            pass
    whole = torch.compile(function, backend=BACKEND, fullgraph=True, dynamic=False)
    return lambda given: whole(*given)  # type: ignore[no-any-return]


def _traced(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Program:
    from torch._inductor.decomposition import select_decomp_table
    from torch.fx.experimental.proxy_tensor import make_fx

    # Mutations alone: views taken out become copies, which inductor does not join with what stands beside them.
    functional = torch.func.functionalize(function, remove="mutations")
    copies = [tensor.clone() for tensor in inputs]  # tracing carries the writes out
    graph: Any = make_fx(lambda *given: (functional(*given),), select_decomp_table(), tracing_mode="fake")(*copies)
    if BACKEND == "eager":
        return lambda given: graph(*given)[0]  # type: ignore[no-any-return]
    return _lowered(graph)


def _lowered(graph: Any) -> Program:
    # Loading these takes 2 s, and most runs compile nothing. What PyTorch says of its own old parts is not the user's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch._guards import TracingContext, tracing
        from torch._inductor.compile_fx import compile_fx_inner

        fakes = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
        with tracing(TracingContext(fakes[0].fake_mode)):
            program: Any = compile_fx_inner(graph, fakes)
    return lambda given: program(given)[0]  # type: ignore[no-any-return]
