"""What plugins yield: light, frozen records, validated when made.

A record names what needs a framework as `"module:attribute"` (a *reference*), which is imported only when an
experiment uses it, so that listing every plugin imports no framework. Two instances:

    OptimizerSpec(name="adam", rule="kit.rules.adam:Adam", hyperparameters=(…), help="…", source="Kingma & Ba 2015")
    ModelSpec(name="mlp", backend="torch", build="kit_torch.models:mlp", parameters="kit.architectures:mlp")

`family` is the identity across backends: `mlp` in torch and `mlp` in tensorflow are the same experiment.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from kit.errors import InvalidValueError, MissingPackageError, PluginError
from kit.needs import PLAIN, Needs

Reference = str  # "package.module:attribute"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*\Z")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")

Task = Literal["classification", "binary", "regression", "language", "objective"]
TASKS: tuple[Task, ...] = ("classification", "binary", "regression", "language", "objective")


def resolve(reference: Reference) -> Any:
    """Import what a reference names.

    Raises `MissingPackageError` if a package is not installed, `PluginError` if the module lacks the attribute.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and "." in error.name and f"{module_name}.".startswith(error.name + "."):
            raise PluginError(f"'{reference}' cannot be resolved: there is no module '{error.name}'.") from error
        raise MissingPackageError(
            f"'{reference}' needs the package '{error.name}', which is not installed here."
        ) from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise PluginError(f"'{reference}' cannot be resolved: '{module_name}' has no '{part}'.") from None
    return found


@dataclass(frozen=True, kw_only=True)
class Record:
    """The base of every record: collects all faults and says them in one message."""

    kind: ClassVar[str] = "record"
    name: str  # what users type: letters, digits, '_', '-' and '.'
    help: str = ""  # one sentence for lists, widgets and messages

    def __post_init__(self) -> None:
        faults = self.faults()
        if faults:
            label = f"{self.kind} '{self.name}'" if isinstance(self.name, str) else self.kind
            raise PluginError(f"The {label} is not valid: " + "; ".join(faults) + ".")

    def faults(self) -> list[str]:
        """Every fault of this record, each a phrase; empty when it is valid."""
        found = []
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            found.append(f"name is {self.name!r}, but must be a word of letters, digits, '_', '-' or '.'")
        for each in fields(self):
            value = getattr(self, each.name)
            annotation = str(each.type)
            if (
                "Reference" in annotation
                and value is not None
                and not (isinstance(value, str) and _REFERENCE.match(value))
            ):
                found.append(f"{each.name} is {value!r}, but must read 'package.module:attribute'")
        return found


