"""Muon: momentum whose matrices are made orthogonal before they are stepped along."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValueError
from kit.records import Hyperparameter
from kit.rules.adam import BETA1, BETA2, EPSILON, Moments, direction, moments
from kit.rules.momentum import MOMENTUM
from kit.rules.rule import DECAY, LEARNING_RATE, WEIGHT_DECAY, Array, Slots

if TYPE_CHECKING:
    from kit.rules.rule import Float


def orthogonal(xp: Any, x: Array, coefficients: tuple[float, ...], iterations: int, floor: float) -> Array:
    """About U Vᵀ where x = U S Vᵀ, each (trials, rows, columns), by a quintic Newton–Schulz iteration.

    X ← X / ‖X‖,  then `iterations` times  A = X Xᵀ,  X ← a X + (b A + c A²) X.  Singular values end near 1
    (within about 0.3 for the default coefficients, which are chosen for speed), in the precision of x.
    """
    a, b, c = coefficients
    tall = x.shape[-2] > x.shape[-1]
    if tall:  # the smaller of the two Gram matrices
        x = xp.transpose(x)
    x = x / xp.maximum(xp.sqrt(xp.sum(x * x, (-2, -1), keepdims=True)), floor)
    for _ in range(iterations):
        gram = xp.matmul(x, xp.transpose(x))
        x = a * x + xp.matmul(b * gram + c * xp.matmul(gram, gram), x)
    return xp.transpose(x) if tall else x


class Muon(Moments):
    """Step along the momentum of each matrix made orthogonal, so that all its directions move alike.

    b ← μ b + (1 − μ) g
    O = orthogonal(μ b + (1 − μ) g) with Nesterov's look ahead, else orthogonal(b)
    p ← (1 − η λ) p − η s O,    s = 0.2 √max(rows, columns), or √max(1, rows/columns) (original)

    A kernel (out, in, height, width) counts as the matrix (out, in·height·width). Scalars and vectors get
    AdamW with the rate η · `companion_rate`. Embeddings and the last layer are matrices to this rule, though
    its authors leave them to AdamW.

    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; s: Liu et al., "Muon is
    Scalable for LLM Training", 2025, whose scaling lets one η serve matrices and AdamW alike, and is therefore
    the default here. `torch.optim.Muon` has original, and rounds the iteration to bfloat16; here it is in the
    parameter's precision.

    >>> x = descend(Muon, lambda x: x, [[3.0, 0.0], [0.0, 0.1]], steps=1, learning_rate=0.5, weight_decay=0.0)
    >>> (x[1] - x[0]).round(2).tolist()
    [[-0.1, 0.0], [0.0, -0.16]]
    """

    name = "muon"
    title = "Muon"
    hyperparameters = (
        replace(LEARNING_RATE, default=1e-3),
        replace(MOMENTUM, default=0.95, help="Momentum μ: how much of the running mean is kept each step."),
        Hyperparameter(name="nesterov", default=True, help="Step along μ b + (1 − μ) g, not along b."),
        Hyperparameter(name="ns_steps", default=5, low=1, high=99, help="Newton–Schulz iterations."),
        Hyperparameter(name="ns_coefficients", default=(3.4445, -4.775, 2.0315), help="a, b, c of the iteration."),
        Hyperparameter(
            name="adjust_lr_fn",
            default="match_rms_adamw",
            choices=("original", "match_rms_adamw"),
            help="How the step s of a matrix depends on its shape.",
        ),
        Hyperparameter(
            name="companion_rate",
            default=1.0,
            low=0.0,
            log=True,
            help="The learning rate of scalars and vectors, as a multiple of η.",
        ),
        replace(BETA1, help="β₁ of the AdamW that updates scalars and vectors."),
        replace(BETA2, help="β₂ of the AdamW that updates scalars and vectors."),
        replace(EPSILON, help="ε of the AdamW that updates scalars and vectors."),
        replace(WEIGHT_DECAY, default=0.1),
        replace(DECAY, default="decoupled"),
    )
    slots = ("b", "m", "v")
    elementwise = False
    decay_inside = True  # the two kinds of parameters have two rates
    coefficient_names = (*Moments.coefficient_names, "one_minus_momentum")
    source = (
        "Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982; "
        "torch.optim.Muon"
    )

    FLOOR = 1e-7  # the least norm that is divided by, as in the authors' code

    def __init__(self, **structure: Any) -> None:
        super().__init__(**structure)
        given = self.structure["ns_coefficients"]
        if len(given) != 3 or not all(isinstance(number, int | float) for number in given):
            raise InvalidValueError(
                f"optimizer 'muon': ns_coefficients={given!r} is not valid; it must be three numbers a, b, c."
            )

    def coefficients(
        self, h: dict[str, Float], t: Float, carry: dict[str, Float]
    ) -> tuple[dict[str, Float], dict[str, Float]]:
        found, carry = super().coefficients(h, t, carry)
        return found | {"one_minus_momentum": 1 - h["momentum"]}, carry

    def start(self, xp: Any, p: Array, h: Any) -> Slots:
        return {slot: xp.zeros_like(p) for slot in (("m", "v") if len(p.shape) < 3 else ("b",))}

    def update(self, xp: Any, p: Array, g: Array, s: Slots, h: Any) -> tuple[Array, Slots]:
        if len(p.shape) < 3:
            rate = h.companion_rate * h.learning_rate
            m, v = moments(g, s, h)
            d, s = direction(xp, m, v, h), {"m": m, "v": v}
        else:
            rate = h.learning_rate
            b = h.momentum * s["b"] + h.one_minus_momentum * g
            ahead = h.momentum * b + h.one_minus_momentum * g if self.structure["nesterov"] else b
            d, s = self.along(xp, ahead), {"b": b}
        if self.decoupled:
            p = p * (1 - rate * h.weight_decay)
        return p - rate * d, s

    def along(self, xp: Any, b: Array) -> Array:
        """s · orthogonal(b) for a matrix or kernel b, (trials, out, …)."""
        rows, columns = b.shape[1], math.prod(b.shape[2:])
        if self.structure["adjust_lr_fn"] == "original":
            scale = math.sqrt(max(1.0, rows / columns))
        else:
            scale = 0.2 * math.sqrt(max(rows, columns))
        matrix = xp.reshape(b, (-1, rows, columns))
        matrix = orthogonal(xp, matrix, self.structure["ns_coefficients"], self.structure["ns_steps"], self.FLOOR)
        return xp.reshape(scale * matrix, (-1, *b.shape[1:]))
