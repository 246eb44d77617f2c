"""One run, wholly specified, as data: problem, optimizer, schedule, batching, budget, seed, backend and device.

An `Experiment` is a value: it compares and hashes by content, goes into JSON and back, and is checked against what is
installed only when it is resolved (see `kit.resolve`). It computes nothing; `run` hands it to a study of one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kit.choice import Choice, canonical, plain
from kit.errors import InvalidValueError, WorkError, nearest
from kit.levers import LEVERS
from kit.parallel import FIELDS as DEVICES

if TYPE_CHECKING:
    from kit.results import Results, Run
    from kit.study import Study

# Hyperparameters that people look for on the experiment itself.
OPTIMIZERS_OWN = ("learning_rate", "lr", "weight_decay", "momentum", "clip_norm", "beta1", "beta2", "epsilon")
FORMAT = 1  # of the JSON document; a reader refuses a newer one by name


def restated(error: ValidationError, component: str, fields: Iterable[str]) -> InvalidValueError:
    """pydantic's report as one sentence per fault, with the nearest match for a misspelled field."""
    sentences = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"]) or component
        if fault["type"] == "extra_forbidden":
            guess = difflib.get_close_matches(where, list(fields), n=1)
            hint = f" Did you mean '{guess[0]}'?" if guess else ""
            if where in OPTIMIZERS_OWN:
                hint = f" It belongs to the optimizer: kit.optimizer('adam', {where}=…)."
            sentences.append(f"{component} has no '{where}'.{hint} Choices: {', '.join(nearest(where, fields))}")
        elif fault["type"] == "value_error":
            sentences.append(str(fault["ctx"]["error"]) if "ctx" in fault else fault["msg"])
        else:
            sentences.append(f"{component}: {where}={fault.get('input')!r} is not valid: {fault['msg']}")
    return InvalidValueError("; ".join(sentence.rstrip(".") for sentence in sentences) + ".")


