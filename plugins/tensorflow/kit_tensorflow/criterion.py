"""What is minimised: the mean loss of one member over a batch, as a pure function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kit.engine import Dtype, Problem
from kit.errors import InvalidValueError, KitError
from kit_tensorflow.environment import tf
from kit_tensorflow.network import Network

Tensor = Any


class Criterion:
    """A network and its loss.

    A loss may give one number per sample, several, or their mean; a user's own function too.
    """

    def __init__(self, problem: Problem, dtype: Dtype) -> None:
        self.network = Network(problem, dtype)
        self.problem, self.dtype = problem, dtype
        self.loss_name = getattr(problem.build_loss, "__name__", type(problem.build_loss).__name__)

    def output(
        self,
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        noise: Mapping[str, Tensor] | None = None,
        *,
        training: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """As `Network.apply`, with one output per sample given the target's shape."""
        output, after, penalties = self.network.apply(parameters, buffers, x, noise, training=training)
        one_each = output.shape.rank == y.shape.rank + 1 and output.shape[-1] == 1
        if one_each and self.problem.inputs.task in ("regression", "binary"):
            output = tf.squeeze(output, -1)
        if self.problem.accuracy == "argmax" and output.shape.rank > y.shape.rank:
            self._check_classes(output)
        return output, after, penalties

    def _check_classes(self, output: Tensor) -> None:
        classes = self.problem.inputs.outputs
        if output.shape[-1] is not None and output.shape[-1] < classes:
            raise InvalidValueError(
                f"The model's output has shape (samples, {', '.join(map(str, output.shape[1:]))}), "
                f"but the data have {classes} classes."
            )

    def losses(self, output: Tensor, y: Tensor) -> Tensor:
        """The loss as its function gives it: a scalar, or with the samples in front.

        Raises `InvalidValueError`, with both shapes, for an output that does not fit.
        """
        shapes = f"the model's output of shape {tuple(output.shape)} and a target of shape {tuple(y.shape)}"
        try:
            losses = tf.convert_to_tensor(self.problem.build_loss(output, y, **self.problem.loss_options))
        except KitError:
            raise
        except Exception as error:
            raise InvalidValueError(f"loss '{self.loss_name}' cannot be computed from {shapes}: {error}") from error
        if not losses.dtype.is_floating:
            raise InvalidValueError(f"loss '{self.loss_name}' gives {losses.dtype.name}; it must give real numbers.")
        if losses.shape.rank and losses.shape[0] != y.shape[0]:
            raise InvalidValueError(
                f"loss '{self.loss_name}' gives the shape {tuple(losses.shape)} from {shapes}; "
                "it must give one number per sample, or their mean."
            )
        return losses

    def mean(
        self,
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        noise: Mapping[str, Tensor] | None,
        *,
        training: bool = True,
    ) -> tuple[Tensor, list[Tensor]]:
        """The mean loss, a scalar, with the model's penalties, and the buffers after."""
        output, after, penalties = self.output(parameters, buffers, x, y, noise, training=training)
        losses = self.losses(output, y)
        mean = tf.reduce_mean(losses) if losses.shape.rank else losses
        for penalty in penalties:
            mean = mean + tf.cast(penalty, mean.dtype)
        return mean, after

    def gradient(
        self,
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        noise: Mapping[str, Tensor] | None,
        *,
        training: bool = True,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """(mean loss, gradients in the parameters' precision, buffers after)."""
        parameters = list(parameters)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            mean, after = self.mean(parameters, buffers, x, y, noise, training=training)
        gradients = tape.gradient(mean, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # An embedding's gradient comes as IndexedSlices; a rule needs every row, the zero ones too.
        dense = [tf.cast(tf.convert_to_tensor(g), p.dtype) for g, p in zip(gradients, parameters, strict=True)]
        return tf.cast(mean, parameters[0].dtype), dense, after
