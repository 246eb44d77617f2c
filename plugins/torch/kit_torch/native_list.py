"""The optimizer classes of `torch.optim`, with the learning rate that each takes by itself. SparseAdam is left out: it
takes sparse gradients only, which a dense model does not give.

them imports no PyTorch; a test compares it with the classes.
"""

from __future__ import annotations

NATIVE: dict[str, float] = {
    "ASGD": 1e-2,
    "Adadelta": 1.0,
    "Adafactor": 1e-2,
    "Adagrad": 1e-2,
    "Adam": 1e-3,
    "AdamW": 1e-3,
    "Adamax": 2e-3,
    "LBFGS": 1.0,
    "Muon": 1e-3,
    "NAdam": 2e-3,
    "RAdam": 1e-3,
    "RMSprop": 1e-2,
    "Rprop": 1e-2,
    "SGD": 1e-3,
}
