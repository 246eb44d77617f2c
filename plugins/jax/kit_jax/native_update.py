"""optax's optimizers at work: a pure function of gradients and state, mapped over the members like the model itself.

What differs between members (the learning rate, and any float that is not the same for all) is injected by
`optax.inject_hyperparams`, and so may change from step to step without compiling anew. Optimizers that look at the loss
(`lbfgs`, `polyak_sgd`) are given it, and the function itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kit.engine import Native
from kit.errors import InvalidValueError
from kit_jax.environment import jax, jnp
from kit_jax.stack import over_members

# After the environment, which sets JAX up before anything imports it.
import optax  # isort: skip

Array = jax.Array
Host = np.ndarray[Any, np.dtype[Any]]
Tree = Any
RATE = "learning_rate"  # as optax calls it everywhere
START = 1e-3  # any rate: every step sets its own
SLOT = "native"


class NativeUpdate:
    """State of the optimizer: its own tree, every leaf with the members in front."""

    averages = False

    def __init__(self, optimizer: Native) -> None:
        """Raises `InvalidValueError` with the function's own words where it does not take its arguments."""
        self.optimizer, self.members = optimizer, len(optimizer.options)
        self.name = getattr(optimizer.build, "__name__", repr(optimizer.build))
        self.rate = _rate_of(optimizer)  # what the function calls the learning rate; None: it finds its own
        first = {**optimizer.options[0], **_facts_of(optimizer, self.name)}
        # Floats that the members have each their own.
        self.own = sorted(
            name
            for name, value in optimizer.options[0].items()
            if isinstance(value, float) and any(options.get(name) != value for options in optimizer.options)
        )
        injected = {} if self.rate is None else {self.rate: START}
        injected |= {name: first[name] for name in self.own}
        fixed = {name: value for name, value in first.items() if name not in injected}
        try:
            optimizer.build(**injected, **fixed)
            self.transformation = _injecting(optimizer.build, injected, fixed)
        except (TypeError, ValueError) as error:
            raise InvalidValueError(f"optimizer '{self.name}' cannot be made: {error}") from error

    # --- in the compiled loop

    def advance(
        self, member_loss: Callable[..., Array], parameters: dict[str, Array], state: Tree, now: Array, samples: Tree
    ) -> tuple[dict[str, Array], dict[str, Array], Tree]:
        """One step of all members: readings (N,), parameters, state.

        member_loss(parameters, samples): of one; now: (N, 1), the learning rates. A line search says how many gradients
        it took beside the first; then they are among the readings.
        """

        def one(own: Tree, samples: Tree) -> Tree:
            p, state, rate = own
            if self.rate is not None:
                old = state.hyperparams[self.rate]
                state = state._replace(hyperparams={**state.hyperparams, self.rate: rate[0].astype(old.dtype)})

            def value_fn(p: dict[str, Array]) -> Array:
                return member_loss(p, samples)

            loss, gradient = jax.value_and_grad(value_fn)(p)
            updates, state = self.transformation.update(
                gradient, state, p, value=loss, grad=gradient, value_fn=value_fn
            )
            readings, searched = {"loss": loss}, optax.tree_utils.tree_get(state, "num_linesearch_steps")
            if searched is not None:
                readings["evaluations"] = 1 + searched
            return readings, optax.apply_updates(p, updates), state

        sets = len(samples[0])
        return over_members(one, sets, self.members // sets)((parameters, state, now), samples)

    # --- outside it

    def start(self, parameters: Mapping[str, Host], first: Host) -> Tree:
        """The state before the first step, as NumPy arrays (N, …)."""
        made = jax.jit(jax.vmap(self.transformation.init))(dict(parameters))
        hyperparameters = dict(made.hyperparams)
        for name in self.own:
            values = np.array([options[name] for options in self.optimizer.options])
            hyperparameters[name] = jnp.asarray(values, hyperparameters[name].dtype)
        return made._replace(hyperparams=hyperparameters)

    def arrays(self, state: Tree) -> dict[str, dict[str, Host]]:
        """As a `State` holds them: {"native": {path: (N, …)}}."""
        leaves = jax.tree_util.tree_flatten_with_path(state)[0]
        return {SLOT: {jax.tree_util.keystr(path): _plain(leaf) for path, leaf in leaves}}

    def restored(self, arrays: Mapping[str, Mapping[str, Host]], parameters: Mapping[str, Host]) -> Tree:
        """The inverse of `arrays`."""
        shapes = jax.eval_shape(jax.vmap(self.transformation.init), dict(parameters))
        leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
        given = arrays[SLOT]
        return jax.tree_util.tree_unflatten(
            structure, [_keyed(given[jax.tree_util.keystr(path)], leaf) for path, leaf in leaves]
        )


def _rate_of(optimizer: Native) -> str | None:
    said = optimizer.needs.rate
    return said if said is None or said in inspect.signature(optimizer.build).parameters else RATE


def _facts_of(optimizer: Native, name: str) -> dict[str, Any]:
    """The arguments that are facts of the run. Raises `InvalidValueError` for needs that a function of gradients has
    not."""
    needs = optimizer.needs
    strange = {"model": "model" in needs.facts.values(), "second_order": needs.second_order}
    strange |= {"closure": needs.closure is not None, "matrices": needs.matrices != "any"}
    strange |= {"parameters": needs.parameters != "tensors", "modes": bool(needs.modes)}
    if any(strange.values()):
        said = ", ".join(each for each, asked in strange.items() if asked)
        raise InvalidValueError(
            f"optimizer '{name}' says needs ({said}) that the jax backend does not know: there an optimizer is a pure "
            "function of gradients, state and parameters, as in optax."
        )
    return {argument: optimizer.facts[fact] for argument, fact in needs.facts.items() if fact in optimizer.facts}


def _injecting(build: Callable[..., Any], injected: dict[str, float], fixed: dict[str, Any]) -> Any:
    """The optimizer with these arguments as part of its state. (optax reads their names off a signature.)"""

    def made(**given: Any) -> Any:
        return optax.with_extra_args_support(build(**given, **fixed))

    made.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in injected]
    )
    return optax.inject_hyperparams(made)(**injected)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> Host:
    return np.array(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _keyed(array: Any, like: Any) -> Any:
    return jax.random.wrap_key_data(array) if _is_key(like) else np.asarray(array)
