"""All members of a stack at once: `jax.vmap` of what is written for one member, over sets that share their samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit_jax.environment import jax

Array = jax.Array
Tree = Any


def over_members(function: Callable[..., Tree], sets: int, each: int) -> Callable[..., Tree]:
    """`function(own, samples)` of one member as a function of the stack's.

    own: a tree of arrays (members, …), members in the order of their places; samples: a tree of (sets, …), shared by
    the members of a set. Returns a tree of (members, …).
    """
    if sets == each == 1:  # one run: nothing to map over, and the compiler sees plain matrices

        def alone(own: Tree, samples: Tree) -> Tree:
            return _leading(function(_first(own), _first(samples)))

        return alone
    if sets == 1:

        def together(own: Tree, samples: Tree) -> Tree:
            return jax.vmap(function, in_axes=(0, None))(own, _first(samples))

        return together
    if each == 1:
        return jax.vmap(function)

    def nested(own: Tree, samples: Tree) -> Tree:
        grouped = jax.tree.map(lambda a: a.reshape(sets, each, *a.shape[1:]), own)
        found = jax.vmap(jax.vmap(function, in_axes=(0, None)))(grouped, samples)
        return jax.tree.map(lambda a: a.reshape(sets * each, *a.shape[2:]), found)

    return nested


def _first(tree: Tree) -> Tree:
    return jax.tree.map(lambda a: a[0], tree)


def _leading(tree: Tree) -> Tree:
    return jax.tree.map(lambda a: a[None], tree)
