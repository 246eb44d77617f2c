"""The hand-written TensorFlow loops, against each other."""

from __future__ import annotations

import pytest

from bench.problems import PROBLEMS, material

pytestmark = pytest.mark.tensorflow
STEPS = 50  # those with 50 steps to a call take multiples of it


@pytest.mark.parametrize(("problem", "loops"), [("mlp", ("eager", "graph", "graph50", "xla50")), ("cnn", ("graph50",))])
def test_every_loop_trains_alike(problem: str, loops: tuple[str, ...]) -> None:
    from bench import raw_tensorflow

    given = material(PROBLEMS[problem])
    reference = raw_tensorflow.LOOPS["graph"](given).advance(given.batches(0, STEPS))
    for kind in loops:
        assert raw_tensorflow.LOOPS[kind](given).advance(given.batches(0, STEPS)) == pytest.approx(reference, rel=1e-3)


def test_a_restart_begins_anew() -> None:
    from bench import raw_tensorflow

    given = material(PROBLEMS["mlp-adam"])
    for kind in ("eager", "xla50"):
        loop = raw_tensorflow.LOOPS[kind](given)
        first = loop.advance(given.batches(0, STEPS))
        loop.restart(0.05)
        other = loop.advance(given.batches(0, STEPS))
        loop.restart(given.learning_rate)
        assert loop.advance(given.batches(0, STEPS)) == first != other
