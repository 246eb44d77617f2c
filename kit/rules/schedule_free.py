"""Schedule-free learning: averaging in the place of a learning-rate schedule.

Three sequences: z takes the steps, x is the average that is evaluated and reported, and gradients are taken
at y, between them. y is what the engine holds as the parameter p:

    y = (1 − β) z + β x
    z ← z − γ · step(gradient at y)
    x ← (1 − c) x + c z
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.records import Hyperparameter
from kit.rules.adam import BETA2, EPSILON
from kit.rules.rule import DECAY, LEARNING_RATE, Array, Rule, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float

AVERAGING = (
    Hyperparameter(name="warmup_steps", default=0, low=0, help="Steps over which the learning rate rises linearly."),
    Hyperparameter(name="r", default=0.0, low=0.0, help="The average weighs step t with t^r."),
    Hyperparameter(
        name="weight_lr_power",
        default=2.0,
        low=0.0,
        help="The average weighs a step with the largest learning rate so far to this power.",
    ),
)
BETA = Hyperparameter(
    name="beta",
    default=0.9,
    low=0.0,
    high=1.0,
    help="β: where gradients are taken, between z (0, Polyak–Ruppert averaging) and x (1, primal averaging).",
)


class _ScheduleFree(Rule):
    """What the two share: the three sequences and the weights of the average."""

    decay_inside = True  # decay is taken at y and acts on z

    def carry(self, trials: int) -> dict[str, Float]:
        import numpy as np

        return {"largest_rate": np.zeros(trials), "weight_sum": np.zeros(trials)}

    def averaging(
        self, h: dict[str, Float], t: Float, rate: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        """γₜ, β and cₜ = wₜ / (w₁ + ⋯ + wₜ) with wₜ = t^r · (max γ)^power, for rates γ of shape (steps,
        trials)."""
        import numpy as np

        from kit.rules.power import power

        # From the carried values on, one step after the other: the same bits however the steps are split.
        largest = np.maximum.accumulate(np.concatenate([carry["largest_rate"][None], rate]), axis=0)[1:]
        weight = power(t, h["r"]) * power(largest, h["weight_lr_power"])
        weight_sum = np.add.accumulate(np.concatenate([carry["weight_sum"][None], weight]), axis=0)[1:]
        c = np.divide(weight, weight_sum, out=np.zeros_like(weight), where=weight_sum > 0)
        coefficients = {"rate": rate, "c": c, "one_minus_c": 1 - c, "one_minus_beta": 1 - h["beta"]}
        return coefficients, {"largest_rate": largest[-1], "weight_sum": weight_sum[-1]}

    def warmed_rate(self, h: dict[str, Float], t: Float) -> Float:
        """η · min(1, t / T), T = `warmup_steps`."""
        import numpy as np

        warm_up: Float = np.minimum(1.0, t / max(self.structure["warmup_steps"], 1))
        return h["learning_rate"] * warm_up

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        copies = {slot: p + xp.zeros_like(p) for slot in ("z", "x")}
        return copies | {slot: xp.zeros_like(p) for slot in self.slots if slot not in copies}

    def average(self, d: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        """z ← z − γ d; x ← (1 − c) x + c z; y ← (1 − β) z + β x."""
        z = s["z"] - h.rate * d
        x = h.one_minus_c * s["x"] + h.c * z
        return h.one_minus_beta * z + h.beta * x, {"z": z, "x": x}

    def evaluated(self, xp: Any, p: Array, s: Slots, h: Any) -> Array:
        return s["x"]


class ScheduleFree(_ScheduleFree):
    """Gradient descent whose average is reported and steered by: it needs no schedule and no known end.

    γₜ = η min(1, t/T),    cₜ = wₜ / (w₁ + ⋯ + wₜ),    wₜ = t^r (max γ)²
    z ← z − γₜ (g(y) + λ y)
    x ← (1 − cₜ) x + cₜ z
    y ← (1 − β) z + β x

    Defazio et al., "The Road Less Scheduled", NeurIPS 2024, equations 3 to 5; `schedulefree.SGDScheduleFree`,
    whose `momentum` is β. x is reported; gradients are taken at y. Coupled and decoupled decay are the same
    here.

    >>> x = descend(ScheduleFree, lambda y: y, [1.0], steps=2, learning_rate=0.5, beta=0.0)
    >>> x[:, 0].tolist()
    [1.0, 0.5, 0.375]
    """

    name = "schedule_free"
    title = "Schedule-free SGD"
    hyperparameters = (replace(LEARNING_RATE, default=1.0), BETA, *AVERAGING)
    slots = ("z", "x")
    coefficient_names = ("rate", "c", "one_minus_c", "one_minus_beta")
    source = "Defazio et al. 2024, arXiv:2405.15682; schedulefree.SGDScheduleFree"
    reference = "kit.rules.papers:schedule_free"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        return self.averaging(h, t, self.warmed_rate(h, t), carry)

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        y = p
        if self.decoupled:
            g = g + h.weight_decay * y
        return self.average(g, s, h)


class ScheduleFreeAdamW(_ScheduleFree):
    """AdamW with averaging in the place of momentum and schedule.

    γₜ = η min(1, t/T),    cₜ = wₜ / (w₁ + ⋯ + wₜ),    wₜ = t^r (max γ)²
    v ← β₂ v + (1 − β₂) g(y)²
    z ← z − γₜ (g(y) / (√(v / (1 − β₂ᵗ)) + ε) + λ y)
    x ← (1 − cₜ) x + cₜ z
    y ← (1 − β) z + β x

    Defazio et al., "The Road Less Scheduled", NeurIPS 2024, algorithm 1; `schedulefree.AdamWScheduleFree`,
    whose β₁ is β. The paper corrects v's bias in the rate, γₜ = η √(1 − β₂ᵗ) min(1, t/T), which its authors
    found less stable: `bias_correction="rate"` does that.

    >>> x = descend(ScheduleFreeAdamW, lambda y: y, [1.0], steps=1, learning_rate=0.5, epsilon=0.0)
    >>> x[:, 0].round(12).tolist()
    [1.0, 0.5]
    """

    name = "schedule_free_adamw"
    title = "Schedule-free AdamW"
    hyperparameters = (
        replace(LEARNING_RATE, default=2.5e-3),
        BETA,
        BETA2,
        EPSILON,
        *AVERAGING,
        Hyperparameter(
            name="bias_correction",
            default="second_moment",
            choices=("second_moment", "rate"),
            help="Where v's start at 0 is corrected for: in v, or in the learning rate as the paper has it.",
        ),
        replace(DECAY, default="decoupled"),
    )
    slots = ("z", "x", "v")
    coefficient_names = (
        "rate", "c", "one_minus_c", "one_minus_beta", "one_minus_beta2", "correction2",
    )  # fmt: skip
    source = "Defazio et al. 2024, arXiv:2405.15682; schedulefree.AdamWScheduleFree"
    reference = "kit.rules.papers:schedule_free_adamw"

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        import numpy as np

        from kit.rules.power import power

        rate, correction2 = self.warmed_rate(h, t), 1 - power(h["beta2"], t)
        if self.structure["bias_correction"] == "rate":
            rate, correction2 = rate * np.sqrt(correction2), np.ones_like(correction2)
        found, carry = self.averaging(h, t, rate, carry)
        return found | {"one_minus_beta2": 1 - h["beta2"], "correction2": correction2}, carry

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        y = p
        v = h.beta2 * s["v"] + h.one_minus_beta2 * g * g
        d = g / (xp.sqrt(v / h.correction2) + h.epsilon)
        if self.decoupled:
            d = d + h.weight_decay * y
        p, averages = self.average(d, s, h)
        return p, averages | {"v": v}
