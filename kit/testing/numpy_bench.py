"""The bench of a rule without a framework: NumPy's own arithmetic, a bowl over parameters of every shape."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kit.records import resolve
from kit.testing.bench import Members, no_decay

if TYPE_CHECKING:
    from kit.records import OptimizerSpec

SHAPES: dict[str, tuple[int, ...]] = {
    "scalar": (), "vector": (5,), "matrix": (6, 3), "wide": (3, 7), "kernel": (4, 3, 3, 2),
}  # fmt: skip


def variants_of(record: OptimizerSpec) -> tuple[dict[str, Any], ...]:
    """The defaults, then each other value of each structural hyperparameter that has choices."""
    others = [
        {h.name: value}
        for h in record.hyperparameters
        if h.structural
        for value in ((True, False) if isinstance(h.default, bool) else h.choices)
        if value != h.default
    ]
    return ({}, *others)


class NumpyBench:
    """A rule in NumPy (`kit.rules.reference`)."""

    dtype = "float64"

    def __init__(self, record: OptimizerSpec) -> None:
        self.record, self.variants = record, variants_of(record)

    def session(
        self,
        members: Members = ({},),
        *,
        dtype: str | None = None,
        still: bool = False,
        fresh: bool = False,
        structure: Mapping[str, Any] | None = None,
        locked: bool = False,
    ) -> NumpySession:
        """locked: what a rule is given cannot be written to."""
        return NumpySession(self.record, members, structure or {}, dtype or self.dtype, still, locked)


class NumpySession:
    """A stack in NumPy. Every one has a rule object of its own; what it computes is deterministic."""

    def __init__(
        self,
        record: OptimizerSpec,
        members: Members,
        structure: Mapping[str, Any],
        dtype: str,
        still: bool,
        locked: bool,
    ) -> None:
        import numpy as np

        self.record, self.size, self.dtype, self.locked = record, len(members), dtype, locked
        self.options = [record.options({**structure, **no_decay(record, still), **member}) for member in members]
        source = np.random.default_rng(5)
        self.curvatures = [np.asarray(source.uniform(0.2, 2.0, size=shape), dtype) for shape in SHAPES.values()]
        self.centres = [np.asarray(source.normal(size=shape), dtype) for shape in SHAPES.values()]
        if still:
            self.curvatures[0] = 0 * self.curvatures[0]
            self.curvatures[1][:2] = self.curvatures[4][1] = 0  # some elements of a vector, one filter of a kernel
            self.curvatures[2] = 0 * self.curvatures[2]
        starts = [np.asarray(source.normal(1.0, size=shape), dtype) for shape in SHAPES.values()]
        self.start = [np.repeat(p[None], self.size, axis=0) for p in starts]
        self.restart()

    def restart(self) -> None:
        import numpy as np

        from kit.rules.reference import Reference

        rule = resolve(str(self.record.rule))
        known = {h.name for h in rule.all_hyperparameters() if h.structural}
        made = rule(**{name: self.options[0][name] for name in known})
        floats = {name: np.array([o[name] for o in self.options], dtype=np.float64) for name in made.float_names}
        self.reference = Reference(made, self.start, floats)

    def gradients_at(self, parameters: list[Any]) -> list[Any]:
        """a (p − c)."""
        found = [a * (p - c) for a, p, c in zip(self.curvatures, parameters, self.centres, strict=True)]
        if self.locked:
            held = [value for slots in self.reference.slots for value in slots.values()]
            for array in (*found, *parameters, *held):
                array.flags.writeable = False
        return found

    def advance(self, steps: int) -> Any:
        import numpy as np

        losses = []
        for _ in range(steps):
            losses.append(self._loss(self.reference.parameters))
            self.reference.advance(self.gradients_at, np.ones((1, self.size)))
        return np.array(losses)

    def _loss(self, parameters: list[Any]) -> Any:
        import numpy as np

        terms = zip(self.curvatures, parameters, self.centres, strict=True)
        each = [np.reshape(0.5 * a * (p - c) ** 2, (self.size, -1)).sum(axis=1) for a, p, c in terms]
        return np.sum(each, axis=0)

    def reported(self) -> dict[str, Any]:
        return copy.deepcopy(dict(zip(SHAPES, self.reference.evaluated(), strict=True)))

    def gradients(self) -> dict[str, Any]:
        return dict(zip(SHAPES, self.gradients_at(self.reference.parameters), strict=True))

    def loss(self) -> Any:
        return self._loss(self.reference.evaluated())

    def snapshot(self) -> Any:
        """Parameters, slots, carry, step: what a backend stores."""
        r = self.reference
        return copy.deepcopy((r.parameters, r.slots, r.carry, r.steps_taken))

    def resume(self, snapshot: Any) -> None:
        r = self.reference
        r.parameters, r.slots, r.carry, r.steps_taken = copy.deepcopy(snapshot)

    def read(self) -> None:
        self.reported()

    def spoil(self) -> bool:
        return False
