"""Checks of every optimizer: of a rule in NumPy and in each backend, of a native class in its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import resolve
from kit.testing.bench import spread
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import leaves, require_finite, require_same

if TYPE_CHECKING:
    from kit.testing.subject import Subject

STEPS = 4  # of a comparison to the last bit
LONGER = 50  # of a descent
LEAST_FALL = 1e-6  # of the loss, relative, over so many steps: the slowest default rate known gives 1e-5
ROUNDING = {"float64": 1e-9, "float32": 1e-4}  # relative, where the order of summation differs


@check("optimizer")
def builds(subject: Subject) -> None:
    """With nothing but its defaults it can be made, and takes a step.

    Mend: every argument without a default needs a hyperparameter on the record that has one.
    """
    subject.bench.session().advance(1)


@check("optimizer")
def stays_finite(subject: Subject) -> None:
    """At its defaults, on a smooth convex problem, losses and parameters stay finite for 50 steps.

    Mend: lower the default learning rate, or keep denominators away from zero (an ε, `xp.tiny`).
    """
    session = subject.bench.session()
    require_finite(session.advance(LONGER), "losses")
    require_finite(session.reported(), "parameters")


@check("optimizer")
def lowers_a_quadratic(subject: Subject) -> None:
    """At its defaults, it lowers a convex quadratic within 50 steps.

    Mend: the sign of the update (p − η g), or a default learning rate that does something.
    """
    session = subject.bench.session()
    before = float(session.loss()[0])
    session.advance(LONGER)
    after = float(session.loss()[0])
    if not after < before * (1 - LEAST_FALL):
        raise Violation(expected=f"a loss below {before:.6g}, where it began", got=f"{after:.6g} after {LONGER} steps")


@check("optimizer")
def is_deterministic(subject: Subject) -> None:
    """The same start and the same batches give the same numbers, to the last bit.

    Mend: draw nothing from an unseeded generator; what is random comes from the host.
    """
    one, two = subject.bench.session(fresh=True), subject.bench.session(fresh=True)
    expected = one.advance(STEPS), one.reported()
    require_same((two.advance(STEPS), two.reported()), expected, expected="two equal runs")


@check("optimizer")
def keeps_state_to_itself(subject: Subject) -> None:
    """What an update remembers is in the run's own state: two runs that take turns do not affect each other.

    Mend: keep nothing in a global, on the class or on `self`: return it as a slot (or, a scalar, in `carry`).
    """
    alone = subject.bench.session(fresh=True)
    expected = alone.advance(STEPS), alone.reported()
    one, two = subject.bench.session(fresh=True), subject.bench.session(fresh=True)
    losses = []
    for _ in range(STEPS):
        losses.append(one.advance(1)[0])
        two.advance(1)
    require_same(list(losses), list(expected[0]), expected="a run beside another as the run alone")
    require_same(one.reported(), expected[1], expected="a run beside another as the run alone")


@check("optimizer")
def resumes_bit_for_bit(subject: Subject) -> None:
    """A run continued from its stored state, by a fresh object, goes on as if it had never stopped, to the last bit.

    Mend: everything that the next step needs must be in the slots, the carry, or the class's own `state_dict`.
    """
    whole = subject.bench.session(fresh=True)
    whole.advance(STEPS)
    snapshot = whole.snapshot()
    expected = whole.advance(STEPS), whole.reported()
    again = subject.bench.session(fresh=True)
    again.resume(snapshot)
    found = again.advance(STEPS), again.reported()
    require_same(found, expected, expected="the continued run as the one that went through")


@check("optimizer")
def stores_plain_state(subject: Subject) -> None:
    """Its state is arrays of numbers, which a checkpoint holds and gives back without pickle.

    Mend: keep arrays, numbers, strings, and lists and dictionaries of them; no objects.
    """
    import tempfile
    from pathlib import Path

    from kit.store.tensors import read_tensors, write_tensors

    session = subject.bench.session()
    session.advance(STEPS)
    snapshot = session.snapshot()
    reason = getattr(snapshot[0], "unsaved", "")
    if reason:
        raise Violation(expected="a state that can be stored", got=reason)
    state = leaves(_numbers(snapshot))
    with tempfile.TemporaryDirectory(prefix="kit-check-") as folder:
        file = Path(folder) / "state.safetensors"
        write_tensors(file, state, {}, "kit check")
        back, _ = read_tensors(file, "kit check")
    require_same(back, {name: _array(value) for name, value in state.items()}, expected="the state as it was written")


def _numbers(snapshot: Any) -> Any:
    """What of a snapshot goes into a checkpoint as arrays."""
    state: Any = snapshot[0]
    if not hasattr(state, "slots"):
        return snapshot
    return {"parameters": state.parameters, "slots": state.slots, "buffers": state.buffers}


def _array(value: Any) -> Any:
    import numpy as np

    return np.asarray(value)


@check("optimizer")
def leaves_untouched_parameters(subject: Subject) -> None:
    """A parameter whose gradient is zero in every step stays where it is, without weight decay.

    Mend: a zero gradient must give a zero update; weight decay is the host's affair, or an option that can be zero.
    """
    import numpy as np

    session = subject.bench.session(still=True)
    still = {name: np.asarray(g) == 0 for name, g in session.gradients().items()}
    if not subject.record.rule or not _elementwise(subject.record):  # then a parameter is one whole
        still = {name: np.full_like(zero, zero.all()) for name, zero in still.items()}
    if not any(zero.any() for zero in still.values()):
        raise NotApplicable("no parameter of the problem has a gradient of zero")
    before = session.reported()
    session.advance(STEPS)
    after = session.reported()
    for name, zero in still.items():
        # (1 − β) p + β p is p but for rounding: an average of equal numbers may move by that.
        rounding = 4 * np.finfo(before[name].dtype).eps * (1 + np.abs(before[name]))
        moved = np.abs(after[name] - before[name]) * zero
        if (moved > rounding).any():
            got = f"'{name}' moved by {np.nanmax(moved):.2g} in {STEPS} steps without a gradient"
            raise Violation(expected="a parameter without a gradient that stays", got=got)


def _elementwise(record: Any) -> bool:
    return bool(resolve(str(record.rule)).elementwise)


@check("optimizer")
def restores_after_evaluation(subject: Subject) -> None:
    """Reading losses, gradients and parameters in the middle of a run changes none of its numbers.

    Mend: evaluation mode must be left as it was entered; `evaluated` must give new arrays.
    """
    plain = subject.bench.session()
    expected = plain.advance(2 * STEPS), plain.reported()
    read = subject.bench.session(fresh=True)
    first = read.advance(STEPS)
    read.read()
    found = [*first, *read.advance(STEPS)], read.reported()
    require_same(found, ([*expected[0]], expected[1]), expected="a run that was read as one that was not")


@check("optimizer")
def uses_its_learning_rate(subject: Subject) -> None:
    """Half the learning rate makes another trajectory.

    Mend: multiply the update by `h.learning_rate` (a native class: by the rate in its groups, at every step).
    """
    import numpy as np

    session = subject.bench.session(_two_rates(subject))
    session.advance(STEPS)
    for value in session.reported().values():
        if not np.array_equal(value[0], value[1]):
            return
    raise Violation(expected="parameters that depend on the learning rate", got="the same parameters at half the rate")


def _two_rates(subject: Subject) -> list[dict[str, float]]:
    defaults = subject.record.defaults()
    if "learning_rate" not in defaults:
        raise NotApplicable("it has no hyperparameter 'learning_rate'")
    return [{}, {"learning_rate": 0.5 * float(defaults["learning_rate"])}]


@check("optimizer")
def stacks_as_alone(subject: Subject) -> None:
    """A run that trains in a stack beside others gives what it gives alone.

    Mend: reduce over the axes after the first only: the first holds the trials, each with hyperparameters of its own.
    """
    members = _two_rates(subject) if subject.backend else spread(subject.record, 4)
    tolerance = ROUNDING[subject.bench.dtype] if subject.backend else 0.0
    for structure in subject.bench.variants:
        stack = subject.bench.session(members, structure=structure)
        losses, ends = stack.advance(STEPS), stack.reported()
        for n, member in enumerate(members):
            if subject.backend and n == 0:
                continue  # one of two tells as much
            alone = subject.bench.session([member], structure=structure)
            found = alone.advance(STEPS)[:, 0], {name: value[0] for name, value in alone.reported().items()}
            expected = losses[:, n], {name: value[n] for name, value in ends.items()}
            require_same(found, expected, expected=f"member {n} of a stack as alone", tolerance=tolerance)


@check("optimizer")
def keeps_its_precision(subject: Subject) -> None:
    """In float32 its parameters and its state stay in float32.

    Mend: no float64 array in the update: scalars belong in `coefficients`, arrays are made with `xp.zeros_like`.
    """
    import numpy as np

    session = subject.bench.session(dtype="float32")
    session.advance(2)
    parameters, slots = _parameters_and_slots(subject, session.snapshot())
    for name, value in {**parameters, **slots}.items():
        if np.asarray(value).dtype == np.float64:
            raise Violation(expected="float32 throughout", got=f"'{name}' in float64 after 2 steps")


def _parameters_and_slots(subject: Subject, snapshot: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a session's snapshot, by name; of a rule in a backend only the slots that the rule itself has."""
    if subject.backend is None:
        return leaves(snapshot[0], "parameter"), leaves(snapshot[1], "slot")
    state = snapshot[0]
    own = resolve(subject.record.rule).slots if subject.record.rule else ()
    return leaves(state.parameters), leaves({name: state.slots[name] for name in own if name in state.slots})
