"""Checks of rules alone: what their arithmetic does in NumPy, and that every backend computes the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kit.records import OptimizerSpec, resolve
from kit.testing.bench import spread
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import require_same
from kit.testing.numpy_bench import NumpyBench, NumpySession
from kit.testing.optimizers import ROUNDING, STEPS

if TYPE_CHECKING:
    from kit.testing.subject import Subject

REFERENCE_STEPS = 25
BOUND = 1e-10  # of parity, in float64: see README
CHUNKED = 300  # steps over which scalars must not depend on how they are cut
PARITY_STEPS = 20


def rules_only(record: Any) -> str:
    return "" if isinstance(record, OptimizerSpec) and record.rule else "it is a framework's own class, no rule"


def no_promise(record: Any) -> str:
    if not isinstance(record, OptimizerSpec) or not record.rule:
        return "a native optimizer is outside the promise of parity"
    return f"exempt from parity: {record.exempt_from_parity}" if record.exempt_from_parity else ""


def host_bench(subject: Subject) -> NumpyBench:
    assert isinstance(subject.bench, NumpyBench)
    return subject.bench


@check("optimizer", places=("host",), unless=rules_only)
def takes_every_shape(subject: Subject) -> None:
    """A scalar, a vector, a matrix and a kernel can each be a parameter: p and every slot keep their shapes.

    Mend: no fixed axes: `len(p.shape)` says how many there are, the trials' axis included.
    """
    bench = host_bench(subject)
    for structure in bench.variants:
        session = bench.session(spread(subject.record, 2), structure=structure)
        session.advance(1)
        before = _shapes(session)
        session.advance(1)
        for name, shape in _shapes(session).items():
            if shape != before[name]:
                raise Violation(expected=f"{name} of shape {before[name]}", got=f"{shape} after an update")


def _shapes(session: NumpySession) -> dict[str, tuple[int, ...]]:
    found = {}
    for start, p, slots in zip(session.start, session.reference.parameters, session.reference.slots, strict=True):
        label = f"the parameter {start.shape[1:]}"
        found[label] = p.shape
        found |= {f"slot '{slot}' of {label}": value.shape for slot, value in slots.items()}
        if p.shape != start.shape:
            raise Violation(expected=f"{label} keeping its shape", got=f"{p.shape[1:]} after an update")
    return found


@check("optimizer", places=("host",), unless=rules_only)
def leaves_its_arguments(subject: Subject) -> None:
    """An update changes none of its arguments: it returns new arrays.

    Mend: write `m = β m + g`, not `m *= β; m += g`.
    """
    bench = host_bench(subject)
    for structure in bench.variants:
        session = bench.session(spread(subject.record, 2), structure=structure, locked=True)
        try:
            session.advance(3)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise Violation(expected="arguments left as they are", got=f"a write into one of them ({error})") from error


@check("optimizer", places=("host",), unless=rules_only)
def leaves_neighbours_of_a_diverged_run(subject: Subject) -> None:
    """A run of a stack that diverges changes no bit of its neighbours.

    Mend: reduce over the axes after the first only.
    """
    import numpy as np

    healthy, sick = (host_bench(subject).session(spread(subject.record, 3)) for _ in range(2))
    for p, bad in zip(sick.reference.parameters, (np.nan, np.inf, np.nan, -np.inf, 1e200), strict=True):
        p[1] = bad
    with np.errstate(all="ignore"):
        sick.advance(STEPS)
    healthy.advance(STEPS)
    for n in (0, 2):
        found, expected = ({k: v[n] for k, v in session.reported().items()} for session in (sick, healthy))
        require_same(found, expected, expected=f"member {n} beside a diverged one as beside a healthy one")


@check("optimizer", places=("host",), unless=rules_only)
def cuts_into_any_chunks(subject: Subject) -> None:
    """Its scalars are the same however the steps are cut into calls, and carry what they need from one to the next.

    Mend: what `coefficients` accumulates belongs in `carry`, one factor after the other.
    """
    import numpy as np

    from kit.rules.scalars import schedule_scalars

    for structure in host_bench(subject).variants:
        session = host_bench(subject).session(spread(subject.record, 2), structure=structure)
        rule, floats = session.reference.rule, dict(session.reference.hyperparameters)
        factors = np.linspace(1.0, 0.3, CHUNKED)[:, None] * np.array([[1.0, 0.8]])
        whole, last = schedule_scalars(rule, floats, factors, 0, rule.carry(2))
        carry, pieces = rule.carry(2), []
        for first in range(0, CHUNKED, 7):
            packed, carry = schedule_scalars(rule, floats, factors[first : first + 7], first, carry)
            pieces.append(packed)
        require_same((np.concatenate(pieces), carry), (whole, last), expected="the scalars of all steps at once")


@check("optimizer", places=("host",), unless=rules_only)
def runs_on_one_flat_buffer(subject: Subject) -> None:
    """A rule that says it is elementwise gives the same on one flat buffer of all parameters.

    Mend: set `elementwise = False` where the rule looks at more than one element at a time.
    """
    import numpy as np

    if not resolve(str(subject.record.rule)).elementwise:
        raise NotApplicable("the rule says that it is not elementwise")
    bench, members = host_bench(subject), [{**m, "clip_norm": float("inf")} for m in spread(subject.record, 3)]
    for structure in bench.variants:
        separate, whole = (bench.session(members, structure=structure) for _ in range(2))
        sizes = np.cumsum([p[0].size for p in whole.start])[:-1]
        flat = np.concatenate([p.reshape(3, -1) for p in whole.start], axis=1)
        whole.reference.parameters = [flat]
        separate.advance(STEPS)

        def gradient(buffers: list[Any], session: NumpySession = whole, sizes: Any = sizes) -> list[Any]:
            parts = np.split(buffers[0], sizes, axis=1)
            shaped = [part.reshape(p.shape) for part, p in zip(parts, session.start, strict=True)]
            return [np.concatenate([g.reshape(3, -1) for g in session.gradients_at(shaped)], axis=1)]

        whole.reference.advance(gradient, np.ones((STEPS, 3)))
        found = whole.reference.evaluated()[0]
        expected = np.concatenate([p.reshape(3, -1) for p in separate.reference.evaluated()], axis=1)
        require_same(found, expected, expected="one flat buffer as each parameter alone")


@check("optimizer", places=("host",), unless=rules_only)
def agrees_with_its_reference(subject: Subject) -> None:
    """Its trajectory is that of the reference which its record names: the algorithm once more, in plain NumPy.

    Mend: compare line by line with the paper: bias corrections (1 − βᵗ, t from 1), where ε stands, what is squared.
    """
    import numpy as np

    from kit.rules.reference import descend

    if not subject.record.reference:
        raise NotApplicable("its record names no `reference`")
    rule, reference = resolve(str(subject.record.rule)), resolve(subject.record.reference)
    curvatures, start = np.array([0.1, 0.5, 1.0, 2.0]), np.array([1.0, -2.0, 3.0, -0.5])
    arguments = (lambda x: curvatures * x, start)
    defaults = subject.record.defaults()
    found = descend(rule, *arguments, steps=REFERENCE_STEPS)
    expected = np.asarray(reference(*arguments, steps=REFERENCE_STEPS, **defaults), dtype=np.float64)
    if found.shape != expected.shape:
        raise Violation(expected=f"a trajectory of shape {found.shape} of the reference", got=str(expected.shape))
    apart = np.abs(found - expected).max(axis=1) / (1 + np.abs(expected).max(axis=1))
    if (apart > BOUND).any():
        step = int(np.argmax(apart > BOUND))
        got = f"{found[step].tolist()} at step {step}, {apart[step]:.2g} away"
        raise Violation(expected=f"{expected[step].tolist()}, as the reference has it", got=got)


@check("optimizer", places=("host",), unless=rules_only)
def examples_give_what_they_say(subject: Subject) -> None:
    """The examples in the rule's docstring run, and give what they say.

    Mend: `descend(MyRule, gradient, start, steps=…)` is at hand in an example, and so is all that its module holds.
    """
    import doctest
    import importlib

    from kit.rules.reference import descend

    rule = resolve(str(subject.record.rule))
    names = {**vars(importlib.import_module(rule.__module__)), "descend": descend}
    said: list[str] = []
    attempted = 0
    for example in doctest.DocTestFinder(recurse=False).find(rule, rule.__name__, globs=names):
        attempted += doctest.DocTestRunner(verbose=False).run(example, out=said.append).attempted
    if not attempted:
        raise NotApplicable("its docstring holds no example")
    if said:
        raise Violation(expected="the result that the example shows", got=" ".join("".join(said).split())[-300:])


@check("optimizer", places=("backend",), unless=rules_only)
def computes_what_numpy_computes(subject: Subject) -> None:
    """In the backend the rule moves the parameters as it does in NumPy, given the same gradients, kernels included.

    Mend: use nothing but arithmetic and `xp` in `update`; no NumPy, and no Python `if` on numbers.
    """
    from kit.testing.bench import BackendBench

    assert isinstance(subject.bench, BackendBench)
    for rank in (2, 4):
        try:
            session = subject.bench.session(rank=rank)
        except NotApplicable:
            if rank == 2:
                raise
            continue
        found, expected = _beside_numpy(session, STEPS)
        require_same(found, expected, expected="the parameters that NumPy computes", tolerance=ROUNDING["float64"])


def _beside_numpy(session: Any, steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters after some steps in the backend, and in NumPy with the backend's gradients at the same places."""
    import numpy as np

    from kit.rules.reference import Reference

    start, job = session.state().parameters, session.job
    structure = {h.name: job.optimizer.structure[h.name] for h in job.optimizer.all_hyperparameters() if h.structural}
    reference = Reference(type(job.optimizer)(**structure), list(start.values()), job.hyperparameters)
    for _ in range(steps):
        gradients = list(session.gradients().values())
        reference.advance(partial(_given, gradients), np.ones((1, session.size)))
        session.advance(1)
    return session.state().parameters, dict(zip(start, reference.parameters, strict=True))


def _given(gradients: list[Any], parameters: list[Any]) -> list[Any]:
    return gradients


@check("optimizer", places=("across",), unless=no_promise)
def agrees_across_backends(subject: Subject) -> dict[str, Any]:
    """Every backend gives the same trajectory: in float64 parameters differ by at most 1e-10 after 20 steps.

    Mend: something in the rule depends on the framework: `xp`'s functions and plain arithmetic do not.
    """
    session = subject.bench.session()
    return {"losses": session.advance(PARITY_STEPS), "parameters": session.reported()}
