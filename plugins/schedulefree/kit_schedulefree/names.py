"""The optimizers of schedulefree 1.4: the learning rate that each takes by itself, and what it needs.

Reading this imports neither PyTorch nor schedulefree; a test compares it with the package.
"""

from __future__ import annotations

from kit.needs import Needs

# The wrappers have that of the optimizer within.
RATES: dict[str, float] = {
    "AdamWScheduleFree": 0.0025,
    "AdamWScheduleFreeClosure": 0.0025,
    "AdamWScheduleFreePaper": 0.0025,
    "AdamWScheduleFreeReference": 0.0025,
    "RAdamScheduleFree": 0.0025,
    "RAdamScheduleFreeClosure": 0.0025,
    "SGDScheduleFree": 1.0,
    "SGDScheduleFreeClosure": 1.0,
    "SGDScheduleFreeReference": 1.0,
    "ScheduleFreeWrapper": 0.1,
    "ScheduleFreeWrapperReference": 0.1,
}

BASES: dict[str, str] = {"ScheduleFreeWrapper": "SGD", "ScheduleFreeWrapperReference": "SGD"}

# Those that take a closure keep the average in the parameters themselves; the others swap it in by `eval()`.
NEEDS: dict[str, Needs] = {
    name: Needs(closure="only") if name.endswith("Closure") else Needs(modes=True) for name in RATES
}

# Its first steps, while the variance of Adam's second moment cannot be rectified, have a learning rate of zero
# (`silent_sgd_phase`), and the checks take no more steps than those.
STANDS = "RAdam's first steps stand still (silent_sgd_phase)."
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    name: {"optimizer.uses_its_learning_rate": STANDS, "optimizer.needs_are_sufficient": STANDS}
    for name in ("RAdamScheduleFree", "RAdamScheduleFreeClosure")
}
