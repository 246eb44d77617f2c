"""The logarithm of the hyperbolic cosine, in PyTorch: one number for every sample; the engine takes the mean."""

import kit
from kit.records import LossSpec


def log_cosh(output, target):
    """log cosh(output − target), (samples,): like the square when small, like the absolute value when large."""
    from math import log

    from torch.nn.functional import softplus

    difference = output - target
    each = difference + softplus(-2 * difference) - log(2)  # cosh itself would overflow
    return each if each.ndim == 1 else each.flatten(1).mean(1)


@kit.hookimpl
def kit_losses():
    yield LossSpec(
        name="log_cosh",
        backend="torch",
        build=f"{__name__}:log_cosh",
        requires=("torch",),
        tasks=("regression",),
        help="log cosh of the difference.",
    )
