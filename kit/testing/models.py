"""Checks of models: parameters in and out, gradients, a start that a seed decides, the same in every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.records import Component, ModelSpec
from kit.resolve import DEFAULT_LOSS
from kit.testing.checks import NotApplicable, Violation, check
from kit.testing.compare import difference, require_finite, require_same
from kit.testing.problems import canonical_parameters, usual_data
from kit.testing.training import Training, job_of, simplest_rule

if TYPE_CHECKING:
    from kit.job import Job
    from kit.registry import Registry
    from kit.testing.subject import Subject

DIRECTIONS = 4  # in parameter space, along which gradients are compared with finite differences
DISTANCE = 1e-5  # of a finite difference, in float64
SLOPE_BOUND = 1e-5  # relative: the error of a central difference at that distance is near 1e-9, but for kinks
AGREEMENT = 1e-9  # relative, between backends, of a loss and of its gradient


def own_start_only(record: Component) -> str:
    return "" if isinstance(record, ModelSpec) and record.parameters else "it has no canonical parameters"


def training(subject: Subject, dtype: str = "float64") -> Training:
    """A program of the model on data that it takes, under the simplest rule; kept, and back at its start."""
    if dtype not in subject.kept:
        subject.kept[dtype] = Training(_job(subject, dtype), subject.engine)  # type: ignore[arg-type]
    kept: Training = subject.kept[dtype]
    kept.restart()
    return kept


def _job(subject: Subject, dtype: str) -> Job:
    data = usual_data(subject.record)
    loss, optimizer = _companions(subject.registry, str(subject.backend), data.task)
    return job_of(
        subject.registry,
        str(subject.backend),
        data,
        model=subject.offer.qualified,
        loss=loss,
        optimizer=optimizer,
        dtype=dtype,
        batch_size=min(8, data.rows),
    )


def _companions(registry: Registry, backend: str, task: str) -> tuple[str, str]:
    """A loss for the task and a rule, by qualified names."""
    losses = [o for o in registry.losses if o.record.backend == backend and task in o.record.tasks]
    if not losses:
        raise NotApplicable(f"{backend} has no loss for {task} to try it with")
    usual = [o for o in losses if o.record.name == DEFAULT_LOSS[task]]
    return (usual or losses)[0].qualified, simplest_rule(registry)


@check("model")
def builds(subject: Subject) -> None:
    """With nothing but its defaults it can be made, and takes a step on data of its first task.

    Mend: `build(inputs=…, **options)` must take every hyperparameter, and fit `inputs.shape` and `inputs.outputs`.
    """
    session = training(subject)
    require_finite(session.advance(2), "losses")
    require_finite(session.reported(), "parameters")


@check("model")
def keeps_its_layout(subject: Subject) -> None:
    """Parameters that go in come out again, under the same names and in the same layout, to the last bit.

    Mend: translate to the canonical layout (PyTorch's: a dense weight is (out, in)) in both directions alike.
    """
    for dtype in ("float64", "float32"):
        session = training(subject, dtype)
        state = session.state()
        moved = _moved(state.parameters, 3)
        state.parameters = moved
        session.program.load(state)
        require_same(session.state().parameters, moved, expected=f"in {dtype} the parameters that were loaded")


def _moved(parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    """The parameters away from zeros and ones, where nothing sits on a kink: name -> (N, *shape)."""
    import numpy as np

    source = np.random.default_rng(seed)
    names = sorted(parameters)  # backends list them in orders of their own
    shifts = {name: 0.3 * source.standard_normal(parameters[name].shape) for name in names}
    return {name: (parameters[name] + shift).astype(parameters[name].dtype) for name, shift in shifts.items()}


@check("model", unless=own_start_only)
def has_the_parameters_of_its_record(subject: Subject) -> None:
    """Its module has the parameters that its record lists, with their names and shapes.

    Mend: `parameters` and `build` of the record must agree for every option.
    """
    session = training(subject)
    declared = canonical_parameters(subject.record, usual_data(subject.record)) or ()
    expected = {p.name: tuple(p.shape) for p in declared}
    found = {name: tuple(value.shape[1:]) for name, value in session.state().parameters.items()}
    if found != expected:
        raise Violation(expected=str(expected), got=str(found))


@check("model")
def has_the_gradient_of_its_loss(subject: Subject) -> None:
    """The gradients that it gives are those of its loss: finite differences along random directions agree.

    Mend: nothing in the forward pass may leave the framework's tensors, detach them or round them.
    """
    import numpy as np

    session = training(subject)
    if session.job.problem.noise:
        raise NotApplicable("it draws noise at its defaults, so a loss is not a function of the parameters alone")
    state = session.state()
    state.parameters = _moved(state.parameters, 4)
    session.program.load(state)
    gradient = _full_gradient(session)
    source = np.random.default_rng(5)
    for _ in range(DIRECTIONS):
        direction = {name: source.standard_normal(v.shape) for name, v in state.parameters.items()}
        slope = sum(float(np.sum(gradient[name] * direction[name])) for name in direction)
        measured = _slope(session, state, direction)
        if not abs(slope - measured) <= SLOPE_BOUND * (1 + abs(measured)):
            raise Violation(expected=f"{measured:.8g}, the slope of the loss", got=f"{slope:.8g} from the gradients")


def _full_gradient(session: Training) -> dict[str, Any]:
    """The gradient over the whole training split, of which `evaluate` gives the loss."""
    import numpy as np

    block = session.job.problem.train
    if session.job.problem.full_batch or block is None or session.job.problem.inputs.task == "objective":
        return session.gradients()
    return session.program.gradients(np.arange(block.x.shape[1])[None])


def _slope(session: Training, state: Any, direction: dict[str, Any]) -> float:
    start, ends = state.parameters, []
    for sign in (1, -1):
        state.parameters = {name: value + sign * DISTANCE * direction[name] for name, value in start.items()}
        session.program.load(state)
        ends.append(float(session.loss()[0]))
    state.parameters = start
    return (ends[0] - ends[1]) / (2 * DISTANCE)


@check("model")
def starts_by_its_seed(subject: Subject) -> None:
    """One seed gives one start, to the last bit, of finite numbers; what its record says is drawn differs by seed.

    Mend: name the distribution in the model's `ParameterSpec`s and let the host draw; or seed the module's own draws.
    """
    starts = [_start(subject, replicate) for replicate in (0, 0, 1)]
    require_same(starts[0], starts[1], expected="two starts of one seed")
    require_finite(starts[0], "parameters")
    for p in canonical_parameters(subject.record, usual_data(subject.record)) or ():
        drawn = isinstance(p.initial, tuple) and p.initial[0] in ("normal", "uniform")
        if drawn and not difference(starts[0][p.name], starts[2][p.name]):
            raise Violation(expected=f"another '{p.name}' for another seed", got="the same numbers")


def _start(subject: Subject, replicate: int) -> dict[str, Any]:
    import numpy as np

    from kit.seeds import initial

    record: ModelSpec = subject.record
    data = usual_data(record)
    declared = canonical_parameters(record, data)
    if declared is not None:
        return initial(declared, 0, replicate)
    assert subject.engine is not None
    return subject.engine.initial_parameters(training(subject).job.problem, np.array([replicate]))[0]


@check("model", places=("across",), unless=own_start_only)
def agrees_across_backends(subject: Subject) -> dict[str, Any]:
    """The same weights give the same loss and the same gradients as the other models of its family, to 1e-9.

    Mend: a layout (a dense weight is (out, in), a kernel (out, in, height, width)), padding, an ε, an activation.
    """
    session = training(subject)
    state = session.state()
    state.parameters = _moved(state.parameters, 6)
    session.program.load(state)
    exempt = {p.name for p in session.job.problem.parameters or () if p.exempt_from_parity}
    gradients = {name: g for name, g in _full_gradient(session).items() if name not in exempt}
    return {"loss": session.loss(), "gradients": gradients}


@check("model")
def takes_data_of_its_tasks(subject: Subject) -> None:
    """Every task that its record names has data that it takes.

    Mend: leave out of `tasks` what it cannot learn; refuse data that do not fit with a `kit.errors.InvalidValueError`.
    """
    record: ModelSpec = subject.record
    if record.parameters is None:
        raise NotApplicable("it has no canonical parameters")
    from kit.testing.problems import data_for, forms

    for task in record.tasks:
        fitting = [form for form in forms(task) if canonical_parameters(record, data_for(task, form)) is not None]
        if not fitting:
            raise Violation(expected=f"parameters for some data of the task '{task}'", got="a refusal of all of them")