@dataclass(frozen=True, kw_only=True)
class Hyperparameter(Record):
    """One setting of a component. It drives the widgets, the command line and the checks alike.

    A hyperparameter whose default is a float may differ between the members of a stack and from step to step;
    every other one (int, bool, str, tuple) is *structural*: members of one stack share it.
    """

    kind: ClassVar[str] = "hyperparameter"
    default: Any  # its type is the hyperparameter's: float, int, bool, str or tuple
    low: float | None = None  # least value; None: no bound
    high: float | None = None  # greatest value; None: no bound
    bounds: Literal["[]", "[)", "(]", "()"] = "[]"  # which ends belong to the range, as in mathematics
    log: bool = False  # varies over orders of magnitude: sliders and grids are logarithmic
    choices: tuple[Any, ...] = ()  # the only valid values, instead of a range
    unit: str = ""  # "steps", "samples", …; empty where it has none

    @property
    def structural(self) -> bool:
        """True when every member of a stack must share the value."""
        return not isinstance(self.default, float)

    @property
    def range(self) -> str:
        """The range in words, for messages: `in [0, 1)`, `one of relu, tanh`, `any`."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.low is None and self.high is None:
            return "any " + type(self.default).__name__
        left = f"{self.bounds[0]}{self.low:g}" if self.low is not None else "(-inf"
        right = f"{self.high:g}{self.bounds[1]}" if self.high is not None else "inf)"
        return f"in {left}, {right}"

    def check(self, value: Any, component: str) -> Any:
        """The value, converted to the default's type (int to float, list to tuple).

        Raises `InvalidValueError` naming the component, the value and the valid range.
        """
        kind = type(self.default)
        if kind is float and value in ("inf", "-inf"):  # as strict JSON writes it
            value = float(value)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if kind is tuple and isinstance(value, list | tuple):
            value = tuple(value)
        elif kind is tuple and isinstance(value, int):
            value = (value,)
        wrong_type = self.default is not None and (
            not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        )
        if wrong_type or not self._within(value):
            raise InvalidValueError(f"{component}: {self.name}={value!r} is not valid; it must be {self.range}.")
        return value

    def _within(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, int | float) or isinstance(number, bool):
                continue
            if math.isnan(number):
                return False
            if self.low is not None and (number < self.low or (number == self.low and self.bounds[0] == "(")):
                return False
            if self.high is not None and (number > self.high or (number == self.high and self.bounds[1] == ")")):
                return False
        return True

    def faults(self) -> list[str]:
        found = super().faults()
        if self.low is not None and self.high is not None and self.low > self.high:
            found.append(f"low {self.low:g} is above high {self.high:g}")
        elif not self._within(self.default) and self.default is not None:
            found.append(f"default {self.default!r} is not {self.range}")
        return found


@dataclass(frozen=True, kw_only=True)
class Component(Record):
    """A record with hyperparameters, a family, and where it needs one, a backend and packages."""

    family: str = ""  # the identity across backends; the name unless said otherwise
    backend: str | None = None  # None: every backend
    hyperparameters: tuple[Hyperparameter, ...] = ()  # its options, in the order in which they are shown
    requires: tuple[str, ...] = ()  # import names of packages it needs, e.g. ("mlxtend",)
    install: str = ""  # the command that installs them, for messages
    source: str = ""  # paper, book or page
    # Checks of `kit check` that this component is known to fail, with the reason: {"optimizer.descends": "It climbs."},
    # or {"optimizer.descends@torch": …} in one backend. Strict: a check that passes all the same is a failure.
    expected_failures: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", self.name)
        if isinstance(self.expected_failures, Mapping):  # a copy: what the plugin does with its own changes nothing
            object.__setattr__(self, "expected_failures", dict(self.expected_failures))
        super().__post_init__()

    def defaults(self) -> dict[str, Any]:
        return {h.name: h.default for h in self.hyperparameters}

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """The hyperparameters with their defaults filled in and `given` checked against their ranges.

        Raises `UnknownNameError` for a name that is not one of them, `InvalidValueError` for a value out of range.
        """
        from kit.errors import unknown

        known = {h.name: h for h in self.hyperparameters}
        for name in given:
            if name not in known:
                raise unknown(f"hyperparameter of {self.kind} '{self.name}'", name, known)
        return {
            name: h.check(given[name], f"{self.kind} '{self.name}'") if name in given else h.default
            for name, h in known.items()
        }

    def faults(self) -> list[str]:
        found = super().faults()
        names = [h.name for h in self.hyperparameters]
        found += [f"hyperparameter '{n}' stands twice" for n in sorted({n for n in names if names.count(n) > 1})]
        expected = self.expected_failures
        if not isinstance(expected, Mapping) or not all(
            isinstance(part, str) and part.strip() for pair in expected.items() for part in pair
        ):
            found.append(f"expected_failures is {expected!r}, but must give each check's name its reason")
        return found


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """A way to train one run on several devices. `engine` names a function `(kit.parallel.Rank, threads) -> Engine`:
    one part of what trains together, whose programs get the whole batch and take their share of it (`kit.parallel`)."""

    name: str
    engine: Reference
    processes: Literal["each", "one"] = "each"  # one for each device, or one for all of them
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Component):
    """A framework that computes. `engine` names a class that satisfies `kit.engine.Engine`.

    A user's class is this backend's by `model_types` and `optimizer_types`, a function (`optax.adam`) where one of the
    packages that it `requires` defines it.
    """

    kind: ClassVar[str] = "backend"
    engine: Reference
    # Classes whose instances and subclasses are this backend's own, e.g. ("torch.nn.modules.module:Module",): the
    # host compares the names along a class's MRO, so that it never imports the framework to ask.
    model_types: tuple[str, ...] = ()
    optimizer_types: tuple[str, ...] = ()  # likewise, of optimizer classes
    # A module that satisfies `kit.engine.Arrays`: with it the checks can call the backend's losses and its `xp` alone.
    arrays: str | None = None
    # What its engine does of "gradient_accumulation" and "activation_checkpointing" (see `kit.engine.Problem`).
    levers: tuple[str, ...] = ()
    parallel: tuple[Parallel, ...] = ()  # ways to train one run on several devices, the usual one first


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Component):
    """A model. `build(**options, inputs=InputSpec)` makes the framework's own module (`torch.nn.Module`,
    `keras.Model`).

    `parameters` names a framework-free function `(inputs, **options) -> tuple[ParameterSpec, …]`: the canonical
    parameters with their shapes and initial distributions, shared by all backends of the family. Without it the
    framework's own initial weights and names are taken, and parity is not promised.
    """

    kind: ClassVar[str] = "model"
    build: Reference
    parameters: Reference | None = None
    # `(inputs, **options) -> ((name, shape per sample), …)`: uniform draws that the host hands the model, for dropout.
    noise: Reference | None = None
    tasks: tuple[Task, ...] = TASKS[:3]  # what it can be trained for


@dataclass(frozen=True, kw_only=True)
class LossSpec(Component):
    """A loss. `build` names a function `(output, target, **options) -> (samples,)` of the backend's tensors: one loss
    per sample, on logits for classification; the engine takes the mean."""

    kind: ClassVar[str] = "loss"
    build: Reference
    tasks: tuple[Task, ...] = ("regression",)  # what it can judge
    accuracy: Literal["argmax", "sign", None] = None  # how a prediction is read from the output; None: no accuracy
    reference: Reference | None = None  # the same function in plain NumPy, which the checks compare it with


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Component):
    """An optimizer: a `rule` that every backend runs, or a `native` class of one backend.

    `batch` is part of what the algorithm is: `"all"` samples (gradient descent), `"one"` (stochastic gradient
    descent) or `"any"` number (the experiment's `batch_size`).
    """

    kind: ClassVar[str] = "optimizer"
    rule: Reference | None = None  # a kit.rules.rule.Rule subclass
    # A torch.optim.Optimizer or keras.optimizers.Optimizer class, or a function of the same arguments that makes one.
    native: Reference | None = None
    needs: Needs = PLAIN  # how the native class is driven
    # What the native class takes besides its hyperparameters, with its own defaults: controls offer it, and it is given
    # to the class only where it differs. What the class takes beyond that can still be given by name.
    arguments: tuple[Hyperparameter, ...] = ()
    batch: Literal["all", "one", "any"] = "any"
    exempt_from_parity: str = ""  # the reason, for the ledger
    # The algorithm once more, independently, in plain NumPy: `(gradient, start, steps, **options) -> (steps + 1,
    # *shape)`, called as `kit.rules.reference.descend` is, which the checks compare the rule with.
    reference: Reference | None = None

    def faults(self) -> list[str]:
        found = super().faults()
        if (self.rule is None) == (self.native is None):
            found.append("exactly one of rule and native must be given")
        if self.native is not None and self.backend is None:
            found.append("a native optimizer must name its backend")
        if not isinstance(self.needs, Needs):
            found.append(f"needs is {self.needs!r}, but must be a kit.needs.Needs")
        elif self.native is None and self.needs != PLAIN:
            found.append("needs are a native optimizer's; a rule has none")
        if self.arguments and self.native is None:
            found.append("arguments are a native optimizer's; a rule has hyperparameters")
        return found


@dataclass(frozen=True, kw_only=True)
class DeviceSpec(Component):
    """A kind of device. `find` names a function `() -> list[DeviceReport]` that runs in the backend's worker and
    lists those that are there; `cuda` covers `cuda:0`, `cuda:1`, …"""

    kind: ClassVar[str] = "device"
    find: Reference
    dtypes: tuple[str, ...] = ("float32", "float64", "bfloat16")  # in which such a device can compute


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Component):
    """A dataset. `load(generator, **options)` returns a `kit.data.Data`; `generator` is a `numpy.random.Generator`
    on the `split` stream, for datasets that are generated."""

    kind: ClassVar[str] = "dataset"
    load: Reference
    task: Task = "classification"  # what its targets are


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec(Component):
    """A learning-rate schedule. `build` names `(step, steps, **options) -> factor`: `step` an int64 array from 0,
    `steps`
    the budget, `factor` a float64 array that multiplies the learning rate."""

    kind: ClassVar[str] = "schedule"
    build: Reference
    needs_steps: bool = True  # False: defined without knowing how many steps there will be


@dataclass(frozen=True, kw_only=True)
class ProbeSpec(Component):
    """Reads a run while it trains; never steers it. `build` names a class that satisfies `kit.probes.Probe`."""

    kind: ClassVar[str] = "probe"
    build: Reference


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Component):
    """Where stacks run. `build` names a class that satisfies `kit.executors.Executor`."""

    kind: ClassVar[str] = "executor"
    build: Reference
