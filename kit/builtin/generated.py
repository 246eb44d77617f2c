"""Datasets that are generated, from the `split` stream of the experiment's seed."""

from __future__ import annotations

import numpy as np

from kit.data import Data


def blobs(generator: np.random.Generator, *, samples: int, features: int, classes: int, spread: float) -> Data:
    """Centres uniform in [−5, 5]; each class a normal cloud of the given spread."""
    centres = generator.uniform(-5, 5, (classes, features))
    y = np.arange(samples) % classes
    x = centres[y] + spread * generator.standard_normal((samples, features))
    return Data(x=x, y=y, task="classification", classes=tuple(map(str, range(classes))))


def moons(generator: np.random.Generator, *, samples: int, noise: float) -> Data:
    """Two half circles of radius 1, the lower moved by (1, −½), as scikit-learn's make_moons."""
    y = np.arange(samples) % 2
    angle = np.pi * generator.random(samples)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper)
    return Data(
        x=x + noise * generator.standard_normal(x.shape), y=y, task="classification", classes=("upper", "lower")
    )


def spirals(generator: np.random.Generator, *, samples: int, classes: int, turns: float, noise: float) -> Data:
    """Arms r = t, angle = 2π (turns · t + class / classes), t uniform in area."""
    y = np.arange(samples) % classes
    radius = np.sqrt(generator.random(samples))
    angle = 2 * np.pi * (turns * radius + y / classes)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = x + noise * generator.standard_normal(x.shape)
    return Data(x=x, y=y, task="classification", classes=tuple(map(str, range(classes))))


def noisy_quadratic(
    generator: np.random.Generator, *, samples: int, features: int, condition: float, noise: float
) -> Data:
    """y = x·w + noise, where the covariance of x has eigenvalues spaced evenly on a log scale from 1 to 1/κ.

    They are the curvatures of the squared loss. The eigenvectors are those of a Hadamard matrix, whose entries are all
    ±1: every feature has the same variance, so that standardising leaves κ as it is. x: (samples, features).
    """
    import scipy.linalg

    directions = scipy.linalg.hadamard(features) / np.sqrt(features)
    deviations = np.sqrt(np.logspace(0, -np.log10(condition), features))
    x = (deviations * generator.standard_normal((samples, features))) @ directions
    y = x @ generator.standard_normal(features) + noise * generator.standard_normal(samples)
    return Data(x=x, y=y, task="regression")


def sinusoid(generator: np.random.Generator, *, samples: int, periods: float, noise: float) -> Data:
    """y = sin(π · periods · x) + noise, x uniform in [−1, 1]."""
    x = generator.uniform(-1, 1, (samples, 1))
    y = np.sin(np.pi * periods * x[:, 0]) + noise * generator.standard_normal(samples)
    return Data(x=x, y=y, task="regression")


def nothing(generator: np.random.Generator) -> Data:
    """One row that no model looks at."""
    return Data(x=np.zeros((1, 1)), y=np.zeros(1), task="objective")
