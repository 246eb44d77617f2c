"""What is minimised: the mean loss of one member over a batch, as a pure function of its named parameters.

A model is one of the kit's (`kit_jax.models`: a function of named parameters), or the user's own: an object with
`init(key, x)`, which makes a tree of parameters, and `apply(parameters, x)`, such as a `flax.linen.Module`, or a class
or function that makes one. The tree's paths are then the parameters' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.engine import Dtype, Problem
from kit.errors import InvalidValueError, KitError
from kit_jax.environment import jax, jnp

Array = jax.Array
Parameters = Mapping[str, Array]


class Criterion:
    """A problem's model and loss. Raises `InvalidValueError` for what is no model."""

    def __init__(self, problem: Problem, dtype: Dtype) -> None:
        self.problem = problem
        self.reduced = dtype == "bfloat16"  # computed so, on parameters that stay float32
        self.precision = np.dtype("float64" if dtype == "float64" else "float32")
        self.own = None if problem.model_object is None else _made(problem)
        self.names: list[str] = []  # of the user's own parameters, in the order of its tree
        self.structure: Any = None  # that tree
        self.built = None
        if self.own is None:
            assert problem.build_model is not None
            self.built = problem.build_model(inputs=problem.inputs, **problem.model_options)

    # --- a user's own model

    def start(self, seed: int, x: Array) -> dict[str, Array]:
        """The parameters that the user's own model begins with. x: some samples."""
        assert self.own is not None
        made = self.own.init(jax.random.key(seed), x)
        if isinstance(made, Mapping) and "params" in made and len(made) > 1:
            kept = ", ".join(f"'{name}'" for name in made if name != "params")
            raise InvalidValueError(
                f"The model keeps {kept} beside its parameters, which the jax backend cannot carry along. "
                "Use layers without state, e.g. GroupNorm or LayerNorm in place of BatchNorm."
            )
        leaves, self.structure = jax.tree_util.tree_flatten_with_path(made)
        named = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
        self.names = list(named)
        return named

    def learn_structure(self, x: Array) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the user's own parameters, from a start that is not computed."""
        found = jax.eval_shape(lambda: self.start(0, x))
        return {name: leaf.shape for name, leaf in found.items()}

    # --- what is computed

    def output(self, p: Parameters, x: Array, noise: Parameters | None = None) -> Array:
        """What a member makes of a batch, in the precision of its parameters."""
        if self.reduced:
            p, x, noise = jax.tree.map(_reduced, (dict(p), x, noise))
        if self.own is not None:
            found = self.own.apply(jax.tree_util.tree_unflatten(self.structure, [p[n] for n in self.names]), x)
        else:
            assert self.built is not None
            found = self.built(p, x) if noise is None else self.built(p, x, noise)
        if not isinstance(found, jax.Array):
            raise InvalidValueError(f"The model gives a {type(found).__name__}; it must give one array.")
        return found.astype(self.precision)

    def loss(self, p: Parameters, x: Array, y: Array, noise: Parameters | None = None) -> Array:
        """The mean loss of a batch, whatever the loss function gives for it: one number, or one for each sample."""
        return self.loss_of(self.output(p, x, noise), y)

    def loss_of(self, output: Array, y: Array) -> Array:
        """The mean loss of outputs."""
        return jnp.mean(self.problem.build_loss(fitted(output, y), y, **self.problem.loss_options))

    def accuracy(self, output: Array, y: Array) -> Array:
        """The share of samples (and places of a text) that are told right."""
        if self.problem.accuracy == "argmax" and output.ndim > y.ndim:
            return jnp.mean(output.argmax(-1) == y, dtype=jnp.float64)
        return jnp.mean((output.reshape(y.shape) > 0) == (y > 0.5), dtype=jnp.float64)

    # --- whether it fits

    def check(self, p: Parameters, x: Array, y: Array) -> None:
        """Raise `InvalidValueError` naming the shapes where the model does not take the data, or its output does not
        fit the loss. Nothing is computed: the arguments are shapes."""
        where = f"samples {_said(x)} and targets {_said(y)}"
        try:
            output = jax.eval_shape(self.output, p, x)
        except KitError:
            raise
        except Exception as error:
            raise InvalidValueError(f"The model does not take the data ({where}): {_first_line(error)}") from error
        expected = _expected(self.problem, y)
        given = jax.eval_shape(fitted, output, y).shape
        if expected is not None and given != expected:
            raise InvalidValueError(
                f"The model's output does not fit the loss: it is {output.shape} for {where}; it must be {expected}."
            )
        try:
            jax.eval_shape(self.loss, p, x, y)
        except KitError:
            raise
        except Exception as error:
            raise InvalidValueError(
                f"The loss does not take the model's output {output.shape} ({where}): {_first_line(error)}"
            ) from error


def fitted(output: Array, target: Array) -> Array:
    """(batch, 1) as (batch,) beside a target of one number per sample: what a last layer of one unit gives."""
    real = jnp.issubdtype(target.dtype, jnp.floating)
    return output[..., 0] if output.ndim == target.ndim + 1 and output.shape[-1] == 1 and real else output


def _made(problem: Problem) -> Any:
    given = problem.model_object
    if isinstance(given, type) or not _is_model(given):
        if not callable(given):
            raise InvalidValueError(f"model {given!r} has no init(key, x) and apply(parameters, x), nor makes such.")
        given = given(**problem.model_options)
    if not _is_model(given):
        raise InvalidValueError(
            f"model {problem.model_object!r} made a {type(given).__name__}; it must make an object with init(key, x) "
            "and apply(parameters, x)."
        )
    return given


def _is_model(thing: Any) -> bool:
    return callable(getattr(thing, "init", None)) and callable(getattr(thing, "apply", None))


def _reduced(array: Array) -> Array:
    return array.astype(jnp.bfloat16) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _said(array: Any) -> str:
    return f"{tuple(array.shape)}, {array.dtype}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _expected(problem: Problem, y: Any) -> tuple[int, ...] | None:
    """The output that the task asks for: logits for every class, or a value for every target; None: anything goes."""
    if problem.inputs.task in ("classification", "language"):
        return (*y.shape, problem.inputs.outputs)
    if problem.inputs.task in ("regression", "binary"):
        return tuple(y.shape)
    return None
