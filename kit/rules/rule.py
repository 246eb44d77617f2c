"""An optimizer's rule, written once: its slots and its update, in plain array arithmetic over a namespace
`xp`.

The same ten lines run in NumPy, PyTorch and TensorFlow, for one run or a stack of them, because every array
has
the trials in front: a parameter is `(trials, …)`, a flat buffer of all elementwise parameters `(trials,
parameters)`, and a hyperparameter broadcasts against it. Two instances:

    class GradientDescent(Rule):                   # p ← p − η g
        def update(self, xp, p, g, s, h):
            return p - h.learning_rate * g, s

    class Momentum(Rule):                          # b ← μ b + g;   p ← p − η b
        slots = ("b",)
        def update(self, xp, p, g, s, h):
            b = h.momentum * s["b"] + g
            return p - h.learning_rate * b, {"b": b}

The learning rate stands outside every buffer, so that schedules agree everywhere. Scalars that depend on the
step or on hyperparameters alone (β^t, 1 − β, bias corrections) are not computed in `update` but in
`coefficients`, by
the host, in float64, and rounded once: 1 − 0.999 in float32 is wrong by 5e-5 relative.

Symbols in every docstring: p parameter, g gradient, η `learning_rate`, λ `weight_decay`, t the step from 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kit.errors import unknown
from kit.records import Hyperparameter, OptimizerSpec

if TYPE_CHECKING:
    import numpy as np

    Float = np.ndarray[Any, np.dtype[np.float64]]

Array = Any  # a NumPy, PyTorch or TensorFlow array: (trials, …)
Slots = dict[str, Array]

LEARNING_RATE = Hyperparameter(
    name="learning_rate", default=0.01, low=0.0, log=True, help="Step size η: how far one update moves."
)
# Options that every rule has; the defaults of `weight_decay` and `decay` may be overridden by the rule.
WEIGHT_DECAY = Hyperparameter(
    name="weight_decay",
    default=0.0,
    low=0.0,
    log=True,
    help="Weight decay λ: pulls every parameter towards zero.",
)
DECAY = Hyperparameter(
    name="decay",
    default="coupled",
    choices=("coupled", "decoupled"),
    help="Where weight decay acts: added to the gradient (coupled, L2) or to the parameter (decoupled).",
)
CLIP_NORM = Hyperparameter(
    name="clip_norm",
    default=float("inf"),
    low=0.0,
    bounds="(]",
    log=True,
    help="Gradients whose global norm over all parameters exceeds this are scaled down to it; inf: never.",
)


class Rule:
    """The base of every rule. A subclass sets the class attributes and `update`; the rest has defaults.

    An instance holds the *structural* hyperparameters (those that are not floats: `decay`, `centered`,
    iteration counts) in `self.structure`; the float ones arrive in `h`, per trial and per step. Making an
    instance raises `UnknownNameError` for a name that is not a structural hyperparameter, `InvalidValueError`
    for a value out of range. The table of hyperparameters in a rule's docstring is made from their records.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    family: ClassVar[str] = ""
    batch: ClassVar[Literal["all", "one", "any"]] = "any"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (LEARNING_RATE,)
    # Every slot that a parameter can have; `start` gives each parameter those that it needs, in the shapes
    # that it needs (trials in front), so that matrices can be treated otherwise than vectors.
    slots: ClassVar[tuple[str, ...]] = ()
    # True: each element of a parameter is updated alone, so that the engine may hold all parameters in one
    # flat buffer (trials, parameters). False: the rule needs each parameter in its own canonical shape
    # (trials, *shape).
    elementwise: ClassVar[bool] = True
    # True: `update` itself applies decoupled weight decay, because the algorithm says where else it stands
    # (inside LAMB's trust ratio, at schedule-free's y). False: `kit.rules.step` shrinks the parameter before
    # the update.
    decay_inside: ClassVar[bool] = False
    # Names of the scalars that `coefficients` gives, in addition to the float hyperparameters.
    coefficient_names: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""
    # The algorithm once more in plain NumPy, "module:function": see `kit.records.OptimizerSpec.reference`.
    reference: ClassVar[str | None] = None
    expected_failures: ClassVar[dict[str, str]] = {}  # see `kit.records.Component`

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__ and cls.__doc__:
            cls.__doc__ = cls.__doc__.rstrip() + "\n\n" + cls._table_of_hyperparameters()

    def __init__(self, **structure: Any) -> None:
        structural = {h.name: h for h in self.all_hyperparameters() if h.structural}
        for name in structure:
            if name not in structural:
                raise unknown(f"structural hyperparameter of optimizer '{self.name}'", name, structural)
        label = f"optimizer '{self.name}'"
        self.structure: dict[str, Any] = {
            name: h.check(structure.get(name, h.default), label) for name, h in structural.items()
        }
        # Read by the host in every chunk, hence made once.
        self.float_names = tuple(h.name for h in self.all_hyperparameters() if not h.structural)
        self._scalar_names = self.float_names + self.coefficient_names

    @classmethod
    def _table_of_hyperparameters(cls) -> str:
        lines = [f"    {h.name} = {h.default!r} ({h.range}): {h.help}" for h in cls.all_hyperparameters()]
        return "    Hyperparameters, with default and range:\n\n" + "\n".join(lines) + "\n    "

    @classmethod
    def all_hyperparameters(cls) -> tuple[Hyperparameter, ...]:
        """The rule's own hyperparameters, then the options of every rule, each name once."""
        own = {h.name for h in cls.hyperparameters}
        return cls.hyperparameters + tuple(h for h in (WEIGHT_DECAY, DECAY, CLIP_NORM) if h.name not in own)

    @classmethod
    def record(cls) -> OptimizerSpec:
        """The rule as the record that a plugin yields from `kit_optimizers`."""
        idea = (cls.__doc__ or "").strip().partition("\n")[0]
        return OptimizerSpec(
            name=cls.name,
            family=cls.family,
            rule=f"{cls.__module__}:{cls.__qualname__}",
            batch=cls.batch,
            hyperparameters=cls.all_hyperparameters(),
            help=f"{cls.title or cls.name}. {idea}".strip(),
            source=cls.source,
            reference=cls.reference,
            expected_failures=cls.expected_failures,
        )

    def scalar_names(self) -> tuple[str, ...]:
        """The order of the scalars that the host sends for each step: float hyperparameters, then
        coefficients."""
        return self._scalar_names

    @property
    def decoupled(self) -> bool:
        """True when weight decay acts on the parameter, not through the gradient."""
        return bool(self.structure["decay"] == "decoupled")

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        """The slots of parameter p, (trials, …), before the first step: zeros like it unless the rule says
        otherwise.

        h: the scalars of the first step. Every slot is a fresh array, so that an engine may write into it.
        """
        return {slot: xp.zeros_like(p) for slot in self.slots}

    def carry(self, trials: int) -> dict[str, Float]:
        """Scalars that are accumulated over the steps, before the first: name -> (trials,), float64."""
        return {}

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        """The scalars that depend on step and hyperparameters alone, in float64, and the carry after these
        steps.

        h: float hyperparameters, `learning_rate` (steps, trials) with its schedule, the others (1, trials).
        t: the number of each step, counted from 1, (steps, 1).
        Returns for each of `coefficient_names` an array that broadcasts to (steps, trials), and the carry.
        """
        return {}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        """One step: the new p and s.

        p, g: (trials, …); s: the slots as `start` gave them; h: the scalars, as attributes that broadcast
        against p.
        Pure: nothing is done in place, and trial n of the result depends on trial n of the arguments alone.
        """
        raise NotImplementedError

    def evaluated(self, xp: Any, p: Array, s: Slots, h: Any) -> Array:
        """The parameters to evaluate and report, where gradients are taken elsewhere (averaging)."""
        return p
