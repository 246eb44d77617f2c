"""The optimizer classes of `torch.optim`: the learning rate that each takes by itself, and what it needs beyond the
plain loop. SparseAdam is left out: it takes sparse gradients only, which a dense model does not give.

Reading this imports no PyTorch; a test compares it with the classes.
"""

from __future__ import annotations

from kit.needs import Needs

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

NEEDS: dict[str, Needs] = {
    "LBFGS": Needs(closure="only", evaluations=None),
    "Muon": Needs(matrices="only", companion="torch.optim:AdamW"),
}

# Checks that a class cannot pass, with the reason: see `kit.records.Component`.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "ASGD": {"optimizer.leaves_untouched_parameters": "Its decay term, `lambd`, is on by default and shrinks all."},
}
