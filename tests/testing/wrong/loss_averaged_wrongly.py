"""Wrong: each sample's loss is divided by the number of samples, of which the engine takes the mean once more."""

import kit
from kit.records import LossSpec


def squared(output, target):
    return ((output - target) ** 2).reshape(len(output), -1).mean(1) / len(output)


@kit.hookimpl
def kit_losses():
    yield LossSpec(
        name="loss_averaged_wrongly",
        backend="torch",
        build="loss_averaged_wrongly:squared",
        tasks=("regression",),
        requires=("torch",),
        help="Squared error.",
    )
