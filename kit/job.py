"""In the worker: from a stack task to what the run loop needs, with names imported, data prepared, draws ready."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kit import native
from kit.choice import Choice, frozen
from kit.data import load, prepare
from kit.engine import Native, Problem, Stack, State
from kit.errors import InvalidValueError
from kit.records import resolve
from kit.task import StackTask

if TYPE_CHECKING:
    import numpy as np

    from kit.batching import Order
    from kit.data import Prepared
    from kit.engine import Engine
    from kit.registry import Registry
    from kit.rules.rule import Rule

    Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(kw_only=True, eq=False)
class Job:
    """A stack, ready to train. N trials of R replicates."""

    task: StackTask
    problem: Problem
    optimizer: Rule | Native
    stack: Stack
    data: Prepared
    order: Order | None  # None: full batch
    hyperparameters: dict[str, Floats]  # float ones: name -> (N,)
    schedules: list[Any]  # per trial: step numbers -> factors
    replicates: list[int]  # (R,)
    probes: list[Any]
    device: str
    dtype: Any

    @property
    def first(self) -> dict[str, Any]:
        """The specification of the first trial: for everything that the stack shares."""
        return self.task.trials[0].specification

    def factors(self, first_step: int, steps: int) -> Floats:
        """What multiplies each trial's learning rate: (steps, N)."""
        import numpy as np

        numbers = np.arange(first_step, first_step + steps)
        return np.stack([schedule(numbers) for schedule in self.schedules], axis=1)

    @property
    def handed_bytes(self) -> int:
        """What the host hands to the engine for one step besides row numbers: streamed samples, random draws."""
        drawn = sum(math.prod(shape) for _, shape in self.problem.noise) * 8
        read = math.prod(self.data.inputs.shape) * 8 if self.data.streamed else 0
        return len(self.replicates) * int(self.first["batch_size"]) * (drawn + read)

    def probe_batch(self, step: int) -> tuple[Any, Any]:
        """What a probe takes gradients over: the batch of the coming step, as (indices (R, B), samples)."""
        if self.order is None:
            return None, None
        indices = self.order.indices(step, 1)
        if self.data.streamed:
            x, y = self.data.gather(indices)
            return None, (x[0], y[0])
        return indices[0], None


def things_of(task: StackTask) -> dict[str, Any]:
    """The user's objects, as the parent of this process sent them."""
    import cloudpickle

    things: dict[str, Any] = cloudpickle.loads(task.things) if task.things else {}
    return things


def build(task: StackTask, registry: Registry) -> Job:
    """Everything but the program. Raises `KitError` for what does not fit."""
    import numpy as np

    things = things_of(task)
    specs = [trial.specification for trial in task.trials]
    first = specs[0]
    backend = first["backend"]
    replicates = sorted({spec["replicate"] for spec in specs})
    data = prepare(
        things.get("dataset") or load(Choice(**first["dataset"]), registry, first["seed"]),
        task=first["task"],
        seed=first["seed"],
        replicates=replicates,
        validation_fraction=first["validation_fraction"],
        standardise=first["standardise"],
        dtype=first["dtype"],
    )
    optimizer, full_batch = _optimizer(task, things, registry, data)
    problem = _problem(first, things, registry, data, full_batch)
    hyperparameters = _float_hyperparameters(specs, optimizer)
    decay, clip = hyperparameters.get("weight_decay"), hyperparameters.get("clip_norm")
    stack = Stack(
        replicates=np.array([replicates.index(spec["replicate"]) for spec in specs]),
        seeds=np.array([spec["seed"] * 1_000_003 + spec["replicate"] for spec in specs]),
        decays=decay is not None and bool((decay > 0).any()),
        clips=clip is not None and bool(np.isfinite(clip).any()),
    )
    return Job(
        task=task,
        problem=problem,
        optimizer=optimizer,
        stack=stack,
        data=data,
        order=None if full_batch else _order(data, first, replicates),
        hyperparameters=hyperparameters,
        schedules=[_schedule(spec, registry) for spec in specs],
        replicates=replicates,
        probes=[_probe(probe, registry, backend) for probe in first["probes"]],
        device=first["device"],
        dtype=first["dtype"],
    )


def _order(data: Prepared, first: Mapping[str, Any], replicates: list[int]) -> Order:
    from kit.batching import Order

    return Order(data.rows, first["batch_size"], first["seed"], replicates)


