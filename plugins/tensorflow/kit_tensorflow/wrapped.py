"""Functions that make the optimizers of Keras that wrap others."""

from __future__ import annotations

from typing import Any

from kit_tensorflow.environment import keras


def loss_scaled(learning_rate: float, base: str, **options: Any) -> Any:
    """`LossScaleOptimizer`: the loss is multiplied by a factor that doubles as long as no gradient overflows."""
    return keras.optimizers.LossScaleOptimizer(getattr(keras.optimizers, base)(learning_rate=learning_rate), **options)


def multiple(learning_rate: float, matrices: str, rest: str, **options: Any) -> Any:
    """`MultiOptimizer`: one optimizer for what has two axes or more, another for the rest."""
    kinds = {name: getattr(keras.optimizers, kind) for name, kind in (("matrices", matrices), ("rest", rest))}
    made = {name: kind(learning_rate=learning_rate) for name, kind in kinds.items()}
    return keras.optimizers.MultiOptimizer(lambda v: made["matrices" if len(v.shape) > 1 else "rest"], **options)
