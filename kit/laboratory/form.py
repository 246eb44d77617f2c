"""Everything that is chosen in the lab, as a value: the problem, the settings, the lanes. It becomes a study.

form = Form.of(registry, optimizer=["sgd", "adam"], dataset="digits")
form = form.with_option("model", "hidden", "64, 32").with_lane(0, "momentum")
form.faults()                      # sentences, empty when it can run
form.study()                       # kit.Study: lanes × replicates
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kit.choice import Choice
from kit.errors import InvalidValueError, KitError, unknown
from kit.experiment import Budget, Experiment, dataset_choice
from kit.laboratory import lanes as lane_list
from kit.laboratory.controls import Control
from kit.laboratory.lanes import Lane
from kit.laboratory.menus import elsewhere, why_not
from kit.laboratory.part import OBJECTIVE, OWN, SUITABLE, Part, known
from kit.laboratory.settings import settings_of
from kit.study import Study

if TYPE_CHECKING:
    from kit.registry import Registry

PARTS = ("dataset", "model", "loss", "schedule")
PROBES = ("gradient_norm", "update_ratio")  # what is drawn beside the loss
PATH = "trajectory"  # what is drawn over the contours of a function
PATH_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class Form:
    """See the module's head. Every `with_…` gives a changed form; none raises for a value that cannot work."""

    registry: Registry
    parts: Mapping[str, Part]
    settings: Mapping[str, Control]
    lanes: tuple[Lane, ...]
    backend: str
    device: str = "cpu"
    rest: Mapping[str, Any] = field(default_factory=dict)  # fields of the experiment that have no control here

    @classmethod
    def of(
        cls,
        registry: Registry,
        optimizer: Any,
        *,
        backend: str | None = None,
        replicates: int = 3,
        learning_rate: Any = None,
        **fields: Any,
    ) -> Form:
        """From what a user passes to `kit.lab`. Raises `KitError` for a name that there is not."""
        single = isinstance(optimizer, str | Choice) or not isinstance(optimizer, Iterable)
        given = [optimizer] if single else list(optimizer)
        chosen = dataset_choice(fields.pop("dataset", "digits"), fields.pop("target", None))
        base = Experiment(dataset=chosen, optimizer=Choice.of(given[0]) if given else "adam", **fields)
        place = _backend(registry, base if backend is None else base.replace(backend=backend))
        parts = {kind: Part.of(kind, getattr(base, kind), registry, place) for kind in PARTS}
        lanes: tuple[Lane, ...] = ()
        for choice in map(Choice.of, given):
            rate = learning_rate.get(choice.name) if isinstance(learning_rate, Mapping) else learning_rate
            rated = choice if rate is None else choice.with_options(learning_rate=float(rate))
            lanes = lane_list.added(lanes, Part.of("optimizer", rated, registry, place))
        rest = {name: getattr(base, name) for name in ("validation_fraction", "standardise", "strategy")}
        if "probes" in fields:
            rest["probes"] = base.probes
        settings = settings_of(base, replicates)
        return cls(
            registry=registry, parts=parts, settings=settings, lanes=lanes, backend=place, device=base.device, rest=rest
        )

    # --- what follows from the choices

    @property
    def data_task(self) -> str:
        """What the data are for; "" where that is not known before they are loaded."""
        part = self.parts["dataset"]
        if part.name == OWN:
            return str(getattr(part.own.thing, "task", "")) if part.own is not None and part.own.digest else ""
        record = known(self.registry, "dataset", part.name)
        return "" if record is None else str(record.task)

    @property
    def objective(self) -> bool:
        """Whether the model is a function to be minimised, so that the data do not count."""
        record = known(self.registry, "model", self.parts["model"].name)
        return record is not None and record.tasks == OBJECTIVE

    @property
    def task(self) -> str:
        return OBJECTIVE[0] if self.objective else self.data_task

    @property
    def unit(self) -> str:
        """Of the budget."""
        return self.settings["unit"].text

    def backend_of(self, lane: Lane) -> str:
        return lane.backend or self.backend

    def lane_names(self) -> list[str]:
        return lane_list.names(self.lanes, [self.backend_of(lane) for lane in self.lanes])

    # --- changing it

    def with_part(self, kind: str, name: str) -> Form:
        if kind == "backend":
            return replace(self, backend=name)
        if kind == "device":
            return replace(self, device=name)
        changed = self.part(kind).named(name, self.registry, self.backend)
        return replace(self, parts={**self.parts, kind: changed})

    def with_option(self, kind: str, option: str, text: str) -> Form:
        return replace(self, parts={**self.parts, kind: self.part(kind).with_text(option, text)})

    def with_setting(self, name: str, text: str) -> Form:
        if name not in self.settings:
            raise unknown("setting of the lab", name, self.settings)
        return replace(self, settings={**self.settings, name: self.settings[name].with_text(text)})

    def with_lane(self, number: int, name: str) -> Form:
        """Another optimizer in a lane."""
        lane = self.lane(number)
        part = lane.part.named(name, self.registry, self.backend_of(lane))
        return replace(self, lanes=lane_list.at(self.lanes, number, part=part))

    def with_lane_backend(self, number: int, backend: str) -> Form:
        return replace(self, lanes=lane_list.at(self.lanes, number, backend=backend))

    def with_lane_option(self, number: int, option: str, text: str) -> Form:
        part = self.lane(number).part.with_text(option, text)
        return replace(self, lanes=lane_list.at(self.lanes, number, part=part))

    def with_added(self, choice: Choice) -> Form:
        part = Part.of("optimizer", choice, self.registry, self.backend)
        return replace(self, lanes=lane_list.added(self.lanes, part))

    def with_copy(self, number: int) -> Form:
        lane = self.lane(number)
        return replace(self, lanes=lane_list.added(self.lanes, lane.part, lane.backend))

    def without(self, number: int) -> Form:
        self.lane(number)
        return replace(self, lanes=tuple(lane for i, lane in enumerate(self.lanes) if i != number))

    def part(self, kind: str) -> Part:
        if kind not in self.parts:
            raise unknown("part of the problem", kind, self.parts)
        return self.parts[kind]

    def lane(self, number: int) -> Lane:
        return lane_list.at(self.lanes, number)[number]

    # --- what it comes to

    def misfits(self, kind: str) -> list[str]:
        """Why a part of the problem cannot work beside the others, its own controls aside."""
        if kind == "dataset" and self.objective:
            return []
        return self._misfit(kind, self.parts[kind].name, self.backend)

    def lane_misfits(self, number: int) -> list[str]:
        lane = self.lane(number)
        return self._misfit("optimizer", lane.part.name, self.backend_of(lane))

    def device_fault(self) -> str:
        """Whether it is there is for the backend's worker to say; here only whether the backend knows such a one."""
        misfits = {place: self._misfit("device", self.device.partition(":")[0], place) for place in self.backends()}
        return next((misfit[0] for misfit in misfits.values() if misfit), "")

    def backends(self) -> list[str]:
        return list(dict.fromkeys(self.backend_of(lane) for lane in self.lanes))

    def _misfit(self, kind: str, name: str, backend: str) -> list[str]:
        if name in (OWN, SUITABLE):
            return []
        place = None if kind in ("dataset", "schedule") else backend
        try:
            record = self.registry.find(kind, name, place)
        except KitError as error:
            return [elsewhere(self.registry, kind, name, place) or str(error)]
        offer = next(offer for offer in self.registry.kind(kind) if offer.record is record)
        reason = why_not(offer, backend, self)
        return [f"{kind} '{name}' {reason}."] if reason else []

    def faults(self) -> list[str]:
        """Everything that stands in the way of a run, as sentences; a run itself may still find more."""
        found = [fault for control in self.settings.values() if (fault := control.fault())]
        unused = {"dataset"} if self.objective else set()
        for kind in (kind for kind in PARTS if kind not in unused):
            found += [*self.misfits(kind), *self.parts[kind].faults()]
        for i, (lane, name) in enumerate(zip(self.lanes, self.lane_names(), strict=True)):
            faults = [*self.lane_misfits(i), *lane.part.faults()]
            found += [f"Lane {i + 1} ({name}): {fault}" for fault in faults]
        found += [self.device_fault()] if self.device_fault() else []
        if not self.lanes:
            found.append("The lab has no lane; add one.")
        if not self.backend:
            found.append("No backend is installed: pip install descentkit-torch or descentkit-tensorflow.")
        return list(dict.fromkeys(found))

    def value(self, name: str) -> Any:
        return self.settings[name].value()

    def budget(self) -> Budget:
        amount = self.value("budget")
        whole = self.unit in ("steps", "samples")
        if whole and not float(amount).is_integer():
            raise InvalidValueError(f"The budget of {amount:g} {self.unit} is not valid; it must be a whole number.")
        return Budget(**{self.unit: int(amount) if whole else amount})

    def fields(self) -> dict[str, Any]:
        """The experiment's fields that all lanes share."""
        found: dict[str, Any] = {kind: self.parts[kind].choice() for kind in PARTS}
        if self.objective:
            del found["dataset"]
        found |= {name: self.value(name) for name in ("batch_size", "seed", "dtype", "evaluate_every")}
        found |= {"budget": self.budget(), "device": self.device, "backend": self.backend, **self.rest}
        known = set(self.registry.names("probe"))
        if "probes" not in self.rest:
            found["probes"] = tuple(name for name in (*PROBES, *[PATH] * self.objective) if name in known)
        if self.objective and found["evaluate_every"] is None and found["budget"].steps:
            found["evaluate_every"] = max(1, found["budget"].steps // PATH_POINTS)
        return found

    def experiments(self) -> list[list[Experiment]]:
        """Lane by lane, its replicates. Raises `KitError` for what cannot be an experiment."""
        faults = self.faults()
        if faults:
            raise InvalidValueError(faults[0])
        base = Experiment(**self.fields())
        found = []
        for lane in self.lanes:
            lane_base = base.replace(optimizer=lane.part.choice(), backend=self.backend_of(lane))
            found.append([lane_base.replace(replicate=r) for r in range(self.value("replicates"))])
        return found

    def study(self) -> Study:
        return Study([experiment for lane in self.experiments() for experiment in lane])

    def new_seed(self) -> Form:
        """The next seed: another split, start and order for all lanes alike."""
        control = self.settings["seed"]
        return self.with_setting("seed", "0" if control.fault() else str(control.value() + 1))


def _backend(registry: Registry, base: Experiment) -> str:
    from kit.resolve import Resolver

    return Resolver(registry).backend(base) if registry.backends else ""
