"""What makes a larger model fit on the same device, at the price of time: options of an experiment that change no step.

`gradient_accumulation=k` takes the gradient of a step's batch in k parts, one after the other, so that the activations
of one part are held at a time. `activation_checkpointing=True` keeps the inputs of a model's blocks alone and computes
what is inside them again for the backward pass. Both give the same trajectory but for rounding; except that what a
model does with a batch as a whole it then does with each part: batch normalisation takes each part's mean and variance
and moves its averages once for each, and a dropout of the model's own draws part by part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError

if TYPE_CHECKING:
    from kit.experiment import Experiment
    from kit.records import BackendSpec

# Fields that stand in no document where they say nothing: a run without them is named as it was before there were any.
LEVERS = ("gradient_accumulation", "activation_checkpointing")


def used(experiment: Experiment, backend: BackendSpec, batch: int) -> dict[str, Any]:
    """The levers that an experiment uses: name -> value. batch: the samples of a step.

    Raises `InvalidValueError` for one that the backend has not, or that does not fit the batch.
    """
    found = {name: value for name, value in experiment.document().items() if name in LEVERS}
    for name in found:
        if name not in backend.levers:
            has = f"it has {', '.join(backend.levers)}" if backend.levers else "it has no such option"
            raise InvalidValueError(f"backend '{backend.name}' has no {name}; {has}.")
    if experiment.gradient_accumulation > batch:
        raise InvalidValueError(
            f"gradient_accumulation={experiment.gradient_accumulation} is not valid: a step uses a batch of {batch}, "
            f"which has at most {batch} parts."
        )
    return found


def parts(batch: int, count: int) -> list[tuple[int, int]]:
    """(start, stop) of the parts of a batch: `count` of them or fewer, of equal size but for a smaller last one.

    A part's mean loss counts by its share of the samples, (stop − start) / batch.

        parts(10, 4)  # [(0, 3), (3, 6), (6, 9), (9, 10)]
    """
    size = -(-batch // count)
    return [(start, min(start + size, batch)) for start in range(0, batch, size)]


def segments(composite: list[bool]) -> list[tuple[int, int]]:
    """(start, stop) of the stretches of a chain of stages that are computed again together.

    composite: of each stage, whether it is a block of several operations: it is a stretch of its own, as what it holds
    inside is far more than its input. Of n simple ones in a row √n go together: then √n inputs are kept, and √n
    activations computed again at a time (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost).
    """
    found: list[tuple[int, int]] = []
    start = 0
    while start < len(composite):
        stop = start + 1
        while not composite[start] and stop < len(composite) and not composite[stop]:
            stop += 1
        size = max(1, round((stop - start) ** 0.5))
        found += [(first, min(first + size, stop)) for first in range(start, stop, size)]
        start = stop
    return found
