"""The parity ledger: does one experiment give the same trajectory in every backend? Measured, optimizer by optimizer.

Past the stability limit a run diverges from *itself* after a change of one unit in the last place, and no two
programs agree
for long. So each difference stands beside that of a *shadow*: the same run in the reference backend from a start
changed by
one unit in the last place. A pair that misses its bound although its shadow stays close really differs; one whose
shadow strays as far is merely sensitive there, and the ledger says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from kit.errors import InvalidValueError, WorkError
from kit.experiment import Experiment
from kit.records import resolve
from kit.results.parity import PROMISED

if TYPE_CHECKING:
    from kit.engine import ParameterSpec
    from kit.progress import Progress
    from kit.registry import Registry
    from kit.results import Run

# Bound on the largest difference of a parameter, in float64; that on a step's loss is `kit.results.parity.PROMISED`.
PARAMETER_BOUND = {"mlp": 1e-10, "cnn": 1e-10, "transformer": 1e-8}
STEPS = {"mlp": 1000, "cnn": 200, "transformer": 200}  # in float64
STEPS_FLOAT32 = 100
DATASETS = {"transformer": "characters"}  # the others learn the digits
SENSITIVE = 30.0  # a difference up to this many times the shadow's is the run's own sensitivity, not the backend's


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the ledger: an optimizer on a model, a backend against the reference backend."""

    optimizer: str
    model: str
    dtype: str
    steps: int
    reference: str
    backend: str
    parameter_difference: float  # largest over all parameters that are not exempt, after the last step
    loss_difference: float  # largest over all steps, relative
    shadow_parameter_difference: float
    shadow_loss_difference: float
    verdict: Literal["agrees", "sensitive", "differs", "failed"]
    why: str


def measure(
    optimizers: Sequence[str] | None = None,
    *,
    backends: Sequence[str] | None = None,
    models: Sequence[str] = ("mlp",),
    dtype: Literal["float64", "float32"] = "float64",
    steps: int | None = None,
    progress: bool | Progress = True,
    registry: Registry | None = None,
) -> list[Entry]:
    """Measure now, in a store of its own that is thrown away.

    optimizers: names of rules; None: every rule installed. backends: the reference, then those held against it; None:
    every one installed. steps: of each run; None: the promise's own number.
    Raises `InvalidValueError` with fewer than two backends, or for an optimizer that is not a rule, `UnknownNameError`
    for a name that nothing installed offers.
    """
    from kit.registry import Registry
    from kit.study import Study

    registry = registry or Registry.load()
    backends = _backends(backends, registry)
    names = list(dict.fromkeys(optimizers or [offer.record.name for offer in registry.optimizers if offer.record.rule]))
    for name in names:
        if registry.find("optimizer", name, backends[0]).rule is None:
            raise InvalidValueError(
                f"'{name}' is a native optimizer; parity is promised for rules, which every backend runs alike."
            )
    cells = [(name, model) for model in dict.fromkeys(models) for name in names]
    plans = [_plan(*cell, dtype, steps, backends, registry) for cell in cells]
    study = Study([experiment for plan in plans for experiment in plan.experiments])
    with tempfile.TemporaryDirectory(prefix="kit-parity-") as folder:
        results = study.run(store=folder, progress=progress, registry=registry)
        if len(results.runs) < len(study):
            raise WorkError(results.notes[0] if results.notes else "Stopped before every run of the ledger had begun.")
        runs = iter(results.runs)
        return [entry for plan in plans for entry in _entries(plan, [next(runs) for _ in plan.experiments])]


