"""The short names: `kit.model("mlp", hidden=(64,))`, `kit.compare(…)`, `kit.sweep(…)`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.choice import Choice
from kit.errors import InvalidValueError
from kit.experiment import Experiment, dataset_choice

if TYPE_CHECKING:
    from kit.laboratory.lab import Lab
    from kit.registry import Registry
    from kit.results import Results
    from kit.study import Study

MISSION = ("gd", "sgd", "minibatch", "adam")
LANES = ("sgd", "minibatch", "adam")  # the lab's: full batches would train long before the others are seen


def model(model: Any, **options: Any) -> Choice:
    """A model by name, or your own `torch.nn.Module`, `keras.Model`, or a function that makes one."""
    return Choice.of(model, **options)


def loss(loss: Any, **options: Any) -> Choice:
    """A loss by name, or a function of the backend's tensors `(output, target)`."""
    return Choice.of(loss, **options)


def optimizer(optimizer: Any, **options: Any) -> Choice:
    """An optimizer by name, or a `torch.optim.Optimizer` or `keras.optimizers.Optimizer` class with its arguments, or a
    function that makes one, as `optax.adam`."""
    return Choice.of(optimizer, **options)


def schedule(schedule: Any, **options: Any) -> Choice:
    """A learning-rate schedule by name."""
    return Choice.of(schedule, **options)


def probe(probe: Any, **options: Any) -> Choice:
    """A probe by name."""
    return Choice.of(probe, **options)


def dataset(dataset: Any, target: str | None = None, **options: Any) -> Choice:
    """A dataset by name with its options, or your own: arrays `(x, y)`, a frame or a CSV or Parquet file with
    `target`."""
    choice = dataset_choice(dataset, target)
    return choice.with_options(**options) if options else choice


def log_grid(low: float, high: float, per_decade: int = 4) -> tuple[float, ...]:
    """Values from low to high, both included, evenly spaced on a log scale: `per_decade` to each factor of ten.

    >>> log_grid(1e-3, 1e-1, per_decade=1)
    (0.001, 0.01, 0.1)
    """
    import math

    if not 0 < low <= high:
        raise InvalidValueError(f"log_grid: low={low!r}, high={high!r} is not valid; it must be 0 < low <= high.")
    if per_decade < 1:
        raise InvalidValueError(f"log_grid: per_decade={per_decade!r} is not valid; it must be at least 1.")
    intervals = max(1, round(math.log10(high / low) * per_decade)) if high > low else 0
    values = [10 ** (math.log10(low) + math.log10(high / low) * i / max(1, intervals)) for i in range(intervals + 1)]
    return tuple(float(f"{value:.4g}") for value in values)


def compare(
    optimizer: Sequence[Any] = MISSION,
    backend: Sequence[str] | str | None = None,
    *,
    replicates: int = 3,
    learning_rate: Any = None,
    store: str | Path | None = None,
    executor: str = "processes",
    progress: bool | Any = True,
    retry_failed: bool = False,
    **fields: Any,
) -> Results:
    """Train each optimizer in each backend, `replicates` times with paired seeds, and say which differences are real.

    optimizer: names, choices or classes. backend: names; None: every one that is installed. learning_rate: one for
    all, or
    `{"adam": 1e-3, "sgd": 0.05}`; an optimizer that is not named keeps its default. fields: of `Experiment`.
    """
    return comparison(optimizer, backend, replicates=replicates, learning_rate=learning_rate, **fields).run(
        store=store, executor=executor, progress=progress, retry_failed=retry_failed
    )


def comparison(
    optimizer: Sequence[Any] | Any = MISSION,
    backend: Sequence[str] | str | None = None,
    *,
    replicates: int = 3,
    learning_rate: Any = None,
    **fields: Any,
) -> Study:
    """The study that `compare` runs."""
    from kit.registry import Registry
    from kit.resolve import Resolver

    if replicates < 1:
        raise InvalidValueError(f"replicates={replicates} is not valid; it must be at least 1.")
    given = [optimizer] if isinstance(optimizer, str) or not isinstance(optimizer, Iterable) else list(optimizer)
    choices = [Choice.of(item) for item in given]
    base = Experiment(**fields)
    registry = Registry.load()
    if backend is None:
        first = next((choice for choice in choices if choice.own), choices[0])
        own = Resolver(registry).backend(base.replace(optimizer=first)) if base.model.own or first.own else None
        backend = [own] if own else registry.names("backend")
        if not backend:
            Resolver(registry).backend(base)  # says what to install
    rates = learning_rate if isinstance(learning_rate, dict) else {c.name: learning_rate for c in choices}
    strangers = set(rates) - {choice.name for choice in choices}
    if strangers:
        raise InvalidValueError(
            f"learning_rate names {', '.join(sorted(strangers))}, which is not compared; compared are "
            f"{', '.join(choice.name for choice in choices)}."
        )
    rated = [c if rates.get(c.name) is None else c.with_options(learning_rate=float(rates[c.name])) for c in choices]
    backends = [backend] if isinstance(backend, str) else list(backend)
    return base.vary(optimizer=rated, backend=backends, replicate=range(replicates))


def sweep(
    experiment: Experiment | None = None,
    *,
    learning_rate: Sequence[float] | None = None,
    replicates: int = 3,
    store: str | Path | None = None,
    executor: str = "processes",
    progress: bool | Any = True,
    retry_failed: bool = False,
    **axes: Any,
) -> Results:
    """Train over a grid, as stacks: by default four learning rates to the decade from 1e-4 to 1, `replicates` seeds
    each.

    axes: anything that `Experiment.vary` takes.
    """
    base = experiment or Experiment()
    grid = log_grid(1e-4, 1.0, per_decade=4) if learning_rate is None else learning_rate
    study = base.vary(learning_rate=grid, replicate=range(replicates), **axes)
    return study.run(store=store, executor=executor, progress=progress, retry_failed=retry_failed)


def lab(
    optimizer: Sequence[Any] | Any = LANES,
    backend: str | None = None,
    *,
    replicates: int = 3,
    learning_rate: Any = None,
    store: str | Path | None = None,
    executor: str = "processes",
    registry: Registry | None = None,
    **fields: Any,
) -> Lab:
    """A lab: choose a problem and up to six optimizers, watch them train, stop, change, and train again.

    optimizer: a lane for each name, choice or class. backend: None takes the first that is installed. learning_rate:
    one for all, or `{"adam": 1e-3}`. store: where `Keep` puts runs; None: the environment's KIT_STORE, or `runs`.
    fields: of `kit.Experiment`, where the controls begin. In a notebook the lab shows itself; `await lab.run()` trains
    without a hand on the button. Raises `KitError` for a name or a value that there is not.
    """
    from kit.conduct import store_at
    from kit.laboratory.form import Form
    from kit.laboratory.lab import Lab
    from kit.registry import Registry

    chosen = {"backend": backend, "replicates": replicates, "learning_rate": learning_rate, **fields}
    return Lab(Form.of(registry or Registry.load(), optimizer, **chosen), store_at(store), executor)


def open_store(path: str | Path | None = None) -> Results:
    """Everything that a store holds, as results; needs no framework."""
    from kit.conduct import store_at
    from kit.results import Results

    place = store_at(path)
    return Results(place.outcomes(), store=place)
