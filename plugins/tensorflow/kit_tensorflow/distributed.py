"""A run as one replica for each device: what `tf.distribute` carries out of a step, and its state."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.engine import Native, Split, State
from kit.parallel import share
from kit_tensorflow import layout
from kit_tensorflow.environment import quiet, tf
from kit_tensorflow.evaluation import Evaluation
from kit_tensorflow.feed import cast
from kit_tensorflow.plan import Plan
from kit_tensorflow.program import LAST
from kit_tensorflow.strategies import GRAPH
from kit_tensorflow.update import evaluated

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]
APART = 1_000_003  # between the seeds of the replicas, for what a model draws for itself


class DistributedProgram:
    """See `kit.engine.Program`. number: of this process, whose first replica has the same number; devices: of all."""

    def __init__(self, plan: Plan, distribution: Any, number: int, devices: int) -> None:
        self.plan, self.distribution, self.number, self.devices = plan, distribution, number, devices
        several = isinstance(distribution, tf.distribute.MultiWorkerMirroredStrategy)
        self.strategy = "multi_worker_mirrored" if several else "mirrored"
        self.timings: dict[str, float] = {}
        self.compile_seconds, self.evaluations = 0.0, None
        self.gradients_of, self.update = plan.gradients(GRAPH, (0,)), plan.update(0)
        self.storage, self.network = plan.storage(self.gradients_of), plan.criterion.network
        self._last: Any = None  # (N, S), the scalars of the last step
        self._waiting: State | None = None
        self._replicas: Any = None  # the flat state, a value for each replica
        self._structure: Any = None
        self._function: Any = None
        self._evaluation = Evaluation(plan)

    # --- state

    def load(self, state: State) -> None:
        buffers = dict(state.buffers)
        self._last = buffers.pop(LAST, None)
        parameters = {name: np.asarray(state.parameters[name], self.plan.precision) for name in self.network.names}
        self._waiting = State(parameters=parameters, slots=state.slots, buffers=buffers)

    def _place(self, first: Array) -> None:
        """Bring the state onto the devices, the slots begun if need be. first: (N, S), scalars of the coming step."""
        state = self._waiting
        assert state is not None
        if not state.slots:
            state.slots = self.plan.first_slots(state, first)
        packed = (
            self.storage.pack(state.parameters),
            self.update.pack(state.slots, self.storage),
            self.network.buffers_of(state.buffers),
        )
        self._structure = tf.nest.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), packed)
        *rest, buffers = packed

        def of(context: Any) -> list[Tensor]:
            pairs = zip(self.network.buffers, buffers, strict=True)
            own = [_seeded(name, value, context.replica_id_in_sync_group) for name, value in pairs]
            return [tf.constant(np.ascontiguousarray(a)) for a in tf.nest.flatten((*rest, own))]

        self._replicas = self.distribution.experimental_distribute_values_from_function(of)
        self._waiting = None

    def state(self) -> State:
        """The first replica's, whose buffers are the run's."""
        found = self._present()
        if self._last is not None:
            found.buffers[LAST] = np.array(self._last)
        return found

    def _present(self) -> State:
        if self._waiting is not None:
            return State(
                parameters=dict(self._waiting.parameters),
                slots=dict(self._waiting.slots),
                buffers=dict(self._waiting.buffers),
            )
        arrays = [self._local(value)[0].numpy() for value in self._replicas]
        parameters, slots, buffers = tf.nest.pack_sequence_as(self._structure, arrays)
        return State(
            parameters=self.storage.unpack(parameters),
            slots=self.update.unpack(slots, self.storage),
            buffers={name: np.array(value) for name, value in zip(self.network.buffers, buffers, strict=True)},
        )

    def evaluated_parameters(self) -> dict[str, Array]:
        return self._evaluated(self._present())

    def _evaluated(self, state: State) -> dict[str, Array]:
        if isinstance(self.plan.optimizer, Native):
            return state.parameters
        return evaluated(self.plan.optimizer, state, self._last)

    # --- training

    def advance(
        self,
        indices: Array | None,
        scalars: Array,
        *,
        samples: tuple[Any, Any] | None = None,
        noise: Mapping[str, Array] | None = None,
    ) -> Array:
        if self._waiting is not None:
            self._place(scalars[0])
        losses = np.empty((len(scalars), 1))
        for k, now in enumerate(scalars):
            x, y = self._batch(None if indices is None else indices[k], samples, k)
            drawn = [np.asarray(values[k, 0], self.plan.precision) for values in (noise or {}).values()]
            given = self.distribution.experimental_distribute_values_from_function(
                lambda context, given=(x, y, *drawn): self._share(given, context.replica_id_in_sync_group)
            )
            result = self._step(tf.constant(now.astype(self.plan.precision)), given, list(noise or {}), len(x))
            losses[k], self._replicas = self._local(result[0])[0].numpy(), result[1:]
        self._last = np.asarray(scalars[-1])
        return losses

    def _batch(self, rows: Array | None, samples: tuple[Any, Any] | None, k: int) -> tuple[Array, Array]:
        """x and y of a step's whole batch."""
        if samples is not None:
            x, y = samples[0][k, 0], samples[1][k, 0]
        else:
            block = self.plan.problem.train
            assert block is not None
            x, y = (block.x[0], block.y[0]) if rows is None else (block.x[0][rows[0]], block.y[0][rows[0]])
        return cast(np.asarray(x), self.plan.precision), cast(np.asarray(y), self.plan.precision)

    def _share(self, arrays: tuple[Array, ...], replica: int) -> list[Tensor]:
        start, stop = share(len(arrays[0]), int(replica), self.devices)
        return [tf.constant(array[start:stop]) for array in arrays]

    def _step(self, now: Tensor, given: Any, names: list[str], batch: int) -> Any:
        if self._function is not None:
            return self._function(now, self._replicas, given)

        def replica(now: Tensor, flat: list[Tensor], given: list[Tensor]) -> list[Tensor]:
            x, y, *drawn = given
            return self._replica(now, flat, x, y, dict(zip(names, drawn, strict=True)), batch)

        def step(now: Tensor, flat: Any, given: Any) -> Any:
            return self.distribution.run(replica, args=(now, flat, given))

        began = time.perf_counter()
        self._function = tf.function(step, autograph=False)
        with quiet():
            found = self._function(now, self._replicas, given)
        self.compile_seconds += time.perf_counter() - began
        return found

    def _replica(
        self, now: Tensor, flat: list[Tensor], x: Tensor, y: Tensor, noise: dict[str, Tensor], batch: int
    ) -> list[Tensor]:
        """In the graph, on one device: the loss of the whole batch, and the state after the step."""
        parameters, slots, buffers = tf.nest.pack_sequence_as(self._structure, flat)
        loss, gradients, buffers = self.gradients_of(self.storage, parameters, buffers, x, y, noise)
        weight = tf.constant(x.shape[0] / batch, self.storage.dtype)
        context = tf.distribute.get_replica_context()
        loss, *gradients = context.all_reduce("SUM", [weight * value for value in (loss, *gradients)])
        parameters, slots = self.update(parameters, gradients, slots, now, self.storage)
        if not self.update.constrains:
            parameters = self.gradients_of.constrained(self.storage, parameters)
        return [loss, *tf.nest.flatten((parameters, slots, buffers))]

    def _local(self, value: Any) -> Any:
        return self.distribution.experimental_local_results(value)

    # --- reading: by the first process alone, as every device has the whole model

    def evaluate(self, split: Split) -> dict[str, Array]:
        if self.number:
            return {}
        present = self._present()
        state = State(parameters=self._evaluated(present), buffers=present.buffers)
        return self._evaluation.evaluate(state, self.plan.table(self.plan.problem.evaluation[split]))

    def gradients(self, indices: Array | None, samples: tuple[Any, Any] | None = None) -> dict[str, Array]:
        if self.number:
            return {}
        one = None if samples is None else (samples[0][None], samples[1][None])
        x, y = self._batch(indices, one, 0)
        return self._evaluation.gradients(self._present(), x[None], y[None])

    def close(self) -> None:
        """Its process ends with it."""


def _seeded(name: str, value: Array, replica: int) -> Array:
    """The first replica's seed of a model's own draws is the run's; another's is apart from it."""
    if not name.endswith(layout.SEED_STATE) or not replica:
        return value
    own = value.copy()
    own[:, 0] = (own[:, 0].astype(np.int64) + APART * int(replica)) % 2**32
    return own