def _backends(named: Sequence[str] | None, registry: Registry) -> list[str]:
    """The backends to hold against the first. Raises `InvalidValueError` where there are not two."""
    installed = registry.names("backend")
    if named is None:
        found, said = installed, "installed"
    else:
        found, said = list(dict.fromkeys(registry.find("backend", name).name for name in named)), "named"
    if len(found) < 2:
        more = "`kit doctor` says how to add one" if len(installed) < 2 else f"installed: {', '.join(installed)}"
        raise InvalidValueError(f"Parity needs two backends; {said}: {', '.join(found) or 'none'}; {more}.")
    return found


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one cell of the ledger needs: the experiment in every backend, then the shadow."""

    optimizer: str
    model: str
    dtype: str
    experiments: tuple[Experiment, ...]
    exempt: dict[str, str]  # parameters that the architecture exempts -> the reason


def _plan(optimizer: str, model: str, dtype: Any, steps: int | None, backends: list[str], registry: Registry) -> Plan:
    import numpy as np

    from kit.seeds import initial

    number = steps or (STEPS.get(model, 1000) if dtype == "float64" else STEPS_FLOAT32)
    # An optimizer that uses all samples in every step gets fewer of them: its arithmetic is the same.
    everything = registry.find("optimizer", optimizer, backends[0]).batch == "all"
    first = Experiment(
        dataset=DATASETS.get(model, "digits"),
        model=model,
        optimizer=optimizer,
        backend=backends[0],
        dtype=dtype,
        budget={"steps": number},
        batch_size=64 if model == "mlp" else 16,
        evaluate_every=number,
        validation_fraction=0.9 if everything else 0.2,
    )
    parameters = _parameters(first, registry)
    precision = np.dtype(dtype)
    # One unit in the last place away from the start, in the precision of the run.
    moved = {
        name: np.nextafter(value.astype(precision), precision.type(np.inf))
        for name, value in initial(parameters, first.seed, first.replicate).items()
    }
    return Plan(
        optimizer=optimizer,
        model=model,
        dtype=dtype,
        experiments=(*(first.replace(backend=backend) for backend in backends), first.starting_at(moved)),
        exempt={p.name: p.exempt_from_parity for p in parameters if p.exempt_from_parity},
    )


def _parameters(experiment: Experiment, registry: Registry) -> tuple[ParameterSpec, ...]:
    """The canonical parameters of an experiment's model on its data."""
    from kit.data import prepare
    from kit.resolve import Resolver

    resolver = Resolver(registry)
    specification = resolver.resolve(experiment).specification
    model = registry.find("model", specification["model"]["name"], specification["backend"])
    data = prepare(
        resolver.data(experiment.dataset, experiment.seed),
        task=specification["task"],
        seed=experiment.seed,
        replicates=[experiment.replicate],
        validation_fraction=experiment.validation_fraction,
        standardise=experiment.standardise,
        dtype=experiment.dtype,
    )
    found: tuple[ParameterSpec, ...] = resolve(model.parameters)(data.inputs, **model.options(experiment.model.options))
    return found


def _difference(one: Run, other: Run, exempt: dict[str, str]) -> tuple[float, float]:
    """(largest difference of a parameter, largest relative difference of a step's loss)."""
    import numpy as np

    mine, theirs = one.parameters(), other.parameters()
    parameters = max(float(np.max(np.abs(mine[name] - theirs[name]))) for name in mine if name not in exempt)
    a, b = one.curve("batch_loss").to_numpy(), other.curve("batch_loss").to_numpy()
    return parameters, float(np.max(np.abs(a - b) / np.maximum(np.abs(a), np.finfo(float).tiny)))


def _entries(plan: Plan, runs: list[Run]) -> list[Entry]:
    reference, *others, shadow = runs
    return [_entry(plan, reference, run, shadow) for run in others]


def _entry(plan: Plan, reference: Run, run: Run, shadow: Run) -> Entry:
    where: dict[str, Any] = {
        "optimizer": plan.optimizer,
        "model": plan.model,
        "dtype": plan.dtype,
        "reference": reference.specification["backend"],
        "backend": run.specification["backend"],
        "steps": reference.cost.steps,
    }
    bad = next((r for r in (reference, run, shadow) if r.status != "done"), None)
    if bad is not None:
        nothing: dict[str, Any] = {name: float("nan") for name in Entry.__annotations__ if name.endswith("difference")}
        return Entry(**where, **nothing, verdict="failed", why=f"{bad.status}: {bad.reason}")
    parameter, loss = _difference(reference, run, plan.exempt)
    shadow_parameter, shadow_loss = _difference(reference, shadow, plan.exempt)
    verdict, why = _judge(plan.model, plan.dtype, parameter, loss, shadow_parameter, shadow_loss)
    if plan.exempt:
        why += f" Exempt: {len(plan.exempt)} parameters ({next(iter(plan.exempt.values()))})."
    return Entry(
        **where,
        parameter_difference=parameter,
        loss_difference=loss,
        shadow_parameter_difference=shadow_parameter,
        shadow_loss_difference=shadow_loss,
        verdict=verdict,
        why=why,
    )


def _judge(
    model: str, dtype: str, parameter: float, loss: float, shadow_parameter: float, shadow_loss: float
) -> tuple[Literal["agrees", "sensitive", "differs"], str]:
    bound = PARAMETER_BOUND.get(model, 1e-10) if dtype == "float64" else float("inf")
    if parameter <= bound and loss <= PROMISED[dtype]:
        return "agrees", "Within the bound."
    missed = f"parameters {parameter:.1e} (bound {bound:.0e}), loss {loss:.1e} (bound {PROMISED[dtype]:.0e})"
    if parameter <= max(bound, SENSITIVE * shadow_parameter) and loss <= max(PROMISED[dtype], SENSITIVE * shadow_loss):
        own = f"parameters {shadow_parameter:.1e}, loss {shadow_loss:.1e}"
        return (
            "sensitive",
            f"Misses: {missed}; but so does the run against itself after "
            f"a change of one unit in the last place: {own}.",
        )
    return "differs", f"Misses: {missed}, more than its own sensitivity explains."


def document(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The ledger as JSON data."""
    return [asdict(entry) for entry in entries]