class Value(BaseModel):
    """The base of what serialises: frozen, strict about names, errors re-said."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise restated(error, type(self).__name__, type(self).model_fields) from None


class Budget(Value):
    """What a run may spend: exactly one of steps (updates), epochs (passes over the training data), samples,
    seconds."""

    steps: int | None = None
    epochs: float | None = None
    samples: int | None = None
    seconds: float | None = None

    @field_validator("epochs", "seconds", mode="before")
    @classmethod
    def _real(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one(self) -> Budget:
        given = {name: value for name, value in self if value is not None}
        if len(given) != 1:
            raise ValueError(f"A budget is one of steps, epochs, samples or seconds; got {given or 'none'}.")
        ((name, value),) = given.items()
        if not 0 < value < float("inf"):
            raise ValueError(f"The budget {name}={value!r} is not valid; it must be above 0.")
        return self

    @property
    def unit(self) -> str:
        """Which of them was given: "steps", "epochs", "samples" or "seconds"."""
        return next(name for name, value in self if value is not None)

    def document(self) -> dict[str, Any]:
        """As JSON data: the unit and its number."""
        return {self.unit: getattr(self, self.unit)}


class Experiment(Value):
    """One run as data.

    `dataset`, `model`, `loss`, `optimizer` and `schedule` take a name, `kit.model(name, **options)` and its like,
    or your
    own object: arrays `(x, y)`, a frame, a `torch.nn.Module`, a `keras.Model`, a function, an optimizer class.
    `loss=None` takes the one that suits the data; `backend=None` the first that is installed; `schedule=None` is
    constant.
    `evaluate_every` (steps) is a fiftieth of the budget unless given. `validation_fraction` of the data is held out.

    What makes a model fit: `gradient_accumulation=k` takes a step's gradient in k parts of its batch, one after the
    other; `activation_checkpointing=True` computes activations again for the backward pass instead of keeping them.
    Neither changes what a step is. `dtype="bfloat16"` is mixed precision: computed in it, on float32 parameters.
    `devices=n` divides every step's batch among n devices of the kind that `device` names, and `parallel` says by what
    means (torch: "ddp", "fsdp"; tensorflow: "mirrored", "multi_worker_mirrored"; None: the first of them).
    """

    dataset: Choice
    model: Choice
    loss: Choice | None = None
    optimizer: Choice
    schedule: Choice | None = None
    batch_size: int = 64
    budget: Budget = Budget(steps=500)
    seed: int = 0
    replicate: int = 0
    backend: str | None = None
    device: str = "cpu"
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    gradient_accumulation: int = 1
    activation_checkpointing: bool = False
    devices: int = 1
    parallel: str | None = None
    validation_fraction: float = 0.2
    standardise: bool = True
    evaluate_every: int | None = None
    probes: tuple[Choice, ...] = ()
    strategy: str = "auto"
    initial: str | None = None  # digest of given starting parameters
    _initial: dict[str, Any] | None = PrivateAttr(default=None)

    def __init__(self, dataset: Any = "digits", model: Any = "mlp", optimizer: Any = "adam", **data: Any) -> None:
        target = data.pop("target", None)
        dataset = dataset_choice(dataset, target)
        super().__init__(dataset=dataset, model=model, optimizer=optimizer, **data)

    @field_validator("dataset", "model", "optimizer", "loss", "schedule", mode="before")
    @classmethod
    def _choose(cls, value: Any) -> Any:
        return value if value is None else Choice.of(value)

    @field_validator("probes", mode="before")
    @classmethod
    def _choose_all(cls, value: Any) -> Any:
        return tuple(Choice.of(item) for item in ([value] if isinstance(value, str) else value))

    @field_validator("budget", mode="before")
    @classmethod
    def _spend(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return Budget(steps=value)
        return Budget(**value) if isinstance(value, Mapping) else value

    @field_validator("batch_size", "evaluate_every", "gradient_accumulation", "devices", mode="after")
    @classmethod
    def _positive(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value < 1:
            raise ValueError(f"{info.field_name}={value} is not valid; it must be at least 1.")
        return value

    @field_validator("validation_fraction", mode="after")
    @classmethod
    def _fraction(cls, value: float) -> float:
        if not 0 <= value < 1:
            raise ValueError(f"validation_fraction={value!r} is not valid; it must be in [0, 1).")
        return value

    @field_validator("seed", "replicate", mode="after")
    @classmethod
    def _natural(cls, value: int) -> int:
        if value < 0:
            raise ValueError(f"{value} is not valid; seed and replicate must be 0 or more.")
        return value

    def replace(self, **changes: Any) -> Experiment:
        """The same experiment but for what is named."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        changed = Experiment(**(kept | changes))
        changed._initial = self._initial if changed.initial == self.initial else None
        return changed

    def starting_at(self, initial: Mapping[str, Any]) -> Experiment:
        """The same experiment from given parameters: canonical name -> array."""
        import hashlib

        import numpy as np

        arrays = {name: np.asarray(value) for name, value in initial.items()}
        content = hashlib.sha256()
        for name in sorted(arrays):
            content.update(f"{name}{arrays[name].shape}".encode() + arrays[name].astype("<f8").tobytes())
        changed = self.replace(initial=content.hexdigest()[:16])
        changed._initial = arrays
        return changed

    def vary(self, **axes: Any) -> Study:
        """A study over all combinations. A keyword is a field (`optimizer=["sgd", "adam"]`, `replicate=range(3)`),
        one of the
        optimizer's hyperparameters (`learning_rate=kit.log_grid(1e-4, 1)`)
        or a component's option (`model__hidden=[(32,), (64,)]`)."""
        from kit.study import Study

        return Study.over(self, axes)

    def run(self, *, initial: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Train, with a progress bar, and wait. An identical run in the store is found, not repeated.

        One that failed is tried again. options: `store`, `executor`, `progress`, as in `Study.run`.
        """
        from kit.study import Study

        experiment = self if initial is None else self.starting_at(initial)
        return _only(Study.over(experiment, {}).run(**{"retry_failed": True, **options}))

    async def start(self, *, initial: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Like `run`, without blocking the event loop: `run = await experiment.start()`."""
        from kit.study import Study

        experiment = self if initial is None else self.starting_at(initial)
        results = await Study.over(experiment, {}).start(**{"retry_failed": True, **options})
        return _only(results)

    def document(self) -> dict[str, Any]:
        """As JSON data: only plain values."""
        parts: dict[str, Any] = {"format": FORMAT}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in (*LEVERS, *DEVICES) and value == type(self).model_fields[name].default:
                continue
            if isinstance(value, Choice | Budget):
                value = value.document()
            elif name == "probes":
                value = [probe.document() for probe in value]
            parts[name] = plain(value)
        return parts

    def to_json(self) -> str:
        """As a JSON document, from which `from_json` makes an equal experiment."""
        return json.dumps(self.document(), indent=2, allow_nan=False)

    @classmethod
    def from_document(cls, document: Any, trust: bool = False) -> Experiment:
        """trust: whether classes and functions that the document names by import path may be imported and run.

        Raises `InvalidValueError` for what is damaged, misspelled or of a newer format.
        """
        if not isinstance(document, dict):
            raise InvalidValueError("An experiment is read from a JSON object; this is something else.")
        values = dict(document)
        if (version := values.pop("format", FORMAT)) != FORMAT:
            raise InvalidValueError(
                f"This experiment has format {version}; this version reads format {FORMAT}. Update descentkit."
            )
        read = cls(**values)
        named = {name: getattr(read, name) for name in cls.model_fields}
        trusted = {name: choice.trusted() for name, choice in named.items() if isinstance(choice, Choice)}
        return read.replace(**trusted) if trust else read

    @classmethod
    def from_json(cls, text: str, trust: bool = False) -> Experiment:
        """See `from_document`."""
        try:
            return cls.from_document(json.loads(text), trust)
        except json.JSONDecodeError as error:
            raise InvalidValueError(
                f"This is not an experiment: it is not JSON (line {error.lineno}: {error.msg})."
            ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self.document() == other.document()

    def __hash__(self) -> int:
        return hash(canonical(self.document()))


def _only(results: Results) -> Run:
    """The run of a study of one. Raises `WorkError` where it never began: stopped before, or no worker to be had."""
    if not results.runs:
        raise WorkError(results.notes[0] if results.notes else "The run did not begin.")
    return results.runs[0]


def dataset_choice(data: Any, target: str | None = None) -> Choice:
    """The choice for a dataset. A user's own data is read now, so that a fault in it is said now; it is named by
    its content."""
    from kit.data import fingerprint, from_user, is_table

    if isinstance(data, Choice | Mapping):
        return Choice.of(data) if target is None else Choice.of(data, target=target)
    if isinstance(data, str) and not is_table(data):
        if target is not None:
            raise InvalidValueError(
                f"target='{target}' is for a table of your own (CSV, Parquet, a frame); "
                f"dataset '{data}' has its own target."
            )
        return Choice(name=data)
    options = {} if target is None else {"target": target}
    read = from_user(data, target=target)
    choice = Choice(name=str(data) if isinstance(data, str) else "arrays", options=options, digest=fingerprint(read))
    choice._thing = read
    return choice
