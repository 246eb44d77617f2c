"""Wrong: the bias corrections are one step ahead, so that the first steps of Adam are too short."""

import kit
from kit.rules.adam import Adam


class WrongBiasCorrection(Adam):
    """Adam."""

    name = "wrong_bias_correction"
    reference = "wrong_bias_correction:adam"

    def coefficients(self, h, t, carry):
        return super().coefficients(h, t + 1, carry)


def adam(gradient, start, *, steps, learning_rate, beta1, beta2, epsilon, **options):
    """Kingma & Ba 2015, algorithm 1."""
    import numpy as np

    x, m, v = np.array(start), 0.0, 0.0
    path = [x]
    for t in range(1, steps + 1):
        g = gradient(x)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        x = x - learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        path.append(x)
    return np.stack(path)


@kit.hookimpl
def kit_optimizers():
    yield WrongBiasCorrection.record()
