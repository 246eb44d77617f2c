"""A gated layer, in PyTorch: the framework is imported when an experiment uses the model, not when it is listed."""

import kit
from kit.records import Hyperparameter, ModelSpec


def gated(*, inputs, width=32):
    """A torch.nn.Module for samples of `inputs.shape` that gives `inputs.outputs` numbers."""
    from math import prod

    from torch import nn

    return nn.Sequential(
        nn.Flatten(), nn.Linear(prod(inputs.shape), 2 * width), nn.GLU(), nn.Linear(width, inputs.outputs)
    )


@kit.hookimpl
def kit_models():
    yield ModelSpec(
        name="gated",
        backend="torch",
        build=f"{__name__}:gated",
        requires=("torch",),
        tasks=("classification",),
        hyperparameters=(Hyperparameter(name="width", default=32, low=1, help="Numbers that pass the gate."),),
        help="One layer with a gated linear unit.",
        source="Dauphin et al. 2017, arXiv:1612.08083",
    )
