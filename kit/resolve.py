"""From an experiment to what a worker can train: every name looked up, every default filled in, every misfit said.

The resolved specification is plain JSON; its hash is the run's name, so that an identical run is found and not
repeated.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit import levers, parallel
from kit.choice import Choice, canonical, plain
from kit.errors import InvalidValueError, unknown
from kit.records import BackendSpec, Component, DatasetSpec, LossSpec, ModelSpec, OptimizerSpec

if TYPE_CHECKING:
    from kit.data import Data
    from kit.experiment import Experiment
    from kit.registry import Registry

# What a task is trained with when nothing is said.
DEFAULT_LOSS = {
    "classification": "cross_entropy",
    "language": "cross_entropy",
    "binary": "binary_cross_entropy",
    "regression": "mse",
    "objective": "output",
}
EVALUATIONS = 50  # points on an evaluation curve when nothing is said


@dataclass(frozen=True, kw_only=True, eq=False)
class Resolved:
    """An experiment that can be trained. `things` holds the user's own objects by role (model, loss, optimizer,
    dataset,
    initial); everything else is in the specification."""

    run_id: str
    specification: dict[str, Any]
    things: dict[str, Any] = field(default_factory=dict)


def run_id(specification: dict[str, Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(specification).encode()).hexdigest()[:16]


class Resolver:
    """Resolves experiments against one registry; data that several experiments share are read once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._data: dict[str, Data] = {}

    def resolve(self, experiment: Experiment) -> Resolved:
        """Raises a `KitError` that names the component, the value and the valid choices."""
        things: dict[str, Any] = {}
        backend = self.backend(experiment)
        model, model_document = self._model(experiment, backend, things)
        task, data = self._data_of(experiment, model, things)
        loss_document, task = self._loss(experiment, backend, task, data, things)
        optimizer, optimizer_document = self._optimizer(experiment, backend, things)
        rows = data.training_rows(experiment.validation_fraction)
        batch = self._batch(experiment, optimizer, data, rows)
        schedule = experiment.schedule or Choice(name="constant")
        record = self.registry.find("schedule", schedule.name)
        budget, steps = self._budget(experiment, rows, batch)
        self._check_device(experiment.device)
        if experiment.initial is not None:
            if experiment._initial is None:
                raise InvalidValueError(
                    f"The starting parameters (digest {experiment.initial}) are of the session that made them; "
                    "pass them again: experiment.run(initial=…)."
                )
            things["initial"] = experiment._initial
        document = {
            "format": 1,
            "dataset": self._dataset_document(experiment, model),
            "model": model_document,
            "loss": loss_document,
            "task": task,
            "optimizer": optimizer_document,
            "schedule": self._document(schedule, record),
            "batch_size": batch,
            "budget": budget,
            "seed": experiment.seed,
            "replicate": experiment.replicate,
            "backend": backend,
            "device": experiment.device,
            "dtype": experiment.dtype,
            "validation_fraction": experiment.validation_fraction,
            "standardise": experiment.standardise,
            "evaluate_every": experiment.evaluate_every or max(1, (steps or 2500) // EVALUATIONS),
            "probes": [self._probe(probe, backend) for probe in experiment.probes],
            "strategy": experiment.strategy,
            **({"initial": experiment.initial} if experiment.initial else {}),
            **levers.used(experiment, self.registry.find("backend", backend), batch),
            **parallel.used(experiment, self.registry.find("backend", backend), batch),
        }
        specification: dict[str, Any] = plain(document)
        return Resolved(run_id=run_id(specification), specification=specification, things=things)

    def backend(self, experiment: Experiment) -> str:
        """The backend: the one named, else the one whose class the user passed, else the first installed."""
        named = experiment.backend
        found = {self.backend_of(c) for c in (experiment.model, experiment.optimizer) if c.own} - {None}
        if len(found) > 1:
            raise InvalidValueError(
                "The model and the optimizer belong to different backends: " + ", ".join(sorted(map(str, found))) + "."
            )
        own = next(iter(found), None)
        if named is None:
            names = self.registry.names("backend")
            parts = (experiment.model, experiment.loss, experiment.optimizer)
            unsaid = next((c for c in parts if c is not None and c.own), None)
            if own is None and unsaid is not None and len(names) > 1:
                raise InvalidValueError(
                    f"'{unsaid.name}' is a function, so it does not say which framework it is for; "
                    f"pass backend={' or backend='.join(repr(name) for name in names)}."
                )
            if own is None and not names:
                raise InvalidValueError(
                    "No backend is installed, so nothing can be trained. "
                    "Install descentkit-torch or descentkit-tensorflow; "
                    "`kit doctor` says how. Stored results can still be read, plotted and reported."
                )
            return own or names[0]
        record: BackendSpec = self.registry.find("backend", named)
        if own is not None and own != record.name:
            raise InvalidValueError(
                f"The model or optimizer you passed belongs to backend '{own}', "
                f"but the experiment says backend='{record.name}'."
            )
        return record.name

    def backend_of(self, choice: Choice) -> str | None:
        """Whose a user's own object is, without importing a framework: a class's by the names along its MRO, a
        function's (`optax.adam`) by the package that defines it."""
        thing = choice.thing
        package = str(getattr(thing, "__module__", "")).partition(".")[0] if inspect.isroutine(thing) else ""
        kind = thing if inspect.isclass(thing) else type(thing)
        along = {f"{c.__module__}:{c.__qualname__}" for c in kind.__mro__}
        for offer in self.registry.backends:
            if package in offer.record.requires or along & {*offer.record.model_types, *offer.record.optimizer_types}:
                return str(offer.record.name)
        return None

    def data(self, choice: Choice, seed: int) -> Data:
        """The data of a choice, read once. `seed`: of generated datasets."""
        from kit.data import load

        key = canonical([choice.document(), seed])
        if key not in self._data:
            self._data[key] = load(choice, self.registry, seed)
        return self._data[key]

    def _model(
        self, experiment: Experiment, backend: str, things: dict[str, Any]
    ) -> tuple[ModelSpec | None, dict[str, Any]]:
        choice = experiment.model
        if choice.own:
            things["model"] = choice.thing
            return None, choice.document()
        record = self.registry.find("model", choice.name, backend)
        return record, self._document(choice, record)

    def _data_of(self, experiment: Experiment, model: ModelSpec | None, things: dict[str, Any]) -> tuple[str, Data]:
        """The data and the task; an objective function needs no data, whatever the experiment's default says."""
        choice = experiment.dataset
        if model is not None and model.tasks == ("objective",):
            choice = Choice(name="none")
        data = self.data(choice, experiment.seed)
        if choice.digest:
            things["dataset"] = data
        if model is not None and data.task not in model.tasks:
            fitting = [
                o.record.name
                for o in self.registry.models
                if o.record.backend == model.backend and data.task in o.record.tasks
            ]
            raise InvalidValueError(
                f"model '{model.name}' is for {', '.join(model.tasks)}; dataset '{choice.name}' is {data.task}. "
                f"Models for it: {', '.join(sorted(fitting)) or 'none installed'}."
            )
        return data.task, data

    def _dataset_document(self, experiment: Experiment, model: ModelSpec | None) -> dict[str, Any]:
        choice = experiment.dataset
        if model is not None and model.tasks == ("objective",):
            choice = Choice(name="none")
        if choice.digest:
            return choice.document()
        record: DatasetSpec = self.registry.find("dataset", choice.name)
        return self._document(choice, record)

    def _loss(
        self, experiment: Experiment, backend: str, task: str, data: Data, things: dict[str, Any]
    ) -> tuple[dict[str, Any], str]:
        choice = experiment.loss or Choice(name=DEFAULT_LOSS[task])
        if choice.own:
            things["loss"] = choice.thing
            return choice.document(), task
        record: LossSpec = self.registry.find("loss", choice.name, backend)
        if (
            task not in record.tasks
            and task == "classification"
            and "binary" in record.tasks
            and len(data.classes) == 2
        ):
            task = "binary"
        if task not in record.tasks:
            fitting = [
                o.record.name for o in self.registry.losses if o.record.backend == backend and task in o.record.tasks
            ]
            raise InvalidValueError(
                f"loss '{record.name}' is for {', '.join(record.tasks)}; dataset '{experiment.dataset.name}' is {task}"
                f"{f' with {len(data.classes)} classes' if data.classes else ''}. "
                f"Losses for it: {', '.join(sorted(fitting))}."
            )
        return self._document(choice, record), task

    def _optimizer(
        self, experiment: Experiment, backend: str, things: dict[str, Any]
    ) -> tuple[OptimizerSpec | None, dict[str, Any]]:
        choice = experiment.optimizer
        if choice.own:
            if not inspect.isclass(choice.thing) and not inspect.isroutine(choice.thing):
                raise InvalidValueError(
                    f"optimizer is a {type(choice.thing).__name__} object; pass its class and arguments: "
                    f"kit.optimizer({type(choice.thing).__name__}, learning_rate=…), or a function that makes one."
                )
            things["optimizer"] = choice.thing
            options = dict(choice.options)
            rate = options.pop("learning_rate", options.pop("lr", None))
            if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float)):
                raise InvalidValueError(
                    f"optimizer '{choice.name}': learning rate {rate!r} is not valid; it must be a number."
                )
            options["learning_rate"] = default_rate(choice.thing) if rate is None else float(rate)
            return None, choice.document() | {"kind": "native", "family": choice.name, "options": options}
        record: OptimizerSpec = self.registry.find("optimizer", choice.name, backend)
        kind = "rule" if record.rule else "native"
        # A native class has arguments that its record does not list; the class itself refuses what it does not know.
        known = {h.name for h in record.hyperparameters}
        given = {("learning_rate" if k == "lr" else k): v for k, v in choice.options.items()}
        extra = {} if kind == "rule" else {k: given.pop(k) for k in list(given) if k not in known}
        document = {"name": self._name(choice, record), "family": record.family, "kind": kind}
        return record, document | {"options": record.options(given) | extra}

    def _batch(self, experiment: Experiment, optimizer: OptimizerSpec | None, data: Data, rows: int) -> int:
        """The samples that a step really uses."""
        policy = optimizer.batch if optimizer else "any"
        if data.task == "objective":
            return rows  # a function to be minimised has no samples to choose from
        if policy == "all" and data.streamed:
            raise InvalidValueError(
                f"optimizer '{experiment.optimizer.name}' uses all samples in every step, but these stay on disk. "
                "Take 'minibatch', or data that fit into memory."
            )
        if policy == "any" and experiment.batch_size > rows:
            raise InvalidValueError(
                f"batch_size={experiment.batch_size} is larger than the training split of {rows} samples; "
                f"choose 1 to {rows}, or the optimizer 'gd', which uses all."
            )
        return {"all": rows, "one": 1, "any": experiment.batch_size}[policy]

    def _budget(self, experiment: Experiment, rows: int, batch: int) -> tuple[dict[str, Any], int | None]:
        """The budget in steps wherever it has a number of steps; only seconds have none beforehand."""
        budget = experiment.budget
        if budget.seconds is not None:
            return {"seconds": budget.seconds}, None
        samples = budget.samples if budget.samples is not None else (budget.epochs or 0) * rows
        steps = budget.steps if budget.steps is not None else max(1, math.ceil(samples / batch))
        return {"steps": steps}, steps

    def _check_device(self, device: str) -> None:
        """Whether any backend knows such a device at all; whether one is there is for its worker to say."""
        kinds = {offer.record.name for offer in self.registry.devices}
        if device.partition(":")[0] not in kinds:
            raise unknown("device", device, kinds)

    def _probe(self, choice: Choice, backend: str) -> dict[str, Any]:
        record: Component = self.registry.find("probe", choice.name, backend)
        return self._document(choice, record)

    def _document(self, choice: Choice, record: Component) -> dict[str, Any]:
        return {"name": self._name(choice, record), "options": record.options(choice.options)}

    @staticmethod
    def _name(choice: Choice, record: Component) -> str:
        """The short name where the user gave it; a qualified one is kept, since the short one may mean two things."""
        return choice.name if ":" in choice.name else record.name


def default_rate(kind: Any) -> float:
    """The learning rate that an optimizer class takes by itself."""
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in ("lr", "learning_rate") and isinstance(parameter.default, int | float):
            return float(parameter.default)
    return 1e-3
