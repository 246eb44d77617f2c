"""Experiments run to be compared: a value, like the experiments in it, and the one place where they are carried out.

A study groups what can train as one stack, sends each stack to a worker of its backend, skips what the store
already holds
as done, and gives the results. Interrupting it (Ctrl-C, `stop()`) ends cleanly with everything so far kept.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.choice import Choice, canonical, plain
from kit.errors import InvalidValueError, unknown
from kit.experiment import FORMAT, Experiment

if TYPE_CHECKING:
    from kit.registry import Registry
    from kit.results import Results

COMPONENTS = ("dataset", "model", "loss", "optimizer", "schedule")


class Study:
    """Experiments and the axes along which they differ. `experiments` stands in the order of the axes' product."""

    def __init__(self, experiments: Iterable[Experiment], axes: Mapping[str, Iterable[Any]] | None = None) -> None:
        self.experiments = tuple(experiments)
        self.axes: dict[str, tuple[Any, ...]] = {name: tuple(values) for name, values in (axes or {}).items()}
        self.stop_event = threading.Event()
        self.pause_event = threading.Event()
        self.stopped = False  # whether the last run of this study was asked to end before its time
        if not self.experiments:
            raise InvalidValueError("A study needs at least one experiment; an axis is empty.")

    @classmethod
    def over(cls, base: Experiment, axes: Mapping[str, Any]) -> Study:
        """All combinations of the axes' values. Raises `UnknownNameError` for an axis that nothing has."""
        values = {name: _values(name, given) for name, given in axes.items()}
        # Components first, so that a hyperparameter's axis is applied to the optimizer that its combination names.
        order = sorted(values, key=lambda name: name not in Experiment.model_fields)
        experiments = []
        for combination in itertools.product(*values.values()):
            chosen = dict(zip(values, combination, strict=True))
            experiment = base
            for name in order:
                experiment = _vary(experiment, name, chosen[name])
            experiments.append(experiment)
        return cls(experiments, values)

    def run(
        self,
        store: str | Path | None = None,
        executor: str = "processes",
        progress: bool | Any = True,
        registry: Registry | None = None,
        retry_failed: bool = False,
    ) -> Results:
        """Carry out what the store does not hold as ended, wait, and give the results of all.

        A run that was interrupted continues from its last checkpoint; one that failed is left alone, unless
        `retry_failed` asks for it.

        store: a folder; None: the environment's KIT_STORE, or `runs`. executor: "processes", "inline" or a plugin's.
        progress: a bar (True), nothing (False), or an object with the methods of `kit.progress.Progress`.
        Raises `KitError` for a request that cannot be carried out; what goes wrong in a run becomes its status.
        """
        from kit.conduct import conduct

        try:
            return conduct(
                self,
                store=store,
                executor=executor,
                progress=progress,
                registry=registry,
                retry_failed=retry_failed,
            )
        finally:
            self.stopped = self.stop_event.is_set()
            # The words to stop and to pause were for this run, even if they came before it began.
            self.stop_event.clear()
            self.pause_event.clear()

    async def start(self, **options: Any) -> Results:
        """Like `run`, without blocking the event loop; cancelling the task stops the study cleanly."""
        running = asyncio.get_running_loop().run_in_executor(None, lambda: self.run(**options))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stop()
            await running
            raise

    def stop(self) -> None:
        """Ask a study that runs in another thread to end; what trains answers within a second."""
        self.stop_event.set()

    def pause(self) -> None:
        """Ask a study that runs in another thread to wait: within a second it holds no core. The time is not training
        time and changes no number; what was trained is written. An executor of a plugin may not know how to wait."""
        self.pause_event.set()

    def resume(self) -> None:
        """Let a paused study go on."""
        self.pause_event.clear()

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        axes = {name: [_plain_value(value) for value in values] for name, values in self.axes.items()}
        return {"format": FORMAT, "axes": axes, "experiments": [e.document() for e in self.experiments]}

    def to_json(self) -> str:
        """As a JSON document, from which `from_json` makes an equal study."""
        return json.dumps(self.document(), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, trust: bool = False) -> Study:
        """trust: whether classes and functions that the text names by import path may be imported and run.

        Raises `InvalidValueError` for what is damaged, or written by a newer version.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidValueError(
                f"This is not a study: it is not JSON (line {error.lineno}: {error.msg})."
            ) from None
        if not isinstance(document, dict) or not isinstance(document.get("experiments"), list):
            raise InvalidValueError("This is not a study: it has no list of experiments.")
        if (version := document.get("format")) != FORMAT:
            raise InvalidValueError(
                f"This study has format {version}; this version reads format {FORMAT}. Update descentkit."
            )
        axes = document.get("axes", {})
        if not isinstance(axes, dict) or not all(isinstance(values, list) for values in axes.values()):
            raise InvalidValueError("This study is damaged: its axes are not lists.")
        return cls([Experiment.from_document(item, trust) for item in document["experiments"]], axes)

    def __len__(self) -> int:
        return len(self.experiments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Study) and self.document() == other.document()

    def __hash__(self) -> int:
        return hash(canonical(self.document()))

    def __repr__(self) -> str:
        axes = " × ".join(f"{len(values)} {name}" for name, values in self.axes.items())
        return f"Study({len(self)} experiments{f': {axes}' if axes else ''})"


def _values(name: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable) or isinstance(given, Choice | Mapping):
        given = [given]
    values = tuple(
        value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value for value in given
    )
    if not values:
        raise InvalidValueError(f"The axis '{name}' is empty.")
    return values


def _vary(experiment: Experiment, name: str, value: Any) -> Experiment:
    """One axis applied: a field, a component's option (`model__hidden`), or a hyperparameter of the optimizer."""
    if name in Experiment.model_fields:
        return experiment.replace(**{name: value})
    component, separator, option = name.partition("__")
    if separator and component in COMPONENTS:
        choice = getattr(experiment, component)
        if choice is None:
            raise InvalidValueError(
                f"The axis '{name}' sets an option of the {component}, but the experiment names none."
            )
        return experiment.replace(**{component: choice.with_options(**{option: value})})
    if separator:
        raise unknown("component to vary", component, COMPONENTS)
    return experiment.replace(optimizer=experiment.optimizer.with_options(**{name: value}))


def _plain_value(value: Any) -> Any:
    return (
        value.document()
        if isinstance(value, Choice)
        else plain(value if not hasattr(value, "document") else value.document())
    )
