"""Every optimizer class of Keras, the wrapping ones too, tried for a few steps in one process."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow")

pytestmark = pytest.mark.tensorflow

STEPS = 60
# At Keras's own learning rate of 0.001 its steps on the function are about a millionth.
SLOW = {"keras.Adadelta"}


def test_every_one_trains_and_is_taken_up_to_the_bit() -> None:
    from tests.natives.trial import Trials

    trials = Trials("tensorflow", STEPS)
    found: dict[str, Any] = {record.name: trials.of(record) for record in trials.records()}
    faults = {name: each.fault for name, each in found.items() if each.fault}
    assert set(faults) == SLOW, faults
    assert {"keras.LossScaleOptimizer", "keras.MultiOptimizer", "keras.Muon"} <= set(found)
