"""A compiled stack: `kit.engine.Program` in TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.engine import Native, Split, State
from kit.errors import InvalidValueError, KitError
from kit_tensorflow.choose import Chooser, refused
from kit_tensorflow.evaluation import Evaluation
from kit_tensorflow.feed import Chunk, cast
from kit_tensorflow.plan import Plan
from kit_tensorflow.runner import Runner
from kit_tensorflow.strategies import BY_NAME
from kit_tensorflow.update import evaluated

Array = np.ndarray[Any, np.dtype[Any]]
# Kept among the buffers for rules whose reported parameters depend on the last step's scalars.
LAST = "last_scalars"


class TensorFlowProgram:
    """See `kit.engine.Program`. steps: how many are expected; strategy: the one asked for, or None."""

    def __init__(self, plan: Plan, steps: int, strategy: str | None) -> None:
        self.plan, self.steps, self.asked = plan, steps, strategy
        self.strategy = strategy or ""
        self.compile_seconds = 0.0
        self.timings: dict[str, float] = {}
        self.left_out: dict[str, str] = {}
        self._waiting: State | None = None  # loaded, and not yet on the device
        self._runner: Runner | None = None
        self._evaluation: Evaluation | None = None
        self._last: Array | None = None  # (N, S), the scalars of the last step
        averages = not isinstance(plan.optimizer, Native) and _averages(plan.optimizer)
        self._keeps_last = averages

    def load(self, state: State) -> None:
        """Raises `InvalidValueError` for parameters or buffers that are not this model's."""
        names = self.plan.criterion.network.names
        self._check(names, state)
        buffers = dict(state.buffers)
        self._last = buffers.pop(LAST, None)
        self._waiting = State(
            parameters={name: np.asarray(state.parameters[name], self.plan.precision) for name in names},
            slots=state.slots,
            buffers=buffers,
        )

    def _check(self, names: list[str], state: State) -> None:
        members = self.plan.stack.size
        shapes = {layout.name: (members, *layout.shape) for layout in self.plan.criterion.network.layouts}
        given = {name: np.shape(value) for name, value in state.parameters.items()}
        if given != shapes:
            raise InvalidValueError(f"The state's parameters {given} are not those of the model, {shapes}.")
        missing = [name for name in self.plan.criterion.network.buffers if name not in state.buffers]
        if missing:
            raise InvalidValueError(f"The state lacks the model's buffers {', '.join(missing)}.")

    def state(self) -> State:
        found = self._present()
        if self._keeps_last and self._last is not None:
            found.buffers[LAST] = np.array(self._last)
        return found

    def _present(self) -> State:
        if self._waiting is not None:
            waiting = self._waiting
            return State(
                parameters={name: value.copy() for name, value in waiting.parameters.items()},
                slots={slot: {n: np.array(v) for n, v in named.items()} for slot, named in waiting.slots.items()},
                buffers={name: np.array(value) for name, value in waiting.buffers.items()},
            )
        if self._runner is None:
            raise InvalidValueError("The program has no state yet: load one first.")
        return self._runner.state()

    def evaluated_parameters(self) -> dict[str, Array]:
        return self._evaluated(self._present())

    def _evaluated(self, state: State) -> dict[str, Array]:
        if isinstance(self.plan.optimizer, Native):
            return self.plan.evaluated(state)
        return evaluated(self.plan.optimizer, state, self._last)

    def advance(
        self,
        indices: Array | None,
        scalars: Array,
        *,
        samples: tuple[Any, Any] | None = None,
        noise: Mapping[str, Array] | None = None,
    ) -> Array:
        chunk = Chunk(indices, samples, noise or {})
        began = time.perf_counter()
        if self._waiting is not None:
            losses, useful = self._begin(chunk, scalars)
        else:
            if self._runner is None:
                raise InvalidValueError("The program has no state yet: load one first.")
            losses, useful = self._runner.advance(chunk, scalars), None
        if useful is not None:
            self.compile_seconds += time.perf_counter() - began - useful
        self._last = np.asarray(scalars[-1])
        return np.asarray(losses, np.float64)

    def _begin(self, chunk: Chunk, scalars: Array) -> tuple[Array, float]:
        """The first steps after `load`: bring the state onto the device, and choose a strategy if none is set. Returns
        the losses, and the seconds of training among those that passed."""
        state = self._waiting
        assert state is not None
        if not state.slots:
            state.slots = self.plan.first_slots(state, scalars[0])
        if not self.strategy:
            choice = Chooser(self.plan, state, chunk, scalars, max(0, self.steps - len(scalars))).choose()
            self._runner, self.strategy = choice.runner, choice.runner.strategy.name
            self.timings, self.left_out = choice.timings, choice.left_out
            losses, seconds = choice.losses, choice.seconds
        else:
            self._prepare(state, chunk, scalars)
            assert self._runner is not None
            began = time.perf_counter()
            losses = self._runner.advance(chunk, scalars)
            seconds = time.perf_counter() - began
        self._waiting = None
        return losses, seconds

    def _prepare(self, state: State, chunk: Chunk, scalars: Array) -> None:
        if self._runner is not None:
            self._runner.load(state)
            return
        strategy = BY_NAME[self.strategy]
        try:
            self._runner = Runner(self.plan, strategy, chunk, state, scalars.shape[2])
            self._runner.prepare(chunk, scalars)
        except KitError:
            raise
        except Exception as error:
            if strategy.kind == "single":
                raise
            raise InvalidValueError(f"{refused(strategy, error)}.") from error

    def evaluate(self, split: Split) -> dict[str, Array]:
        if self._evaluation is None:
            self._evaluation = Evaluation(self.plan)
        present = self._present()
        state = State(parameters=self._evaluated(present), buffers=present.buffers)
        return self._evaluation.evaluate(state, self.plan.table(self.plan.problem.evaluation[split]))

    def gradients(self, indices: Array | None, samples: tuple[Any, Any] | None = None) -> dict[str, Array]:
        if self._evaluation is None:
            self._evaluation = Evaluation(self.plan)
        if samples is not None:
            x, y = (cast(np.asarray(a), self.plan.precision) for a in samples)
        else:
            block = self.plan.problem.train
            assert block is not None
            x, y = (cast(a, self.plan.precision) for a in (block.x, block.y))
            if indices is not None:
                x, y = (np.stack([a[r if len(a) > 1 else 0][rows] for r, rows in enumerate(indices)]) for a in (x, y))
        return self._evaluation.gradients(self._present(), x, y)

    def close(self) -> None:
        self._runner = self._evaluation = self._waiting = None
        self.plan.close()


def _averages(rule: Any) -> bool:
    from kit.rules.rule import Rule

    return type(rule).evaluated is not Rule.evaluated
