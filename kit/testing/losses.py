"""Checks of losses: one number per sample, the value and the gradient, extremes, the same in every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import Component, LossSpec, resolve
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import require_finite, require_same

if TYPE_CHECKING:
    from kit.testing.subject import Subject

SAMPLES, CLASSES, PLACES = 8, 4, 5
EXTREME = 1e4  # of a logit, in float32
DISTANCE, SLOPE_BOUND = 1e-6, 1e-6
FORMULA_BOUND = 1e-12


def without_reference(record: Component) -> str:
    named = isinstance(record, LossSpec) and record.reference
    return "" if named else "its record names no `reference`"


def pairs(record: LossSpec) -> list[tuple[str, Any, Any]]:
    """(what, output, target) for each of its tasks, float64 and class numbers."""
    import numpy as np

    source = np.random.default_rng(3)
    wide = 3 * source.normal(size=(SAMPLES, CLASSES)), source.integers(CLASSES, size=SAMPLES)
    narrow = 3 * source.normal(size=SAMPLES)
    bits = source.integers(2, size=SAMPLES).astype(float)
    known = {
        "classification": [("classes", *wide)],
        "language": [("text", source.normal(size=(2, PLACES, CLASSES)), source.integers(CLASSES, size=(2, PLACES)))],
        "binary": [("one logit", narrow, bits)],
        "regression": [
            ("one value", source.normal(size=SAMPLES), source.normal(size=SAMPLES)),
            ("values", source.normal(size=(SAMPLES, 3)), source.normal(size=(SAMPLES, 3))),
        ],
        "objective": [("an objective", narrow, np.zeros(SAMPLES))],
    }
    return [pair for task in record.tasks for pair in known[task]]


def call(subject: Subject, output: Any, target: Any) -> Any:
    """The loss of each sample, in NumPy."""
    arrays, record = subject.arrays, subject.record
    tensor = arrays.from_numpy(output), arrays.from_numpy(target)
    return arrays.to_numpy(resolve(record.build)(*tensor, **record.defaults()))


def gradient(subject: Subject, output: Any, target: Any) -> Any:
    """The gradient of the sum over the samples with respect to the output, in NumPy."""
    arrays, record = subject.arrays, subject.record
    wanted, loss = arrays.from_numpy(target), resolve(record.build)
    found = arrays.gradient(lambda z: loss(z, wanted, **record.defaults()), arrays.from_numpy(output))
    return arrays.to_numpy(found)


@check("loss")
def gives_one_number_per_sample(subject: Subject) -> None:
    """It gives one number for each sample, of that sample alone; the engine takes the mean.

    Mend: average over a sample's own outputs, never over the batch: no `.mean()` over the first axis, no division by
    the number of samples.
    """
    import numpy as np

    for what, output, target in pairs(subject.record):
        whole = np.asarray(call(subject, output, target))
        if whole.shape != (len(output),):
            raise Violation(expected=f"for {what} the shape ({len(output)},), one per sample", got=str(whole.shape))
        parts = [call(subject, output[i : i + 2], target[i : i + 2]) for i in range(0, len(output), 2)]
        found = np.concatenate(parts)
        expected = f"for {what} each sample's loss whatever stands beside it"
        require_same(found, whole, expected=expected, tolerance=FORMULA_BOUND)


@check("loss", unless=without_reference)
def agrees_with_its_reference(subject: Subject) -> None:
    """Its values are those of the function in plain NumPy that its record names.

    Mend: compare with the formula: a factor ½, a mean for a sum over a sample's outputs, a sign.
    """
    import numpy as np

    reference = resolve(str(subject.record.reference))
    for what, output, target in pairs(subject.record):
        expected = np.asarray(reference(output, target, **subject.record.defaults()), dtype=np.float64)
        found = call(subject, output, target)
        require_same(found, expected, expected=f"for {what} the formula in NumPy", tolerance=FORMULA_BOUND)


@check("loss")
def has_the_gradient_of_its_value(subject: Subject) -> None:
    """Its gradient is that of its value: finite differences agree, element by element.

    Mend: use the framework's own differentiable functions; nothing detached, nothing through NumPy.
    """
    import numpy as np

    for what, output, target in pairs(subject.record):
        found, measured = gradient(subject, output, target), np.empty_like(output)
        for place in np.ndindex(*output.shape):
            shift = np.zeros_like(output)
            shift[place] = DISTANCE
            ends = (call(subject, output + sign * shift, target).sum() for sign in (1, -1))
            measured[place] = (next(ends) - next(ends)) / (2 * DISTANCE)
        apart = np.abs(found - measured)
        if not (apart <= SLOPE_BOUND * (1 + np.abs(measured))).all():
            worst = np.unravel_index(int(np.argmax(np.nan_to_num(apart, nan=np.inf))), apart.shape)
            got = f"{found[worst]:.8g} at {tuple(map(int, worst))}"
            raise Violation(expected=f"for {what} {measured[worst]:.8g}, the slope of the value", got=got)


@check("loss")
def is_stable_at_extremes(subject: Subject) -> None:
    """Outputs of ±10,000, in float32, give finite losses and finite gradients.

    Mend: work on logits: log-softmax and softplus instead of a logarithm of a softmax or sigmoid.
    """
    import numpy as np

    for what, output, target in pairs(subject.record):
        wanted = target.astype(np.float32) if target.dtype.kind == "f" else target
        for size in (EXTREME, -EXTREME):
            extreme = np.where(np.arange(output.size).reshape(output.shape) % 3 == 0, size, 0.0).astype(np.float32)
            require_finite(call(subject, extreme, wanted), f"losses of {what}")
            require_finite(gradient(subject, extreme, wanted), f"gradients of {what}")


@check("loss", places=("across",))
def agrees_across_backends(subject: Subject) -> dict[str, Any]:
    """It gives the values and the gradients of the other losses of its family, to 1e-9.

    Mend: one of them means something else by the same name: give it a family of its own.
    """
    if not subject.record.build:
        raise NotApplicable("it has nothing to call")
    return {
        what: (call(subject, output, target), gradient(subject, output, target))
        for what, output, target in pairs(subject.record)
    }
