"""An optimizer's rule, written once: its slots and its update, in plain array arithmetic over a namespace `xp`.

The same ten lines run in NumPy, PyTorch and TensorFlow, for one run or a stack of them, because every array has the
trials in front: a parameter is `(trials, …)`, a flat buffer of all elementwise parameters `(trials, parameters)`, and a
hyperparameter broadcasts against it. Two instances:

    class GradientDescent(Rule):                   # p ← p − η g
        def update(self, xp, p, g, s, h):
            return p - h.learning_rate * g, s

    class Momentum(Rule):                          # b ← μ b + g;   p ← p − η b
        slots = ("b",)
        def update(self, xp, p, g, s, h):
            b = h.momentum * s["b"] + g
            return p - h.learning_rate * b, {"b": b}

The learning rate stands outside every buffer, so that schedules agree everywhere. Scalars that depend on the step or on
hyperparameters alone (β^t, 1 − β, bias corrections) are not computed in `update` but in `coefficients`, by the host, in
float64, and rounded once: 1 − 0.999 in float32 is wrong by 5e-5 relative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
    name="weight_decay", default=0.0, low=0.0, log=True, help="Weight decay λ: pulls every parameter towards zero."
)
DECAY = Hyperparameter(
    name="decay",
    default="coupled",
    choices=("coupled", "decoupled"),
    help="Where weight decay acts: added to the gradient (coupled, L2) or applied to the parameter (decoupled, AdamW).",
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
    """The base of every rule. A subclass sets the class attributes and `update`; the rest has working defaults.

    An instance holds the *structural* hyperparameters (those that are not floats: `decay`, `nesterov`, iteration
    counts) as attributes in `self.structure`; the float ones arrive in `h`, per trial and per step.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    family: ClassVar[str] = ""
    batch: ClassVar[Literal["all", "one", "any"]] = "any"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (LEARNING_RATE,)
    slots: ClassVar[tuple[str, ...]] = ()
    # True: each element of a parameter is updated alone, so that the engine may hold all parameters in one flat buffer
    # (trials, parameters). False: the rule needs each parameter in its own canonical shape (trials, *shape).
    elementwise: ClassVar[bool] = True
    # Names of the scalars that `coefficients` gives, in addition to the float hyperparameters.
    coefficient_names: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""

    def __init__(self, **structure: Any) -> None:
        defaults = {h.name: h.default for h in self.all_hyperparameters() if h.structural}
        self.structure: dict[str, Any] = defaults | structure

    @classmethod
    def all_hyperparameters(cls) -> tuple[Hyperparameter, ...]:
        """The rule's own hyperparameters and the options of every rule, each name once, the rule's own first."""
        own = {h.name for h in cls.hyperparameters}
        return cls.hyperparameters + tuple(h for h in (WEIGHT_DECAY, DECAY, CLIP_NORM) if h.name not in own)

    @classmethod
    def record(cls) -> OptimizerSpec:
        """The rule as the record that a plugin yields from `kit_optimizers`."""
        return OptimizerSpec(
            name=cls.name,
            family=cls.family,
            rule=f"{cls.__module__}:{cls.__qualname__}",
            batch=cls.batch,
            hyperparameters=cls.all_hyperparameters(),
            help=(cls.__doc__ or "").strip().split("\n")[0],
            source=cls.source,
        )

    def scalar_names(self) -> tuple[str, ...]:
        """The order of the scalars that the host sends for each step: float hyperparameters, then coefficients."""
        return tuple(h.name for h in self.all_hyperparameters() if not h.structural) + self.coefficient_names

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        """The slots before the first step: zeros like the parameter, unless the rule says otherwise."""
        return {slot: xp.zeros_like(p) for slot in self.slots}

    def carry(self, trials: int) -> dict[str, Float]:
        """Scalars that are accumulated over the steps, before the first: name -> (trials,), float64."""
        return {}

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        """The scalars that depend on step and hyperparameters alone, in float64, and the carry after these steps.

        h: the float hyperparameters, each (steps, trials); t: the number of each step, counted from 1, (steps, 1).
        Returns one array (steps, trials) for each of `coefficient_names`, and the carry.
        """
        return {}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        """One step. p, g: (trials, …); s: the slots, alike; h: attributes that broadcast against p. Returns the new p, s."""
        raise NotImplementedError

    def evaluated(self, xp: Any, p: Array, s: Slots, h: Any) -> Array:
        """The parameters to evaluate and report, where they are not the ones that gradients are taken at (averaging)."""
        return p
