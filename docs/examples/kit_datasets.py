"""Exclusive or: four clouds of points, two classes, no straight line between them."""

import kit
from kit.records import DatasetSpec, Hyperparameter


def load(generator, samples=400, noise=0.2):
    """generator: a numpy.random.Generator, so that the seed of the experiment decides what is drawn."""
    from kit.data import Data

    corners = generator.integers(0, 2, size=(samples, 2))
    x = corners * 2.0 - 1.0 + noise * generator.standard_normal((samples, 2))
    return Data(x=x, y=corners[:, 0] ^ corners[:, 1], task="classification", classes=("same", "different"))


@kit.hookimpl
def kit_datasets():
    yield DatasetSpec(
        name="exclusive_or",
        load=f"{__name__}:load",
        task="classification",
        hyperparameters=(
            Hyperparameter(name="samples", default=400, low=8, help="How many points are drawn."),
            Hyperparameter(name="noise", default=0.2, low=0.0, help="Standard deviation around each corner."),
        ),
        help="Four clouds of points whose class is the exclusive or of their signs.",
    )