def _optimizer(
    task: StackTask, things: dict[str, Any], registry: Registry, data: Prepared
) -> tuple[Rule | Native, bool]:
    first, backend = task.trials[0].specification["optimizer"], task.backend
    if "optimizer" in things:
        build = things["optimizer"]
        return native.made(build, native.needs_of(build, registry, backend), task, data), False
    record = registry.find("optimizer", first["name"], backend)
    full_batch = record.batch == "all"
    if record.rule:
        structure = {h.name: first["options"][h.name] for h in record.hyperparameters if h.structural}
        return resolve(record.rule)(**{k: frozen(v) for k, v in structure.items()}), full_batch
    return native.made(resolve(record.native), record.needs, task, data), full_batch


def _float_hyperparameters(specs: list[dict[str, Any]], optimizer: Rule | Native) -> dict[str, Floats]:
    import numpy as np

    if isinstance(optimizer, Native):
        names = ["learning_rate"]
    else:
        names = [h.name for h in optimizer.all_hyperparameters() if not h.structural]
    return {name: np.array([float(spec["optimizer"]["options"][name]) for spec in specs]) for name in names}


def _problem(
    first: dict[str, Any], things: dict[str, Any], registry: Registry, data: Prepared, full_batch: bool
) -> Problem:
    backend = first["backend"]
    parameters, noise, build_model, options = None, (), None, frozen(first["model"]["options"])
    if "model" not in things:
        record = registry.find("model", first["model"]["name"], backend)
        build_model = resolve(record.build)
        if record.parameters:
            parameters = resolve(record.parameters)(data.inputs, **options)
        if record.noise:
            noise = resolve(record.noise)(data.inputs, **options)
    loss_options = frozen(first["loss"]["options"])
    accuracy: Any = "argmax" if first["task"] in ("classification", "language") else None
    if "loss" in things:
        build_loss = things["loss"]
    else:
        loss = registry.find("loss", first["loss"]["name"], backend)
        build_loss, accuracy = resolve(loss.build), loss.accuracy if first["task"] != "binary" else "sign"
    return Problem(
        inputs=data.inputs,
        build_model=build_model,
        model_options=options,
        model_object=things.get("model"),
        parameters=parameters,
        build_loss=build_loss,
        loss_options=loss_options,
        accuracy=accuracy,
        train=data.train,
        evaluation=data.evaluation,
        full_batch=full_batch,
        noise=noise,
        gradient_accumulation=first.get("gradient_accumulation", 1),
        activation_checkpointing=first.get("activation_checkpointing", False),
    )


def _schedule(spec: dict[str, Any], registry: Registry) -> Any:
    record = registry.find("schedule", spec["schedule"]["name"])
    steps = spec["budget"].get("steps")
    if steps is None and record.needs_steps:
        raise InvalidValueError(
            f"schedule '{record.name}' needs a budget in steps, epochs or samples; "
            f"it cannot be planned over {spec['budget']}."
        )
    return partial(resolve(record.build), steps=steps or 1, **frozen(spec["schedule"]["options"]))


def _probe(document: dict[str, Any], registry: Registry, backend: str) -> Any:
    record = registry.find("probe", document["name"], backend)
    return resolve(record.build)(**frozen(document["options"]))


def initial_state(job: Job, engine: Engine) -> State:
    """Where the stack starts: given parameters, the host's draw, or the user's own module's start."""
    import numpy as np

    from kit.seeds import initial

    buffers: dict[str, Any] = {}
    seed = job.first["seed"]
    if job.problem.parameters is None:
        parameters, buffers = engine.initial_parameters(job.problem, job.stack.seeds)
    else:
        drawn = [initial(job.problem.parameters, seed, replicate) for replicate in job.replicates]
        parameters = {
            p.name: np.stack([drawn[r][p.name] for r in job.stack.replicates]) for p in job.problem.parameters
        }
    given = things_of(job.task).get("initial", {})
    for n, trial in enumerate(job.task.trials):
        for name, value in given.get(trial.run_id, {}).items():
            if name not in parameters or parameters[name][n].shape != np.shape(value):
                valid = ", ".join(f"{key} {value.shape[1:]}" for key, value in parameters.items())
                raise InvalidValueError(
                    f"initial: '{name}' of shape {np.shape(value)} does not fit; the model has {valid}."
                )
            parameters[name] = np.array(parameters[name])
            parameters[name][n] = value
    return State(parameters=parameters, buffers=buffers)
