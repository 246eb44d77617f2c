"""One step of a rule over all parameters of a model: clipping, weight decay, update. Framework-free.

An engine calls `step` inside its own compiled or eager loop, with its own `xp`. Where weight decay stands is
part
of the algorithm: `coupled` adds λp to the gradient (after clipping), `decoupled` shrinks the parameter by 1 −
ηλ before the update, or is left to a rule that says where else it stands (`Rule.decay_inside`).
"""

from __future__ import annotations

from typing import Any

from kit.rules.rule import Array, Rule, Slots


class Scalars:
    """The scalars of one step, as attributes shaped to broadcast against one array: `(trials, 1, …, 1)`."""

    def __init__(self, **values: Array) -> None:
        self.__dict__.update(values)


def scalars(xp: Any, names: tuple[str, ...], values: Array, rank: int) -> Scalars:
    """values: (trials, scalars), in the order of `names`; rank: of the array to broadcast against, trials
    included."""
    return Scalars(**{name: xp.reshape(values[:, i], (-1,) + (1,) * (rank - 1)) for i, name in enumerate(names)})


def global_norm(xp: Any, gradients: list[Array]) -> Array:
    """The Euclidean norm over all parameters of each trial. gradients: each (trials, …). Returns
    (trials,)."""
    squares = [xp.sum(g * g, tuple(range(1, len(g.shape)))) for g in gradients]
    return xp.sqrt(sum(squares[1:], squares[0]))


def clip(xp: Any, gradients: list[Array], limit: Array) -> list[Array]:
    """Scale the gradients of each trial whose global norm exceeds its limit down to it.

    g ← g · min(1, c / ‖g‖), Pascanu et al. 2013, arXiv:1211.5063. `torch.nn.utils.clip_grad_norm_` divides by
    ‖g‖ + 1e-6 instead. gradients: each (trials, …); limit: (trials,).
    """
    norm = global_norm(xp, gradients)
    exceeds, one = norm > limit, xp.ones_like(norm)
    scale = xp.where(exceeds, limit, one) / xp.where(exceeds, norm, one)
    return [g * xp.reshape(scale, (-1,) + (1,) * (len(g.shape) - 1)) for g in gradients]


def step(
    rule: Rule,
    xp: Any,
    parameters: list[Array],
    gradients: list[Array],
    slots: list[Slots],
    scalars_for: Any,
    *,
    decays: bool,
    clips: bool,
) -> tuple[list[Array], list[Slots]]:
    """Update every parameter.

    parameters, gradients: each (trials, *shape), or one flat (trials, parameters) for an elementwise rule.
    scalars_for: rank -> the step's scalars, shaped for an array of that rank (see `scalars`).
    decays, clips: whether any trial has weight_decay > 0, a finite clip_norm: what is not needed costs
    nothing.
    """
    if clips:
        gradients = clip(xp, gradients, scalars_for(1).clip_norm)
    coupled = decays and not rule.decoupled
    decoupled = decays and rule.decoupled and not rule.decay_inside
    after: list[Array] = []
    slots_after: list[Slots] = []
    for p, g, s in zip(parameters, gradients, slots, strict=True):
        h = scalars_for(len(p.shape))
        if coupled:
            g = g + h.weight_decay * p
        if decoupled:
            p = p * (1 - h.learning_rate * h.weight_decay)
        p, s = rule.update(xp, p, g, s, h)
        after.append(p)
        slots_after.append(s)
    return after, slots_after
